"""Processes of their own that need not import torch anew, with a bullet for one exact moment if need be.

Each is forked from a server that has imported the scripts and done nothing else, so it has all that a process has:
a pid, memory, signals, an exit code.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
# torch imports torch._dynamo at the first training step, which takes seconds.
_CONTEXT.set_forkserver_preload(
    [
        *(f"scripts.{name}" for name in ("rounds", "audit", "demo", "deploy", "devnet", "station")),
        "torch._dynamo",
        "tests.integration.audit.tiny",
    ]
)


@dataclass(frozen=True)
class Aim:
    """When the process gets a signal, to the line.

    Attributes:
        where: ``module:Class.method`` or ``module:function``.
        call: the how manieth, from 1.
        after: when it has returned, not before it begins.
        number: of the signal.
    """

    where: str
    call: int = 1
    after: bool = False
    number: int = signal.SIGKILL

    def arm(self) -> None:
        """Put the bullet in its place (in the process that is to be hit)."""
        module, _, path = self.where.partition(":")
        holder: Any = importlib.import_module(module)
        *classes, name = path.split(".")
        for part in classes:
            holder = getattr(holder, part)
        static = isinstance(inspect.getattr_static(holder, name), staticmethod)
        real: Callable[..., Any] = getattr(holder, name)
        calls = itertools.count(1)  # stations' threads may be at it at the same time

        def aimed(*args: Any, **kwargs: Any) -> Any:
            call = next(calls)
            if call == self.call and not self.after:
                os.kill(os.getpid(), self.number)
            result = real(*args, **kwargs)
            if call == self.call and self.after:
                os.kill(os.getpid(), self.number)
            return result

        setattr(holder, name, staticmethod(aimed) if static else aimed)


@dataclass(frozen=True)
class Warm:
    """A command in a process of its own.

    Attributes:
        process: its handle.
        out: file with its standard output.
        err: file with its standard error.
    """

    process: multiprocessing.process.BaseProcess
    out: Path
    err: Path

    def join(self, timeout: float = 120) -> int:
        """Wait for it and return its exit code; minus the signal that killed it."""
        self.process.join(timeout)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            raise TimeoutError(f"still running after {timeout:g} s: {self.err.read_text()}")
        return code


def start(
    home: Path,
    folder: Path,
    script: str,
    arguments: Sequence[str],
    aim: Aim | None = None,
    *,
    limit: int | None = None,
) -> Warm:
    """Start a script.

    Args:
        home: its TWINLEDGER_HOME.
        folder: for its output.
        script: its name.
        arguments: of its command line.
        aim: when it gets a signal.
        limit: bytes that a file of it may have (RLIMIT_FSIZE).
    """
    folder.mkdir(exist_ok=True)
    out, err = folder / "out.txt", folder / "err.txt"
    process = _CONTEXT.Process(target=_main, args=(home, out, err, script, tuple(arguments), aim, limit))
    process.start()
    return Warm(process, out, err)


def _main(
    home: Path, out: Path, err: Path, script: str, arguments: tuple[str, ...], aim: Aim | None, limit: int | None
) -> None:
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    os.environ |= {"TWINLEDGER_HOME": str(home), "COLUMNS": "120"}
    if aim is not None:
        aim.arm()
    from scripts.cli import execute

    module = importlib.import_module(f"scripts.{script}")
    code = execute(module.app if hasattr(module, "app") else module.main, arguments)
    sys.exit(code)
