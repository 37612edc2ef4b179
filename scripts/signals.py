"""Ending a program politely when it is told to."""

from __future__ import annotations

import signal
from types import FrameType

TERMINATED = 128 + signal.SIGTERM  # as shells have it


def end_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does: what has to be ended or cleaned up is, then exit code 143."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the second one must not interrupt the cleaning up
    raise SystemExit(TERMINATED)
