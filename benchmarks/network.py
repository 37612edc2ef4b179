"""Embedded against consortium: rounds, transactions and artifacts, on both in one run.

Examples:
    benchmarks/network.py            5 rounds each; writes docs/benchmarks/network.json, renews docs/benchmarks.md
    benchmarks/network.py --quick    1 round, fewer transactions and bytes; writes nothing

The consortium is 5 geth validators with a block per second, and 3 Kubo nodes. Everything is on this machine, so what is
compared is the price of agreement and replication, not of distance.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep
from typing import Annotated, Any

import typer

from benchmarks.places import command_of, network
from benchmarks.tables import DOCS, renew
from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.deployment import Deployment
from chain.twin_registry import RoundPolicy, TwinRegistry
from scripts.cli import command, out, print_json, run
from scripts.connections import Reach
from scripts.home import Home
from twins.store import ArtifactStore
from twins.types import sha256_digest, twin_id

SIZES = {"100 kB": 100_000, "1 MB": 1_000_000, "20 MB": 20_000_000}


@command(__doc__)
def main(
    quick: Annotated[bool, typer.Option("--quick", help="A minute, and nothing is written.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Measure (see --help)."""
    figures: dict[str, Any] = {"cores": os.cpu_count(), "rounds": {}, "transactions": {}, "artifacts": {}}
    for profile in ("embedded", "consortium"):
        with tempfile.TemporaryDirectory(prefix="twinledger-") as folder, network(profile, Path(folder)) as home:
            out.print(f"[bold]{profile}[/]: rounds")
            figures["rounds"][profile] = rounds(home, 1 if quick else 5)
            out.print(f"[bold]{profile}[/]: transactions")
            figures["transactions"][profile] = transactions(home, 5 if quick else 20)
            out.print(f"[bold]{profile}[/]: artifacts")
            for replicas in (1,) if profile == "embedded" else (1, 2, 3):
                name = profile if profile == "embedded" else f"{profile}, K = {replicas}"
                store = Reach(Home(home), replicas=replicas).store()
                figures["artifacts"][name] = artifacts(store, 1 if quick else 5, quick=quick)
    if json_output:
        print_json(figures)
    if quick:
        out.print(json.dumps(figures, indent=1))
        return
    (DOCS / "benchmarks").mkdir(exist_ok=True)
    (DOCS / "benchmarks" / "network.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    renew()


def rounds(home: Path, count: int) -> dict[str, float]:
    """Return seconds per round by phase, means over rounds 2 and up (the first loads PyTorch)."""
    lines = command_of("rounds", home, "--rounds", str(count + 1), "--json").splitlines()
    results = [json.loads(line) for line in lines][1:]
    phases = {name: statistics.mean(r["phases"][name] for r in results) for name in results[0]["phases"]}
    return {"seconds": statistics.mean(r["seconds"] for r in results), **phases}


def transactions(home: Path, count: int) -> dict[str, float]:
    """Return seconds until a transaction is mined and settled, and transactions per second."""
    chain = Reach(Home(home)).chain()
    registry = TwinRegistry(chain, Deployment.load(Home(home).deployment).registry)
    station, owner = (Account.from_mnemonic(HARDHAT_MNEMONIC, index) for index in (1, 50))
    mined, settled = [], []
    started = perf_counter()
    for index in range(count):
        clock = perf_counter()
        registry.set_roster(station, sha256_digest(b"roster"), index + 1)
        mined.append(perf_counter() - clock)
    sequential = count / (perf_counter() - started)
    for index in range(3):
        sleep(0.37 * index)  # at different moments of the period
        clock = perf_counter()
        registry.set_roster(station, sha256_digest(b"roster"), index + 1)
        chain.settle()
        settled.append(perf_counter() - clock)
    policy = RoundPolicy(1, 1, 1)
    function = registry.interface.functions["registerTwin"]
    calls = [
        function.encode(twin_id(f"twin-{index}"), sha256_digest(b"manifest"), policy) for index in range(count * 10)
    ]
    clock = perf_counter()
    chain.transact_all(owner, registry.address, calls)
    return {
        "mined, median s": statistics.median(mined),
        "mined, slowest s": max(mined),
        "settled, median s": statistics.median(settled),
        "sequential, 1/s": sequential,
        "pipelined, 1/s": len(calls) / (perf_counter() - clock),
    }


def artifacts(store: ArtifactStore, repeats: int, *, quick: bool) -> dict[str, dict[str, float]]:
    """Return ms to put, and to get from the first node, by size; medians."""
    figures = {}
    for name, size in list(SIZES.items())[: 2 if quick else 3]:
        put, get = [], []
        for _ in range(repeats):
            data = os.urandom(size)
            with _timed(put.append):
                cid = store.put(data)
            with _timed(get.append):
                store.get(cid)
        figures[name] = {"put": statistics.median(put), "get": statistics.median(get)}
    return figures


@contextmanager
def _timed(note: Callable[[float], None]) -> Iterator[None]:
    clock = perf_counter()
    yield
    note(1000 * (perf_counter() - clock))


if __name__ == "__main__":
    run(main)
