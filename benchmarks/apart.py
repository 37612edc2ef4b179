"""One measurement in a process of its own: nothing is warm that wasn't warmed up, and peaks of memory don't mix.

The process is started by `apart` and imports this file's ``__main__``; a benchmark needn't know more.
"""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.cli import print_json
from scripts.signals import end_on_sigterm

_PROC = Path("/proc")
_TAIL = 4000  # characters of what a process said before it failed


def apart(function: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Call a function in a new Python and return what it returns.

    If this process is interrupted, so is the other; what that one has started ends with it.

    Args:
        function: ``module:name`` of what takes the job and an empty folder, and returns JSON values.
        job: JSON values.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
        line = [sys.executable, "-m", "benchmarks.apart", function, json.dumps(job), folder]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            told, complaints = process.communicate()
        except BaseException:
            process.terminate()  # it ends its workers and its chain
            process.communicate()
            raise
        if process.returncode:
            raise RuntimeError(f"{function} {job}: exit code {process.returncode}\n{(told + complaints)[-_TAIL:]}")
        return dict(json.loads(told.splitlines()[-1]))


def peaks() -> dict[str, float]:
    """Return the peak of memory so far of this process and of its children, in MB: ``this``, ``workers``, ``chain``.

    Workers are Python too; the chain is whatever isn't. Shared pages count in each process: a sum is an upper bound.
    """
    found = {"this": _peak(os.getpid()), "workers": 0.0, "chain": 0.0}
    for process in _descendants(os.getpid()):
        kind = "workers" if "python" in _program(process) else "chain"
        found[kind] += _peak(process)
    return found


def _peak(process: int) -> float:
    """Resident set's high-water mark (proc(5), VmHWM); 0 for a process that has gone."""
    for line in _read(process, "status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _descendants(process: int) -> Iterator[int]:
    for child in _children(process):
        yield child
        yield from _descendants(child)


def _children(process: int) -> list[int]:
    tasks = _PROC / str(process) / "task"
    found = []
    for task in tasks.iterdir() if tasks.exists() else ():
        children = task / "children"
        found += [int(word) for word in children.read_text().split()] if children.exists() else []
    return found


def _program(process: int) -> str:
    return Path(_read(process, "cmdline").split("\0", 1)[0]).name


def _read(process: int, name: str) -> str:
    try:
        return (_PROC / str(process) / name).read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has just ended
        return ""


if __name__ == "__main__":
    end_on_sigterm()
    print_json(pkgutil.resolve_name(sys.argv[1])(json.loads(sys.argv[2]), Path(sys.argv[3])))
