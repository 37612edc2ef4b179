"""What holds for every test: a mark, no network in unit tests, and the same examples in every run."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Tests kill processes and limit the size of their files: a module that one of them was just compiling would stay behind
# cut short ("marshal data too short"), and break every process that imports it later.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True

# A shell starts what runs in the background with Ctrl-C ignored, and so every process that these tests press it for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The Solidity tests beside these are Hardhat's.
collect_ignore = ["contracts"]

KINDS = ("unit", "integration")
# They wait: for blocks, for what is dead to be found so, for processes that import.
WAITING = (
    "integration/faults/*.py",
    "integration/devnet/*.py",
    "integration/scripts/test_federation_kills.py",
    "integration/scripts/test_fleet*.py",
    "integration/test_documents.py",
)

# Deterministic by default, so that a red run is red again; `--hypothesis-profile=explore` looks further.
settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("ci")


class _SocketGuard:
    """Refuses sockets while a unit test is set up, run or torn down.

    An audit hook sees what patching ``socket.socket`` misses: ``_socket`` used directly, asyncio's
    transports and name look-ups. Python cannot remove such a hook, hence the switch. ``socketpair``
    raises none of these events, so event loops still start.
    """

    REFUSED = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"})

    def __init__(self) -> None:
        self.test: str | None = None

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.test is not None and event in self.REFUSED:
            # pytest.fail raises a BaseException: `except Exception` in the code under test cannot hide it.
            pytest.fail(
                f"{self.test} is a unit test but called {event} with {args[1:]!r}; "
                "mark it integration or leave the network out"
            )


_guard = _SocketGuard()


def pytest_configure(config: pytest.Config) -> None:
    # A hook in Python may let another thread run, and CPython 3.11 refuses to start two threads that are traced for
    # coverage at the same moment ("Cannot install a trace function while another ..."): none where none is needed.
    if config.option.markexpr != "integration":
        sys.addaudithook(_guard)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _guard.test = item.nodeid if item.get_closest_marker("unit") else None
    try:
        return (yield)
    finally:
        _guard.test = None


# First, because -m deselects in the same hook and would hide an unmarked test from the check.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wrong = [item.nodeid for item in items if sum(item.get_closest_marker(k) is not None for k in KINDS) != 1]
    if wrong:
        raise pytest.UsageError(
            "each test is marked either unit or integration, for example "
            "`pytestmark = pytest.mark.unit`; not so:\n  " + "\n  ".join(wrong)
        )

    # Unit tests first: quick to fail, and no integration fixture is alive yet. Then files that wait and files that
    # compute in turns: with several workers these compute while those wait, and none waits alone at the end.
    waiting, computing = dict[Path, int](), dict[Path, int]()

    def place(item: pytest.Item) -> tuple[bool, int, bool]:
        if item.get_closest_marker("unit") is not None:
            return False, 0, False
        waits = any(item.path.match(part) for part in WAITING)
        files = waiting if waits else computing
        return True, files.setdefault(item.path, len(files)), not waits

    items.sort(key=place)
