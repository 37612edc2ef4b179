"""Programs that this process starts and looks after: brought back when they die, ended when it ends, whatever ends it.

Each has a log file of its own, to which it adds; none hears this terminal's Ctrl-C, for they are ended in order.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import psutil  # type: ignore[import-untyped]

from chain.hardhat_node import tail
from devnet.tied import tied

_GRACE = 10.0  # seconds that a program may take to end
_LONGEST = 30.0  # seconds between attempts to start what always dies
_LINE = 200  # characters of a log's last words
_STEADY = 60.0  # seconds after which a program counts as one that runs


@dataclass(frozen=True)
class Program:
    """A program that is to run all the time.

    Attributes:
        name: for people.
        command: words; the first is its path.
        environment: all of it.
        log: file for what it says.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path


@dataclass
class Child:
    """A program, and its process if it has one.

    Attributes:
        program: what.
        process: as it was started last; None before, and between two starts.
    """

    program: Program
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    begun: float = 0.0
    again: float = field(default=0.0)


class Children:
    """Programs in the order in which they are started; they are ended in the other one."""

    def __init__(self, pidfile: Path, notice: Callable[[str], None]) -> None:
        """Start nothing yet.

        Args:
            pidfile: for this process's number: whoever is started checks that its parent is this one.
            notice: told who died.
        """
        self._pidfile, self._notice = pidfile, notice
        self._children: list[Child] = []

    def add(self, program: Program) -> Child:
        """Start a program."""
        if not self._children:  # once: a program that was started a moment ago may be about to read it
            self._pidfile.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._pidfile.write_text(str(os.getpid()), encoding="ascii")
        child = Child(program)
        self._children.append(child)
        self._start(child)
        return child

    def tend(self) -> None:
        """Start those again that died: at once, and later and later if they go on dying."""
        for child in self._children:
            code = None if child.process is None else child.process.poll()
            if code is not None:
                why = f"{_said(code)}{_last_words(child.program.log)}"
                self._notice(f"{child.program.name} ended with {why}; started again (log: {child.program.log})")
                child.deaths = 1 if monotonic() - child.begun > _STEADY else child.deaths + 1
                child.process, child.again = None, monotonic() + min(_LONGEST, 2.0 ** (child.deaths - 1) - 1)
            if child.process is None and monotonic() >= child.again:
                self._start(child)

    def stop(self) -> None:
        """End all, the last first: politely, and after a grace for good. Twice is fine."""
        alive = [child for child in reversed(self._children) if child.process is not None]
        started = [one for child in alive for one in _started_by(child)]
        for child in alive:
            _signal(child, signal.SIGTERM)
        deadline = monotonic() + _GRACE
        for child in alive:
            assert child.process is not None
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - monotonic()))
            _signal(child, signal.SIGKILL)
            child.process.wait()
        for process in started:  # what they have started, in groups of its own, and what that has
            with suppress(psutil.Error):
                process.kill()
        self._children.clear()

    def tied(self, command: Sequence[str]) -> list[str]:
        """Return a command that ends when this process does, whatever ends that; after the first `add`."""
        return tied(self._pidfile, command)

    def _start(self, child: Child) -> None:
        words = self.tied(child.program.command)
        with child.program.log.open("ab") as log:
            child.process = subprocess.Popen(
                words,
                env=dict(child.program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        child.begun = monotonic()


def _started_by(child: Child) -> list[psutil.Process]:
    assert child.process is not None
    found: list[psutil.Process] = []
    with suppress(psutil.Error):
        found = psutil.Process(child.process.pid).children(recursive=True)
    return found


def _signal(child: Child, number: signal.Signals) -> None:
    """Signal a program and what it has started in its group."""
    assert child.process is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _last_words(log: Path) -> str:
    """Return the last line of a log, for the notice: whoever reads that may not have the log any more."""
    said = tail(log).strip().rpartition("\n")[2]
    return f" ({said[-_LINE:]})" if said else ""


def _said(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
