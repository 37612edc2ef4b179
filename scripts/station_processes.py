"""Stations as processes of their own on this machine: started, brought back when they die, ended.

Each is ``scripts/station.py`` as an operator would start it. It writes to ``FOLDER/NAME.jsonl`` and
``FOLDER/NAME.err``, not to a pipe, so that it never waits for a reader; both begin anew with each run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from chain.errors import DevnetError
from devnet.tied import tied
from scripts.cli import FAILED
from scripts.setup import ROOT
from scripts.told import lines_since
from twins.types import Address

_SCRIPT = ROOT / "scripts" / "station.py"
_RESTARTS = 5  # in a row, without a step in between
_GRACE = 10.0  # seconds that a station may take to end
_USELESS = (FAILED,)  # exit codes after which a new start needs a longer pause: what was wrong may still be


@dataclass(frozen=True)
class StationCommand:
    """A station that is to run.

    Attributes:
        name: of its files.
        station: its account.
        options: of ``scripts/station.py``.
        environment: beside this process's own.
    """

    name: str
    station: Address
    options: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Child:
    command: StationCommand
    out: Path
    err: Path
    process: subprocess.Popen[bytes] | None = None
    read: int = 0  # bytes of its output
    deaths: int = 0  # in a row
    again_at: float | None = None  # when to start it anew
    given_up: bool = False


class StationProcesses:
    """The stations of one run; a context manager that leaves none behind."""

    def __init__(
        self, folder: Path, commands: Sequence[StationCommand], *, restart: bool, notice: Callable[[str], None]
    ) -> None:
        """Start nothing yet.

        Args:
            folder: for their output.
            commands: one per station.
            restart: whether one that died is started again.
            notice: told who died and why.
        """
        self._folder, self._restart, self._notice = folder, restart, notice
        self._children = [_Child(c, folder / f"{c.name}.jsonl", folder / f"{c.name}.err") for c in commands]

    def __enter__(self) -> Self:
        """Start all."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._folder / "rounds.pid").write_text(str(os.getpid()), encoding="ascii")
        for child in self._children:
            for file in (child.out, child.err):
                file.write_bytes(b"")
        try:
            for child in self._children:
                self._start(child)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End all."""
        self.stop()

    @property
    def stations(self) -> tuple[Address, ...]:
        """Accounts of all, by index."""
        return tuple(child.command.station for child in self._children)

    @property
    def running(self) -> tuple[Address, ...]:
        """Accounts of those that run."""
        return tuple(c.command.station for c in self._children if c.process is not None and c.process.poll() is None)

    def told(self) -> list[tuple[Address, dict[str, Any]]]:
        """Return what the stations said since the last call, each with its station's account."""
        lines: list[tuple[Address, dict[str, Any]]] = []
        for child in self._children:
            before = child.read
            child.read, said = lines_since(child.out, child.read)
            lines += [(child.command.station, line) for line in said]
            if child.read > before:
                child.deaths = 0
        return lines

    def tend(self) -> None:
        """Start those again that died.

        Raises:
            DevnetError: no station is left.
        """
        for child in self._children:
            code = None if child.process is None else child.process.poll()
            if code is not None:
                self._died(child, code)
            elif child.again_at is not None and monotonic() >= child.again_at:
                self._start(child)
        if all(child.given_up for child in self._children):
            raise DevnetError(
                f"expected stations that run, got none that can be started: see {self._folder}/*.err, mend that, and "
                f"run the same command again"
            )

    def stop(self) -> None:
        """End all: politely, and after a grace for good. Twice is fine."""
        alive = [child.process for child in self._children if child.process is not None]
        for process in alive:
            process.terminate()
        deadline = monotonic() + _GRACE
        for process in alive:
            try:
                process.wait(max(0.0, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in self._children:
            child.process, child.again_at = None, None

    def _start(self, child: _Child) -> None:
        """Start a station: deaf to this terminal's Ctrl-C, and dead when this process is, however it ends."""
        words = [sys.executable, str(_SCRIPT), *child.command.options, "--json"]
        with child.out.open("ab") as out, child.err.open("ab") as err:
            child.process = subprocess.Popen(
                tied(self._folder / "rounds.pid", words),
                env={**os.environ, **child.command.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        child.again_at = None

    def _died(self, child: _Child, code: int) -> None:
        child.process = None
        if code == 0:  # the head is where it was to be
            child.given_up = False
            return
        child.deaths += 1
        why = f"{child.command.name} ended with {_said(code)}{_last_line(child.err)}"
        if self._restart and child.deaths <= _RESTARTS:
            pause = child.deaths * (1.0 if code in _USELESS else 0.2)
            child.again_at = monotonic() + pause
            self._notice(f"{why}; started again")
            return
        child.given_up = True
        self._notice(f"{why}; not started again" + (f" after {_RESTARTS} times" if self._restart else ""))


def _said(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return f" ({lines[-1][:300]})" if lines and lines[-1].startswith("error: ") else ""
