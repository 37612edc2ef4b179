"""Who takes part, decided by commands: admitted, weighed, suspended, reinstated, elected."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.scripts.commands import Place

pytestmark = pytest.mark.integration


def status(place: Place) -> list[dict[str, Any]]:
    done = place.run("guard", "status", "--json")
    assert done.code == 0, done
    return list(json.loads(done.out))


def guard(place: Place, account: int, *arguments: str) -> dict[str, Any]:
    done = place.run("guard", *arguments, "--account", str(account), "--json")
    assert done.code == 0, done
    return done.lines()[0]


def test_two_of_three_stations_suspend_the_third_and_the_run_goes_on_without_it(place: Place) -> None:
    assert place.rounds(1).code == 0
    first, second, third = (row["station"] for row in status(place))
    assert guard(place, 1, "vote", second, "--text", "attests to what it has not computed")["suspended"] is False
    assert status(place)[1]["votes_against"] == [first]
    assert guard(place, 3, "vote", second, "--text", "the same")["suspended"] is True
    assert status(place)[1]["suspended"] is True
    assert place.rounds(2).lines()[-1]["stations"] == 2
    guard(place, 0, "reinstate", second)
    assert place.rounds(3).lines()[-1]["stations"] == 3
    done = place.audit()
    assert done.code == 0, done
    (report,) = done.lines()
    assert [(i["kind"], i["who"]) for i in report["incidents"] if i["who"] == second] == [
        ("suspended", second),
        ("reinstated", second),
    ]
    assert third == status(place)[2]["station"]


def test_the_guardian_suspends_at_once_but_not_a_second_station_in_the_same_epoch(place: Place) -> None:
    assert place.rounds(1).code == 0
    first, second, _ = (row["station"] for row in status(place))
    guard(place, 0, "suspend", first, "--text", "key stolen")
    done = place.run("guard", "suspend", second, "--text", "key stolen", "--account", "0")
    assert done.code == 2
    assert "epoch" in done.err.lower()
    assert [row["suspended"] for row in status(place)] == [True, False, False]


def test_ballots_weigh_what_their_stations_host_and_the_elected_are_the_electorate(place: Place) -> None:
    assert place.rounds(1).code == 0
    stations = [row["station"] for row in status(place)]
    for station, weight in zip(stations, ("10", "1", "2"), strict=True):
        guard(place, 0, "weigh", station, weight)
    guard(place, 1, "ballot", stations[2])
    guard(place, 2, "ballot", stations[0], stations[1])
    assert guard(place, 3, "elect", "2")["producers"] == [stations[0], stations[2]]
    assert [row["producer"] for row in status(place)] == [True, False, True]
    assert place.rounds(2).lines()[-1]["stations"] == 2
    assert place.audit().code == 0
    again = place.run("guard", "elect", "2", "--account", "1")
    assert again.code == 2


def test_a_stranger_decides_nothing(place: Place) -> None:
    assert place.rounds(1).code == 0
    victim = status(place)[0]["station"]
    height = place.snapshot()[0]
    for arguments in (
        ("admit", "0x00000000000000000000000000000000000000AA"),
        ("suspend", victim, "--text", "no reason"),
        ("vote", victim, "--text", "no reason"),
        ("reinstate", victim),
        ("weigh", victim, "7"),
        ("ballot", victim),
        ("elect", "1"),
    ):
        done = place.run("guard", *arguments, "--account", "9")
        assert done.code == 2, (arguments, done)
        assert "Traceback" not in done.err
    assert place.snapshot()[0] == height
