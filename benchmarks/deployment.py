"""Seconds of a round on Flower's deployment engine against the number of SuperNodes, and where they go.

Examples:
    benchmarks/deployment.py             2, 5 and 10 SuperNodes on this machine, 3 rounds each; writes
                                         docs/benchmarks/deployment.json
    benchmarks/deployment.py --quick     2 SuperNodes, 2 rounds, and write nothing

One station on a chain of its own, the watch data. The first round isn't counted: it waits for programs that start.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks.tables import DOCS, renew
from scripts.cli import command, err, print_json, run
from scripts.setup import ROOT

SIZES = (2, 5, 10)
ROUNDS = 3
ROLES = ("flower-superlink", "fleet_gate.py", "flwr-serverapp", "flower-supernode", "flower-superexec")
"""Programs whose CPU time is measured; that of ClientApps ends with them and isn't."""


def measure(nodes: int, rounds: int, *options: str) -> dict[str, Any]:
    """Run a federation and return its figures: means over all rounds but the first, in seconds."""
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
        script("devnet", folder, "up", "--port", "0")
        try:
            script("deploy", folder)
            up = ("--stations", "1", "--devices", str(nodes), "--rounds", str(rounds), "--no-possession", "--json")
            with Meter(folder) as meter:
                script("federation", folder, "up", *up, *options)
        finally:
            script("devnet", folder, "down")
        told = Path(folder, "federation", "station-1", "told.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [json.loads(line) for line in told]
    heads = [line["time"] for line in lines if line["event"] == "head"]
    cpu = {role: round(used / (len(heads) - 2), 2) for role, used in meter.between(heads[1], heads[-1]).items()}
    return {**figures(nodes, lines), "cpu": cpu, "memory": meter.memory}


class Meter:
    """CPU time and memory of a federation's programs, by what they are, once a second.

    Attributes:
        memory: greatest resident set of each role, all its processes together, MB; what they share counts for each.
    """

    def __init__(self, folder: str) -> None:
        """Watch the programs that name this folder."""
        self.memory: dict[str, int] = {}
        self._folder, self._over = folder, threading.Event()
        self._samples: list[tuple[float, dict[str, float]]] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Meter:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> dict[str, float]:
        """Return CPU seconds by role between two moments; of processes that were there at both."""
        inside = [sample for at, sample in self._samples if begin <= at <= end]
        if not inside:
            return {}
        return {role: inside[-1][role] - used for role, used in inside[0].items() if role in inside[-1]}

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            used: dict[str, float] = {}
            resident: dict[str, int] = {}
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    words = process.cmdline()
                    role = next((r for r in ROLES if any(word.endswith(r) for word in words[:4])), None)
                    if role is None or not self._of_folder(process, words):
                        continue
                    times = process.cpu_times()
                    used[role] = used.get(role, 0.0) + times.user + times.system
                    resident[role] = resident.get(role, 0) + process.memory_info().rss // 2**20
            self._samples.append((time.time(), used))
            self.memory = {role: max(mb, self.memory.get(role, 0)) for role, mb in {**self.memory, **resident}.items()}

    def _of_folder(self, process: psutil.Process, words: Sequence[str]) -> bool:
        return any(self._folder in word for word in words) or any(
            self._folder in word for parent in process.parents()[:2] for word in parent.cmdline()
        )


def script(name: str, home: str, *words: str) -> None:
    """Run one of the scripts; what it says goes where this says it."""
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *words, "--home", home],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )


def figures(nodes: int, told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a station's lines come to.

    Phases of a round, from one head that is told to the next: the devices are sent a message and the last reply is
    there (``train``, then ``evaluate`` of the new head); the rest is the station's and the chain's.
    """
    heads = [line["time"] for line in told if line["event"] == "head"]
    seconds = [later - earlier for earlier, later in pairwise(heads[1:])]
    phases: dict[str, float] = {}
    for kind in ("train", "evaluate"):
        exchanges = [e for e in told if e["event"] == "devices" and e["kind"] == kind and heads[1] < e["time"]]
        phases[kind] = statistics.mean(e["last"] for e in exchanges)
        phases[f"{kind}, to the SuperLink"] = statistics.mean(e["sent"] for e in exchanges)
        phases[f"{kind}, to the first reply"] = statistics.mean(e["first"] for e in exchanges)
    mean = statistics.mean(seconds)
    return {
        "nodes": nodes,
        "rounds": len(seconds),
        "seconds": round(mean, 2),
        "range": [round(min(seconds), 2), round(max(seconds), 2)],
        **{name: round(value, 2) for name, value in phases.items()},
        "station and chain": round(mean - phases["train"] - phases["evaluate"], 2),
    }


@command(__doc__)
def main(
    quick: Annotated[bool, typer.Option("--quick", help="2 SuperNodes, 2 rounds, and write nothing.")] = False,
) -> None:
    """Measure (see --help)."""
    if quick:
        print_json(measure(2, 2))
        return
    rows = []
    for nodes in SIZES:
        rows.append(measure(nodes, ROUNDS))
        err.print(json.dumps(rows[-1]), markup=False)
    cold = measure(SIZES[0], ROUNDS, "--cold")
    found = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "warm": rows, "cold": cold}
    (DOCS / "benchmarks" / "deployment.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    renew()


if __name__ == "__main__":
    run(main)
