"""Processes that may be killed: forks of the test's own, so that none has to import anything."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from typing import NoReturn


def fork(action: Callable[[Callable[[bytes], object]], object]) -> tuple[int, int]:
    """Run ``action`` in a child; it takes a function that sends bytes to the parent.

    Returns:
        The child's process id and the file descriptor that its bytes come from.
    """
    receiving, sending = os.pipe()
    with warnings.catch_warnings():
        # From Python 3.12 on: NumPy's idle threads are no danger, no child computes with them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        os.close(sending)
        return child, receiving
    _run(action, receiving, sending)


def finish(child: int, receiving: int) -> tuple[int, bytes]:
    """Wait for a child.

    Returns:
        Its exit code (negative: the signal that ended it) and all that it sent.
    """
    with open(receiving, "rb") as pipe:
        sent = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sent


def in_child(action: Callable[[], bytes]) -> bytes:
    """Run ``action`` in a child of its own and return its bytes."""
    code, sent = finish(*fork(lambda send: send(action())))
    assert code == 0, f"child ended with {code}: {sent.decode()}"
    return sent


def _run(
    action: Callable[[Callable[[bytes], object]], object], receiving: int, sending: int
) -> NoReturn:  # pragma: no cover - in the child, which leaves no coverage
    code = 1
    try:
        os.close(receiving)
        signal.alarm(30)  # no child outlives a hanging test
        action(lambda data: os.write(sending, data))
        code = 0
    except BaseException as error:
        os.write(sending, repr(error).encode())
    finally:
        # Not sys.exit: pytest's own clean-up belongs to the parent.
        os._exit(code)
