"""How deep do reorganisations of a Clique network go? What the number of confirmations rests on.

Examples:
    benchmarks/reorgs.py             some 5 minutes; writes docs/benchmarks/reorgs.json, renews docs/benchmarks.md
    benchmarks/reorgs.py --quick     a minute, and nothing is written

Five validators, a block per second. Each one's head is read ten times a second; when a block that it had at a height is
another one later, that is a reorganisation, as deep as the blocks that it undid.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.places import network as network_of
from benchmarks.tables import DOCS, renew
from chain.errors import ChainError
from devnet.admin import Admin
from devnet.control import rejoin, split
from devnet.network import Network
from devnet.operation import supervisor_of
from scripts.cli import command, out, run

_DEPTH = 12  # blocks that are compared at every look


@dataclass
class Watcher:
    """One validator's view of the newest blocks.

    Attributes:
        deepest: blocks undone at once, at most.
        times: how many reorganisations.
    """

    admin: Admin
    seen: dict[int, str] = field(default_factory=dict)
    deepest: int = 0
    times: int = 0

    def look(self) -> None:
        """Compare with the last look."""
        try:
            height = self.admin.height()
            now = {n: self.admin.block(n)["hash"] for n in range(max(0, height - _DEPTH), height + 1)}
        except ChainError:
            return  # it is down, or its chain has just become shorter: the next look tells
        changed = [number for number, hash_ in self.seen.items() if number in now and now[number] != hash_]
        gone = [number for number in self.seen if number > height]
        if changed:
            depth = max(self.seen) - min(changed) + 1
            self.deepest, self.times = max(self.deepest, depth), self.times + 1
        elif gone:
            return  # it is being reorganised: wait for the new branch
        self.seen = now


@dataclass
class Phases:
    """What happened in each phase."""

    network: Network
    results: list[dict[str, object]] = field(default_factory=list)

    def measure(self, name: str, work: Callable[[], None]) -> None:
        """Do something to the network, and watch all of it meanwhile."""
        watchers = [Watcher(self.network.admin(validator.name)) for validator in self.network.validators]
        over = threading.Event()

        def watch(watcher: Watcher) -> None:
            while not over.wait(0.1):
                watcher.look()

        threads = [threading.Thread(target=watch, args=(watcher,)) for watcher in watchers]
        for thread in threads:
            thread.start()
        started, before = time.monotonic(), self.height()
        work()
        time.sleep(5)  # until all are level
        over.set()
        for thread in threads:
            thread.join()
        result = {
            "phase": name,
            "seconds": round(time.monotonic() - started),
            "blocks": self.height() - before,
            "reorganisations": sum(watcher.times for watcher in watchers),
            "deepest": max(watcher.deepest for watcher in watchers),
        }
        out.print(json.dumps(result))
        self.results.append(result)

    def height(self) -> int:
        """Return the highest of all."""
        return max(self.network.admin(validator.name).height() for validator in self.network.validators)


@command(__doc__)
def main(quick: Annotated[bool, typer.Option("--quick", help="A minute, and nothing is written.")] = False) -> None:
    """Measure (see --help)."""
    times = 1 if quick else 6
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder, network_of("consortium", Path(folder)) as home:
        network = Network.load(home / "consortium")
        names = [validator.name for validator in network.validators]
        phases = Phases(network)
        phases.measure("nothing happens", lambda: time.sleep(15 if quick else 90))

        def kill(count: int) -> None:
            for turn in range(times):
                for index in range(count):
                    name = names[(turn + index) % len(names)]
                    supervisor_of(network).kill_program(name)
                time.sleep(6)

        def cut(size: int) -> None:
            for turn in range(times):
                turned = names[turn % 5 :] + names[: turn % 5]
                split(network, turned[:size], turned[size:])
                time.sleep(8)
                rejoin(network)
                time.sleep(4)

        phases.measure(f"{times} times one is killed and started again", lambda: kill(1))
        phases.measure(f"{times} times two are killed and started again", lambda: kill(2))
        phases.measure(f"{times} partitions of 1 and 4, 8 s each", lambda: cut(1))
        phases.measure(f"{times} partitions of 2 and 3, 8 s each", lambda: cut(2))
    if not quick:
        (DOCS / "benchmarks").mkdir(exist_ok=True)
        (DOCS / "benchmarks" / "reorgs.json").write_text(json.dumps(phases.results, indent=1) + "\n", encoding="utf-8")
        renew()


if __name__ == "__main__":
    run(main)
