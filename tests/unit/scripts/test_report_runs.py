"""The report of odd runs, and its scales."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.report import ReportData, render
from scripts.report.charts import HEIGHT, Axis, Point, line_chart, ticks
from tests.unit.scripts.reports import drawings, report, row

pytestmark = pytest.mark.unit

# Odd runs


def test_nothing_at_all_still_makes_a_page() -> None:
    page = render(ReportData("Nothing", {}, [], {}, [], {}, {}, {}))
    assert "Not audited" in page
    assert page.count("Nothing was measured.") == 4
    assert "No model yet." in page


@pytest.mark.parametrize("lost", [None, float("nan"), float("inf")])
def test_a_round_without_accuracy_leaves_a_gap_and_not_a_zero(lost: float | None) -> None:
    rows = [row(1, accuracy=0.2), row(2, accuracy=lost), row(3, accuracy=0.6), row(4, accuracy=lost)]
    page = render(replace(report(4), rounds=rows))
    assert "Round 2: 0" not in page
    chart = next(d for d in drawings(page) if d.get("aria-labelledby", "").startswith("accuracy-chart"))
    curve = chart.find(".//path")
    assert curve is not None
    assert curve.attrib["d"].count("M") == 2
    assert "nan" not in curve.attrib["d"]
    # The last value that is known is the final one.
    assert re.search(r"Final accuracy</dt><dd>60\.0 %", page)


def test_no_accuracy_at_all_is_said() -> None:
    page = render(replace(report(), rounds=[row(n, accuracy=None) for n in (1, 2, 3)]))
    assert page.count("Nothing was measured.") == 1


@pytest.mark.parametrize(("rounds", "stations"), [(1, 1), (20, 3), (20, 21), (100, 21), (400, 3), (3, 200)])
def test_each_model_is_drawn_once_or_counted_as_left_out(rounds: int, stations: int) -> None:
    page = render(report(rounds, stations))
    drawn = page.count(" attested by ") // 2  # in title and label
    left_out = re.search(r">(\d+) models are left out", page)
    assert drawn + (int(left_out[1]) if left_out else 0) == rounds
    assert len(page) < 1_500_000


def test_gas_is_counted_per_operation() -> None:
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", render(report()))
    at = cells.index("submitUpdate")
    assert cells[at : at + 6] == ["submitUpdate", "3", "66,000", "66,010", "70,000", "202,010"]
    assert cells[cells.index("All") :][:6] == ["All", "4", "", "", "", "236,010"]


def test_time_that_no_phase_accounts_for_is_shown() -> None:
    slow = [replace(row(n), seconds=5.0) for n in (1, 2, 3)]
    assert "other 3.00 s" in render(replace(report(), rounds=slow))
    assert ">other<" not in render(report())


# Scales


@given(ends=st.tuples(*[st.floats(0, 1e9)] * 2))
def test_gridlines_enclose_the_values_evenly(ends: tuple[float, float]) -> None:
    low, high = sorted(ends)
    lines = ticks(low, high, Axis("", str, str))
    assert 2 <= len(lines) <= 8
    assert lines[0] <= low * (1 + 1e-6) + 1e-9
    assert lines[-1] >= high * (1 - 1e-6) - 1e-9
    steps = [after - before for before, after in pairwise(lines)]
    assert min(steps) > 0
    assert max(steps) == pytest.approx(min(steps), rel=1e-3, abs=1e-9)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_every_point_lies_inside_the_chart(values: list[float]) -> None:
    points = [Point(str(place), value, "") for place, value in enumerate(values)]
    chart = line_chart("key", "Accuracy", points, Axis("", str, str, ceiling=1.0))
    heights = [float(y) for y in re.findall(r'cy="([-\d.]+)"', chart)]
    assert len(heights) == len(values) + 1  # the last one is marked twice
    assert all(-0.01 <= y <= HEIGHT + 0.01 for y in heights)
