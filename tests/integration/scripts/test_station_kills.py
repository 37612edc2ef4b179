"""kill -9 of any station at any moment: a quorum goes on, without one it stalls and says so, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scripts.commands import Place
from tests.integration.scripts.test_station_processes import ended, enrol, lines, said, station, wait_for
from tests.integration.scripts.warm import Warm

pytestmark = pytest.mark.integration

ROUNDS = 20
KILLS = 10
PATIENCE = 240  # seconds, against a hang


def live(place: Place, folder: Path, index: int, rounds: int = ROUNDS) -> Warm:
    folder.mkdir(exist_ok=True)
    return station(place, folder, index, "--rounds", str(rounds))


def kill(run: Warm) -> None:
    assert run.process.pid is not None
    os.kill(run.process.pid, signal.SIGKILL)
    assert run.join() == -signal.SIGKILL


def head_of(runs: list[Warm]) -> int:
    return max((line["round"] for run in runs for line in lines(run) if line["event"] == "head"), default=0)


def final_rounds(place: Place) -> list[dict[str, Any]]:
    """What an audit tells of every round; it must be clean."""
    finished = place.audit("tiny")
    assert finished.code == 0, finished
    (report,) = finished.lines()
    return [line for line in report["rounds"] if line["round"]]  # the genesis is round 0


def test_any_station_killed_at_ten_random_points_of_twenty_rounds_costs_no_round_and_no_digest(
    place: Place, fresh: Place, tmp_path: Path
) -> None:
    enrol(place)
    chance = random.Random("ten kills")
    runs = [live(place, tmp_path / "life-0", index) for index in (1, 2, 3)]
    lives: list[Warm] = list(runs)
    with ended(lives):
        for turn in range(KILLS):
            wait_for(lambda turn=turn: head_of(lives) >= turn * (ROUNDS - 2) // KILLS, PATIENCE)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 1.5))  # anywhere between two heads: training, storing, sending, voting
            struck = chance.randrange(3)
            kill(runs[struck])
            runs[struck] = live(place, tmp_path / f"life-{turn + 1}", struck + 1)
            lives.append(runs[struck])
        assert [run.join(PATIENCE) for run in runs] == [0, 0, 0], [run.err.read_text() for run in runs]
    told = final_rounds(place)
    assert [line["round"] for line in told] == list(range(1, ROUNDS + 1))
    assert all(line["missing"] == [] for line in told)
    assert fresh.rounds(ROUNDS).lines()[-1]["model"] == fresh.head() == place.head()


def test_without_a_quorum_the_run_stalls_and_says_so_and_goes_on_when_a_station_is_back(
    place: Place, tmp_path: Path
) -> None:
    enrol(place, "--submit-window", "4", "--attest-window", "5")
    first = [live(place, tmp_path / "first", index, 4) for index in (1, 2, 3)]
    with ended(first):
        wait_for(lambda: head_of(first) >= 1)
        kill(first[1])
        kill(first[2])
        alone = first[0]
        wait_for(lambda: any("no quorum: 2 of 3 stations are away" in str(line.get("why")) for line in lines(alone)))
        reached = head_of(first)
        wait_for(lambda: any(line["event"] == "aborted" for line in lines(alone)))
        assert head_of(first) == reached, "one of three made a model final by itself"
        back = live(place, tmp_path / "back", 2, 4)
        with ended([back]):
            assert [run.join(PATIENCE) for run in (alone, back)] == [0, 0], (
                alone.err.read_text(),
                back.err.read_text(),
            )
            assert said(back, "head", 4)()
    told = final_rounds(place)
    assert told[-1]["missing"], "the round that two stations finished tells who was missing"
