"""Starts a program that ends when the process that started it does, whatever ends that one.

Run as a script, without the project on its path::

    python -I -S tied.py PIDFILE PROGRAM [WORD …]

The process whose number is in PIDFILE has to be the parent. It becomes PROGRAM: same process, same number.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)


def tied(pidfile: Path, command: Sequence[str]) -> list[str]:
    """Return a command's words, made one that ends when the process that starts it does.

    Args:
        pidfile: with that process's number, as long as a program may be starting.
        command: its words; the first is the program's path.
    """
    # -I -S: this is in the way for 20 ms, not for 100.
    return [sys.executable, "-I", "-S", "-B", __file__, str(pidfile), *command]


def tie(pidfile: Path) -> None:
    """Let this process be killed with its parent.

    Stops orphans: after a ``kill -9`` of the supervisor its validators would go on sealing, unseen, and hold the ports.
    Only Linux has such a thing; elsewhere nothing is done.

    Raises:
        ProcessLookupError: the parent isn't the one in the file: it died before it could be tied to.
    """
    die_with_parent()
    # After the call, or the parent could die between the look and the call.
    expected, actual = int(pidfile.read_text(encoding="ascii")), os.getppid()
    if actual != expected:
        raise ProcessLookupError(f"{pidfile}: expected to be started by process {expected}, got {actual}")


def die_with_parent() -> None:
    """Let this process be killed with its parent from now on; where that isn't Linux, nothing is done."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    tie(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
