"""The runs that overhead and scaling compare, on a real chain: the same work, whatever is recorded of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine_tables import overhead_rows, scaling_rows
from benchmarks.runs import DIRECTORY, MEMORY, PLAIN, Job, measure

pytestmark = pytest.mark.integration

ENGINE = {"kind": "loop", "workers": 0, "cohort": None}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return {
        mode: measure(asdict(Job("mlp", 5, 3, 2, mode, ENGINE)), tmp_path_factory.mktemp("run"))
        for mode in (PLAIN, MEMORY, DIRECTORY)
    }


def test_all_modes_learn_alike(runs: dict[str, dict[str, Any]]) -> None:
    losses = [run["loss"] for run in runs.values()]
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-3)


def test_both_stores_hold_the_same_artifacts(runs: dict[str, dict[str, Any]]) -> None:
    assert runs[MEMORY]["stored bytes"] == runs[DIRECTORY]["stored bytes"] > 5 * 25_000


def test_a_recorded_run_has_all_that_the_tables_ask_for(runs: dict[str, dict[str, Any]]) -> None:
    headings, lines = overhead_rows({"runs": {mode: [run] for mode, run in runs.items()}})
    assert [line[0] for line in lines] == list(runs)
    _, (line,) = scaling_rows({"rows": {"5": {"devices": 5, "stations": 3, **runs[DIRECTORY]}}})
    assert len(line) == len(scaling_rows({"rows": {"5": {"devices": 5, "stations": 3, **runs[MEMORY]}}})[0])
    assert {len(cells) for cells in lines} == {len(headings)}


def test_a_round_is_six_transactions(runs: dict[str, dict[str, Any]]) -> None:
    assert [one["transactions"] for one in runs[DIRECTORY]["rounds"]] == [6, 6]


def test_memory_is_told_by_kind_of_process(runs: dict[str, dict[str, Any]]) -> None:
    found = runs[DIRECTORY]["peak MB"]
    assert found["this"] > 50
    assert found["chain"] > 20


def test_a_run_in_the_consortium_needs_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected the home of a consortium"):
        measure(asdict(Job("mlp", 5, mode="geth, Kubo", engine=ENGINE)), tmp_path)
