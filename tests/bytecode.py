"""Compiles, once, what the programs import: tests write no bytecode (tests/conftest.py), and start hundreds of them.

A fresh environment has none, and importing PyTorch, Flower and web3 from source takes three seconds more each time.
"""

from __future__ import annotations

import importlib
import pkgutil

import scripts

FLOWER = (
    "flwr.cli.app",
    "flwr.supercore.cli",
    "flwr.supercore.superexec.run_superexec",
    "flwr.superlink.cli",
    "flwr.supernode.cli",
    "flwr.supernode.runtime.run_clientapp",
)
OTHERS = ("ray", "uvicorn", "supervisor.supervisord", "hypothesis", "pytest", "coverage", "xdist", "benchmarks.tables")


def main() -> None:
    """Import all of them."""
    ours = (f"scripts.{found.name}" for found in pkgutil.iter_modules(scripts.__path__))
    for name in (*ours, *FLOWER, *OTHERS):
        importlib.import_module(name)


if __name__ == "__main__":
    main()
