"""Whatever kills a run, the same command again completes it, and nobody could tell that it was interrupted."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.integration.scripts.commands import TINY, Place, kill_when

pytestmark = pytest.mark.integration

ROUNDS = 30
KILLS = 5


def test_kill_9_at_five_random_points_and_the_same_command_completes_to_the_same_head(
    place: Place, fresh: Place
) -> None:
    uninterrupted = fresh.rounds(ROUNDS)
    assert uninterrupted.code == 0, uninterrupted
    assert [line["round"] for line in uninterrupted.lines()] == list(range(1, ROUNDS + 1))

    # Counted from the first round on, so that the kill falls into rounds and not into imports.
    moments = random.Random(7)
    killed = 0
    done: list[int] = []
    while killed < KILLS:
        process = place.start("rounds", "--rounds", str(ROUNDS), *TINY, "--json")
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, process.communicate()
        finished = kill_when(process, moments.uniform(0, 0.25))
        assert finished.code == -signal.SIGKILL, finished
        killed += 1
        done.append(len(finished.out.splitlines()) + 1)
    resumed = place.rounds(ROUNDS)
    assert resumed.code == 0, resumed
    assert place.head() == fresh.head() == uninterrupted.lines()[-1]["model"]
    again = place.rounds(ROUNDS)
    assert (again.code, again.out) == (0, ""), "a run that has reached its round has nothing to do"


def test_ctrl_c_ends_with_130_and_without_a_traceback_and_the_run_resumes(place: Place) -> None:
    arguments = (*TINY[:-1], "interrupted")
    process = place.start("rounds", "--rounds", str(ROUNDS), *arguments, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    stopped = kill_when(process, 0.05, signal.SIGINT)
    assert stopped.code == 130, stopped
    assert "Traceback" not in stopped.err
    assert place.rounds(ROUNDS, data=arguments).code == 0
    place.head("interrupted")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_chain_outlives_the_demo(tmp_path: Path, number: signal.Signals) -> None:
    home = Place(tmp_path)
    process = home.start("demo", "--rounds", "20")
    assert process.stdout is not None
    process.stdout.readline()  # the chain runs
    kill_when(process, 1.0, number)
    deadline = time.monotonic() + 10  # a process that was sent SIGKILL takes a moment to be gone
    while _nodes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _nodes_of(tmp_path) == []


def _nodes_of(home: Path) -> list[str]:
    """Command lines of processes that still have a file of ``home`` open."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                links = [file.readlink() for file in (entry / "fd").iterdir()]
                if any(str(link).startswith(str(home)) for link in links):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found
