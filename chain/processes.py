"""Processes that outlive the program that started them: told apart, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chain.errors import DevnetError

_POLL = 0.05  # seconds


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, not just a number that another may have by now.

    Attributes:
        pid: process id, and id of its process group.
        started: when it was started, in the system's own spelling; pids are reused, this pair isn't.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """Return the identity of a running process, or None when there is none (zombies are none)."""
        try:
            fields = _stat(pid)
        except OSError:
            return None if Path("/proc/self/stat").exists() else cls._of_ps(pid)
        return None if fields[0] in "ZX" else cls(pid, fields[19])

    @classmethod
    def _of_ps(cls, pid: int) -> ProcessIdentity | None:
        listed = subprocess.run(
            ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        state, _, started = listed.stdout.strip().partition(" ")
        return None if listed.returncode or not started or state.startswith("Z") else cls(pid, started.strip())

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def stop(self, grace: float = 5.0) -> None:
        """End the process with its group: politely, and after ``grace`` seconds for good. Twice is fine.

        Raises:
            DevnetError: it doesn't die, or isn't ours to end.
        """
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                if not self.alive:
                    return
                try:
                    os.killpg(self.pid, number)
                except ProcessLookupError:
                    return
                except PermissionError as error:
                    raise DevnetError(f"process {self.pid}: expected to be allowed to end it, got {error}") from error
                if self._gone_within(grace):
                    return
        finally:
            self._reap()
        raise DevnetError(f"process {self.pid}: expected it to end on SIGKILL, got a process that lives on")

    def _reap(self) -> None:
        """Take the exit code, if this program started it and goes on: else it stays in the process table."""
        with suppress(OSError):  # none is left, or it isn't our child
            fields = _stat(self.pid)
            if (fields[0], fields[19]) == ("Z", self.started):
                os.waitpid(self.pid, os.WNOHANG)

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while ProcessIdentity.of(self.pid) == self:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True


def _stat(pid: int) -> list[str]:
    """Return proc(5)'s fields from the state on: "pid (name) state ppid … starttime"; a name may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
