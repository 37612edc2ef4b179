"""Whatever kills a run, the same command again completes it, and nobody could tell that it was interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.integration.scripts.commands import PROJECT, TINY, Place
from tests.integration.scripts.warm import start

pytestmark = pytest.mark.integration

ROUNDS = 16
KILLS = 5


def test_kill_9_at_five_random_points_and_the_same_command_completes_to_the_same_head(
    place: Place, fresh: Place, tmp_path: Path
) -> None:
    uninterrupted = fresh.rounds(ROUNDS)
    assert uninterrupted.code == 0, uninterrupted
    assert [line["round"] for line in uninterrupted.lines()] == list(range(1, ROUNDS + 1))

    # Counted from the first round on, so that the kill falls into rounds and not into imports.
    moments = random.Random(7)
    for _ in range(KILLS):
        run = start(place.home, tmp_path / "killed", "rounds", ("--rounds", str(ROUNDS), *TINY, "--json"))
        while run.process.is_alive() and not (run.out.exists() and run.out.read_text()):
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.2))
        run.process.kill()
        assert run.join() == -signal.SIGKILL, run.err.read_text()
        assert _children_of(run.process.pid) == []
        run.out.unlink()
    resumed = place.rounds(ROUNDS)
    assert resumed.code == 0, resumed
    assert place.head() == fresh.head() == uninterrupted.lines()[-1]["model"]
    again = place.rounds(ROUNDS)
    assert (again.code, again.out) == (0, ""), "a run that has reached its round has nothing to do"


def test_ctrl_c_at_a_terminal_ends_with_130_and_without_a_traceback_and_the_run_resumes(place: Place) -> None:
    arguments = (*TINY[:-1], "interrupted")
    terminal, inner = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "scripts/rounds.py", "--rounds", "500", *arguments],
        cwd=PROJECT,
        env={**os.environ, "TWINLEDGER_HOME": str(place.home), "TERM": "xterm", "COLUMNS": "120"},
        stdin=inner,
        stdout=inner,
        stderr=inner,
        # A terminal of its own, so that Ctrl-C is what the kernel makes of it: a signal to all in the foreground.
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(inner)
    shown = _read_until(terminal, b"0x")  # the first round's digest
    os.write(terminal, b"\x03")
    shown += _read_until(terminal, None)
    assert process.wait(60) == 130, shown
    text = shown.decode()
    assert "accuracy" in text
    assert "Traceback" not in text
    assert text.rstrip().removesuffix("\x1b[0m").endswith("interrupted")
    assert "\x1b[?25h" in text, "the cursor is shown again"
    assert _children_of(process.pid) == []
    assert place.rounds(3, data=arguments).code == 0
    place.head("interrupted")


def test_a_chain_that_dies_in_the_middle_is_one_line_and_a_new_one_is_told_apart(own: Place, tmp_path: Path) -> None:
    command = ("--rounds", "500", *TINY, "--json")
    run = start(own.home, tmp_path / "run", "rounds", command)
    while run.process.is_alive() and not (run.out.exists() and run.out.read_text()):
        time.sleep(0.005)
    os.kill(int(json.loads(own.run("devnet", "status", "--json").out)["pid"]), signal.SIGKILL)
    assert run.join() == 2
    (line,) = run.err.read_text().splitlines()
    assert "is a node running there?" in line
    finished = own.rounds(2)
    assert finished.code == 2
    assert "no devnet is running" in finished.err
    # The new chain has the same id and gives the same addresses, but nothing is on it.
    assert own.spawn("devnet", "up", "--port", "0").code == 0
    finished = own.rounds(2)
    assert finished.code == 2
    assert "deploy anew" in finished.err
    assert own.run("deploy").code == 0
    assert own.rounds(2).code == 0
    own.head()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_chain_outlives_the_demo(tmp_path: Path, number: signal.Signals) -> None:
    run = start(tmp_path / "home", tmp_path / "run", "demo", ("--rounds", "20"))
    log = tmp_path / "home" / "demo" / "chain.log"
    while run.process.is_alive() and "deploy" not in (run.out.read_text() if run.out.exists() else ""):
        time.sleep(0.01)
    assert len(_users_of(log)) >= 1, "the chain runs"
    time.sleep(0.3)
    assert run.process.pid is not None
    os.kill(run.process.pid, number)
    assert run.join() == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in run.err.read_text()
    deadline = time.monotonic() + 10  # a process that was sent SIGKILL takes a moment to be gone
    while _users_of(log) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _users_of(log) == []


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    """Read what a terminal shows up to ``wanted``, or to the end."""
    shown = b""
    while wanted is None or wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, shown
        try:
            part = os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            part = b""
        if not part:
            break
        shown += part
    return shown


def _children_of(pid: int | None) -> list[str]:
    """Processes that were started by ``pid``, or in its session, and run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if state != "Z" and str(pid) in (parent, session):
            found.append(stat.parent.name)
    return found


def _users_of(file: Path) -> list[str]:
    """Command lines of the processes that have ``file`` open."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if file in [descriptor.readlink() for descriptor in (entry / "fd").iterdir()]:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
