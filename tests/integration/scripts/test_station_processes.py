"""Each station its own process: the same head as in one process, whoever dies, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scripts.commands import TINY, Place
from tests.integration.scripts.warm import Aim, Warm, start

pytestmark = pytest.mark.integration

ROUNDS = 4
SECONDS = 90  # against a hang


def station(place: Place, folder: Path, index: int, *arguments: str, aim: Aim | None = None) -> Warm:
    """One of a devnet's stations, following the tiny twin."""
    options = ("--twin", "tiny", "--account", str(index), "--trust", TINY[1], "--json", *arguments)
    return start(place.home, folder / f"station-{index}", "station", options, aim)


def lines(run: Warm) -> list[dict[str, Any]]:
    """What it has said so far."""
    text = run.out.read_text() if run.out.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def said(run: Warm, event: str, number: int) -> Callable[[], bool]:
    return lambda: any((line["event"], line["round"]) == (event, number) for line in lines(run))


def wait_for(what: Callable[[], bool], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


@contextmanager
def ended(runs: Sequence[Warm]) -> Iterator[None]:
    try:
        yield
    finally:
        for run in runs:
            run.process.kill()
            run.process.join()


def enrol(place: Place, *options: str) -> None:
    """Register the twin without any station's process."""
    done = place.run("rounds", *TINY, "--enrol-only", *options)
    assert done.code == 0, done


def test_three_processes_reach_the_head_of_one_process_though_one_is_killed_in_mid_round(
    place: Place, fresh: Place, tmp_path: Path
) -> None:
    enrol(place)
    until = ("--rounds", str(ROUNDS))
    others = [station(place, tmp_path, index, *until) for index in (1, 2)]
    # In its second round: trained and stored, and nothing of it is on the chain.
    aim = Aim("chain.round_ledger:RoundLedger.submit_update", 2)
    killed = station(place, tmp_path, 3, *until, aim=aim)
    with ended([*others, killed]):
        assert killed.join() == -signal.SIGKILL, killed.err.read_text()
        assert not said(others[0], "head", 2)(), "the others wait for its update"
        again = station(place, tmp_path, 3, *until)
        with ended([again]):
            runs = [*others, again]
            assert [run.join(SECONDS) for run in runs] == [0, 0, 0], [run.err.read_text() for run in runs]
    assert fresh.rounds(ROUNDS).lines()[-1]["model"] == fresh.head() == place.head()
    for run in runs:
        rounds = [line for line in lines(run) if line["event"] != "slot"]  # told by a thread of its own
        assert rounds[-1]["event"] == "head"
        assert rounds[-1]["round"] == ROUNDS
    (caught_up,) = (line for line in lines(again)[:1])
    assert (caught_up["event"], caught_up["round"]) == ("head", 1)


def test_without_a_dead_station_a_quorum_goes_on_and_says_for_whom_it_waits(place: Place, tmp_path: Path) -> None:
    enrol(place, "--submit-window", "8", "--attest-window", "10")
    alive = [station(place, tmp_path, index, "--rounds", "2") for index in (1, 2)]
    with ended(alive):
        assert [run.join(SECONDS) for run in alive] == [0, 0], [run.err.read_text() for run in alive]
    waits = [line for line in lines(alive[0]) if line["event"] == "waiting" and "updates of 1 station" in line["why"]]
    dead = place.lacks("tiny", 1)
    assert len(dead) == 1
    assert waits
    assert all(line["missing"] == dead for line in waits)
    place.head()


def test_a_station_alone_says_that_there_is_no_quorum_and_sigterm_ends_it(place: Place, tmp_path: Path) -> None:
    enrol(place, "--submit-window", "3", "--attest-window", "30")
    alone = station(place, tmp_path, 1, "--follow")
    with ended([alone]):
        wait_for(lambda: any("no quorum: 2 of 3 stations are away" in str(line.get("why")) for line in lines(alone)))
        assert alone.process.pid is not None
        os.kill(alone.process.pid, signal.SIGTERM)
        assert alone.join() == 128 + signal.SIGTERM
        assert "Traceback" not in alone.err.read_text()


def test_rounds_with_processes_tell_the_same_as_in_one_process_and_bring_back_who_died(
    place: Place, fresh: Place, tmp_path: Path
) -> None:
    command = ("--rounds", str(ROUNDS), *TINY, "--json", "--processes")
    run = start(place.home, tmp_path / "run", "rounds", command)
    wait_for(lambda: len(_stations_of(place.home)) == 3 and bool(lines(run)))
    pids = _stations_of(place.home)
    os.kill(pids[-1], signal.SIGKILL)
    assert run.join(SECONDS) == 0, run.err.read_text()
    told = {line["round"]: line for line in lines(run)}
    one = {line["round"]: line for line in fresh.rounds(ROUNDS).lines()}
    assert list(told) == list(range(1, ROUNDS + 1))
    for number, line in told.items():
        assert [line[k] for k in ("model", "parent", "stations")] == [
            one[number][k] for k in ("model", "parent", "stations")
        ]
        assert line["missing"] == []
    assert "ended with signal 9; started again" in run.err.read_text()
    assert _stations_of(place.home) == []
    assert place.head() == fresh.head()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_station_outlives_rounds(place: Place, tmp_path: Path, number: signal.Signals) -> None:
    run = start(place.home, tmp_path / "run", "rounds", ("--rounds", "500", *TINY, "--json", "--processes"))
    wait_for(lambda: len(_stations_of(place.home)) == 3)
    if number is signal.SIGINT:
        wait_for(lambda: bool(lines(run)))
    assert run.process.pid is not None
    os.kill(run.process.pid, number)
    assert run.join() == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -number)
    assert "Traceback" not in run.err.read_text()
    wait_for(lambda: _stations_of(place.home) == [], 10)


def test_a_station_takes_nothing_from_a_twin_that_its_operator_has_not_allowed(place: Place, tmp_path: Path) -> None:
    enrol(place)
    height = place.snapshot()[0]
    for arguments, words in (
        (("--twin", "tiny", "--account", "1", "--rounds", "1"), f"allow it with --trust {TINY[1]}"),
        (("--twin", "nobody", "--account", "1", "--rounds", "1"), "expected a registered twin, got nobody"),
        (("--twin", "tiny", "--account", "9", "--rounds", "1", "--trust", TINY[1]), "expected a registered station"),
        (("--twin", "tiny", "--account", "1"), "--rounds and --follow"),
        (("--twin", "tiny", "--rounds", "1"), "--key and --account"),
        (("--account", "1", "--twin", "tiny", "--trust", TINY[1], "--rounds", "1", "--devices", "1,9"), "--devices"),
        (("--account", "1", "--twin", "tiny", "--trust", TINY[1], "--rounds", "1", "--devices", "x"), "--devices"),
    ):
        finished = place.run("station", *arguments)
        assert finished.code == 2, finished
        assert words in finished.err
        assert len(finished.err.splitlines()) == 1
    assert place.snapshot()[0] == height


def _stations_of(home: Path) -> list[int]:
    """Processes of stations that work in this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and str(home) in words and any(word.endswith("scripts/station.py") for word in words):
            found.append(int(entry.name))
    return sorted(found)
