"""The report: hostile strings stay text, the file stands alone, everyone can read it, the verdict is earned."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.report import ReportData, Tampering, render
from scripts.report.markup import Markup, tag, text
from tests.unit.scripts.reports import FINDING, Page, audit, drawings, report, row

pytestmark = pytest.mark.unit

ATTACKS = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)><p title='",
    "' onload='alert(1)",
    "</title></style></svg><iframe src=//evil.example>",
    "<![CDATA[<script>]]>-->&lt;script&gt;&#60;b&#62;",
    "javascript:alert(1)",
]


def hostile(attack: str) -> ReportData:
    """Put an attack everywhere that a string of others can reach."""
    finding = dict.fromkeys(("check", "where", "expected", "got"), attack)
    record = audit(2, 2, [finding], name=attack)
    record["head"]["model"] = attack
    for number in record["rounds"]:
        number["model"] = number["parent"] = attack
        number["attesters"] = [attack]
        for update in number["stations"]:
            update.update(station=attack, update=attack, rule=attack, metrics={attack: attack})
    record["uncounted"] = [dict(record["rounds"][1]["stations"][0], late=True)]
    rows = [replace(row(n), digest=attack, parent=attack, phases={attack: 1.0}) for n in (1, 2)]
    settings = {attack: attack}
    tampering = [Tampering(attack, [finding])]
    return ReportData(attack, settings, rows, record, tampering, {attack: [1]}, {attack: 1.0}, settings)


# Hostile strings


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_string_adds_no_element_and_no_attribute(attack: str) -> None:
    harmless, attacked = Page(render(hostile("harmless"))), Page(render(hostile(attack)))
    assert attacked.elements == harmless.elements
    assert attacked.attributes == harmless.attributes
    assert attack in attacked.words


@given(attack=st.text())
def test_any_string_at_all_leaves_the_drawings_well_formed(attack: str) -> None:
    page = render(hostile(attack))
    assert len(drawings(page)) == len(drawings(render(hostile("harmless"))))
    page.encode("utf-8")  # an unpaired surrogate could not be written to a file


def test_characters_that_would_disguise_an_address_are_spelt_out() -> None:
    assert text("0x12\u202e34") == "0x12\\u202e34"
    assert text("pay\u200bload\x00\x1b\ud800") == "pay\\u200bload\\u0000\\u001b\\ud800"
    assert text("Zwilling für Übung, 双子") == "Zwilling für Übung, 双子"


def test_a_megabyte_of_error_message_is_cut() -> None:
    page = render(replace(report(), tampering=[Tampering("x", [{**FINDING, "got": "A" * 1_000_000}])]))
    assert len(page) < 200_000
    assert "(1,000,000 characters)" in page


def test_only_markup_passes_unescaped() -> None:
    assert tag("p", "<b>", Markup("<i></i>"), title='"') == '<p title="&quot;">&lt;b&gt;<i></i></p>'


# One file


@pytest.mark.parametrize("data", [report(), report(30, 9), report(findings=[FINDING])])
def test_the_page_refers_to_nothing_outside_itself(data: ReportData) -> None:
    page = render(data)
    assert not re.search(r"https?:|//|\bsrc=|@import|url\(|<link|<script|<iframe|<object|\bon\w+=", page)
    assert {"href", "xlink:href", "srcset", "action", "data", "poster"}.isdisjoint(Page(page).attributes)


def test_a_browser_is_told_to_fetch_and_execute_nothing() -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', render(report()))
    assert policy is not None
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert "script-src" not in policy[1]


def test_equal_data_give_equal_pages() -> None:
    assert render(report()) == render(report())


def test_the_page_adapts_to_dark_screens_and_to_paper() -> None:
    page = render(report())
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


# Whoever can't see it


@pytest.mark.parametrize("rounds", [1, 3, 100])
def test_every_drawing_says_what_it_shows_or_is_hidden(rounds: int) -> None:
    for drawing in drawings(render(report(rounds))):
        named = drawing.get("role") == "img" and bool(drawing.findtext("title"))
        assert named or drawing.get("aria-hidden") == "true"


def test_every_chart_is_described_and_ids_are_unique() -> None:
    page = render(report())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {name for group in re.findall(r'labelledby="([^"]+)"', page) for name in group.split()} <= set(ids)
    charts = [drawing for drawing in drawings(page) if drawing.get("class") == "chart"]
    assert len(charts) == 4
    assert all(chart.findtext("desc") for chart in charts)


def test_every_table_has_a_caption_and_every_header_a_scope() -> None:
    page = render(report(findings=[FINDING]))
    tables = re.findall(r"<table>.*?</table>", page)
    assert len(tables) == 6
    assert all("<caption" in table for table in tables)
    assert not re.search(r"<th(?![^>]*scope=)[ >]", page)


# The verdict


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (audit(3), "Verified"),
        (audit(3, findings=[FINDING]), "Failed"),
        # The word alone does not make it so.
        ({**audit(3, findings=[FINDING]), "verdict": "verified"}, "Failed"),
        ({**audit(3), "verdict": "failed"}, "Failed"),
        ({**audit(3), "verdict": "VERIFIED"}, "Failed"),
        # A clean audit of another run.
        (audit(2), "Failed"),
        ({}, "Not audited"),
    ],
)
def test_the_verdict_is_good_only_for_a_clean_audit_of_this_run(record: dict[str, Any], word: str) -> None:
    badge = re.search(r'class="badge (\w+)">.*?<strong>([^<]+)</strong>', render(replace(report(), audit=record)))
    assert badge is not None
    assert badge[2] == word
    assert (badge[1] == "good") == (word == "Verified")


def test_a_finding_shows_what_was_expected_and_got_and_marks_the_round() -> None:
    page = render(report(findings=[{**FINDING, "expected": "this much", "got": "that much"}]))
    assert "<dd>this much</dd>" in page
    assert "<dd>that much</dd>" in page
    assert page.count('class="station bad"') == 1
    assert "the audit found something wrong here" in page


def test_a_check_that_the_report_does_not_know_is_listed_all_the_same() -> None:
    assert "<code>tier-3</code>" in render(report(findings=[{**FINDING, "check": "tier-3"}]))


def test_tampering_that_goes_unseen_is_called_so() -> None:
    page = render(replace(report(), tampering=[Tampering("seen", [FINDING]), Tampering("unseen", [])]))
    assert "1 of 2 were detected" in page
    assert re.search(r'unseen <span class="chip bad">Not detected', page)


def test_an_update_that_did_not_count_is_told_apart() -> None:
    record = audit(2, 2)
    record["uncounted"] = [{**record["rounds"][2]["stations"].pop(), "late": True}]
    page = render(replace(report(2, 2), audit=record))
    assert page.count('class="station late"') == 1
    assert "1 update not counted" in page
    assert "Updates that were recorded but counted in no model" in page
