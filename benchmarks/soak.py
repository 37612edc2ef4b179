"""A consortium under load for minutes: is anything lost, does anything grow without bound?

Examples:
    benchmarks/soak.py                 ten minutes; writes docs/benchmarks/soak.json, renews docs/benchmarks.md
    benchmarks/soak.py --minutes 60    longer
    benchmarks/soak.py --quick         one minute, and nothing is written

Three accounts send transactions, and artifacts of 1 kB to 2 MB are put with two copies and read back, all the time. At
the end every transaction is looked up and every artifact read once more. Exit code 1 if one is missing.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.places import command_of, network
from benchmarks.tables import DOCS, renew
from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.connection import Chain
from chain.deployment import Deployment
from chain.twin_registry import TwinRegistry
from scripts.cli import command, out, run
from scripts.connections import Reach
from scripts.home import Home
from twins.store import ArtifactStore
from twins.types import Cid, sha256_digest

ACCOUNTS = (1, 2, 3)


class Load:
    """What is sent and put until somebody says stop."""

    def __init__(self, home: Path) -> None:
        """Connect; three stations are registered."""
        self.over = threading.Event()
        self.sent: list[str] = []
        self.put: list[Cid] = []
        self.errors: list[BaseException] = []
        self.chain: Chain = Reach(Home(home)).chain()
        self.store: ArtifactStore = Reach(Home(home)).store()
        self.registry = TwinRegistry(self.chain, Deployment.load(Home(home).deployment).registry)
        admin, *self.stations = (Account.from_mnemonic(HARDHAT_MNEMONIC, index) for index in (0, *ACCOUNTS))
        self.registry.register_stations(admin, [station.address for station in self.stations])
        self._threads = [
            *(threading.Thread(target=self._until_over, args=(self._sender(s),)) for s in self.stations),
            threading.Thread(target=self._until_over, args=(self._put,)),
        ]

    def _until_over(self, work: Callable[[], None]) -> None:
        try:
            while not self.over.is_set():
                work()
        except BaseException as error:
            self.errors.append(error)
            self.over.set()

    def _sender(self, station: Account) -> Callable[[], None]:
        counter = iter(range(1, 10**9))

        def send() -> None:
            function = self.registry.interface.functions["setRoster"]
            calls = [function.encode(sha256_digest(os.urandom(8)), next(counter)) for _ in range(5)]
            self.sent.extend(r.hash for r in self.chain.transact_all(station, self.registry.address, calls))

        return send

    def _put(self) -> None:
        data = os.urandom(random.choice((1_000, 50_000, 500_000, 2_000_000)))
        cid = self.store.put(data)
        if self.store.get(cid) != data:
            raise RuntimeError(f"{cid}: other bytes came back")
        self.put.append(cid)

    def run(self, seconds: float, look: Callable[[], None]) -> None:
        """Load the network for so long; ``look`` is called at the start, in the middle and at the end."""
        look()
        for thread in self._threads:
            thread.start()
        for _ in range(2):
            self.over.wait(seconds / 2)
            look()
        self.over.set()
        for thread in self._threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def missing(self) -> Counter[str]:
        """Look everything up once more."""
        self.chain.settle()
        lost: Counter[str] = Counter()
        for start in range(0, len(self.sent), 100):
            part = [("eth_getTransactionReceipt", (hash_,)) for hash_ in self.sent[start : start + 100]]
            lost["transactions"] += sum(receipt is None for receipt in self.chain.batch(part))
        for cid in self.put:
            self.store.get(cid)  # raises if it isn't what it was
        revisions = sum(self.registry.station_of(station.address).roster_revision for station in self.stations)
        lost["transactions"] += abs(len(self.sent) - revisions)  # each counted once, none twice
        return lost


@command(__doc__)
def main(
    minutes: Annotated[float, typer.Option(help="How long.", min=0.1)] = 10.0,
    quick: Annotated[bool, typer.Option("--quick", help="One minute, and nothing is written.")] = False,
) -> None:
    """Soak (see --help)."""
    minutes = 1.0 if quick else minutes
    memory: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder, network("consortium", Path(folder)) as home:

        def look() -> None:
            for node in json.loads(command_of("devnet", home, "status", "--json"))["nodes"]:
                memory.setdefault(node["name"], []).append(node["memory"] / 1e6)

        load, started = Load(home), time.monotonic()
        load.run(60 * minutes, look)
        seconds = time.monotonic() - started
        lost = load.missing()
        height = load.chain.block_number()
    counts: dict[str, Any] = {
        "transactions_mined": len(load.sent),
        "transactions_lost_or_doubled": lost["transactions"],
        "artifacts_put_and_read_back": len(load.put),
        "artifacts_lost": 0,  # or `missing` had raised
        "blocks": height,
        "transactions_per_minute": round(len(load.sent) / seconds * 60),
        "artifacts_per_minute": round(len(load.put) / seconds * 60),
    }
    figures = {"minutes": minutes, "counts": counts, "memory": memory}
    out.print(json.dumps(figures, indent=1))
    if not quick:
        (DOCS / "benchmarks").mkdir(exist_ok=True)
        (DOCS / "benchmarks" / "soak.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        renew()
    if lost["transactions"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run(main)
