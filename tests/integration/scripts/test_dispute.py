"""Disputes by hand: who accuses whom stands on the chain, and what the record refutes is refused before it is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scripts.commands import Finished, Place
from tests.integration.scripts.test_station_processes import ended, enrol, said, station, wait_for

pytestmark = pytest.mark.integration


def dispute(place: Place, *arguments: str) -> Finished:
    return place.run("dispute", *arguments)


def shown(place: Place) -> list[dict[str, Any]]:
    done = dispute(place, "show", "--twin", "tiny", "--json")
    assert done.code == 0, done
    return list(json.loads(done.out))


def test_two_of_three_accusers_have_an_update_rejected_and_the_run_goes_on_without_it(
    place: Place, tmp_path: Path
) -> None:
    enrol(place, "--submit-window", "15", "--attest-window", "30")
    alone = station(place, tmp_path, 1, "--follow")
    with ended([alone]):
        wait_for(said(alone, "submitted", 1))
    accused = json.loads(place.run("guard", "status", "--json").out)[0]["station"]
    where = ("--twin", "tiny", "--round", "1", "--station", accused, "--text", "see ticket 17")
    for account, last in (("2", "accused"), ("3", "rejected")):
        done = dispute(place, "accuse", *where, "--account", account)
        assert done.code == 0, done
        assert f"station {accused} is accused" in done.out
        assert (shown(place)[-1]["what"], shown(place)[-1]["who"]) == (last, accused)
    again = dispute(place, "accuse", *where, "--account", "2")
    assert again.code == 2
    assert len(again.err.splitlines()) == 1
    others = [station(place, tmp_path, index, "--rounds", "1") for index in (2, 3)]
    with ended(others):
        assert [run.join(90) for run in others] == [0, 0], [run.err.read_text() for run in others]
    assert place.lacks("tiny", 1) == [accused]
    told = place.run("audit", "tiny").out
    assert f"accused [round 1] {accused}" in " ".join(told.split())
    assert "excluded by the consortium" in told


def test_what_the_record_refutes_is_refused_before_it_costs_gas(place: Place, tmp_path: Path) -> None:
    assert place.rounds(2).code == 0
    report = place.audit().lines()[0]
    accused = report["rounds"][1]["stations"][0]["station"]
    receipts = sorted((place.home / "receipts").iterdir())
    assert len(receipts) == 6
    kept = next(file for file in receipts if json.loads(file.read_text())["station"] == accused)
    device = kept.stem
    garbage = tmp_path / "garbage.json"
    garbage.write_text("{}")
    height = place.snapshot()[0]
    where = ("--twin", "tiny", "--round", "1", "--station", accused)
    for arguments, words in (
        (("challenge-omitted", "--receipt", str(kept)), "got one that counts in round 1"),
        (("challenge-omitted", "--receipt", str(kept), "--round", "2"), "expected one receipt, got 0 of: round 1"),
        (("challenge-omitted", "--receipt", str(garbage)), "expected a receipt"),
        (("challenge-invented", *where, "--device", device), "expected one that wasn't in the roster"),
        (("challenge-invented", *where, "--device", accused), "among its 2 contributions, got others"),
        (("prove-forgery", *where, "--device", device), "there is no forgery"),
        (("accuse", *where, "--text", "too late"), "round"),
        (("accuse", *where), "--evidence and --text"),
    ):
        done = dispute(place, *arguments, "--account", "2")
        assert done.code == 2, (arguments, done)
        assert words in done.err, (arguments, done.err)
        assert len(done.err.splitlines()) == 1
    assert dispute(place, "answer", "--twin", "tiny", "--account", "2").code == 0
    assert dispute(place, "settle", "--twin", "tiny", "--account", "2").code == 1
    assert shown(place) == []
    assert place.snapshot()[0] == height
