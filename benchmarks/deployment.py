"""Seconds of a round on Flower's deployment engine against the number of SuperNodes, and where they go.

Examples:
    benchmarks/deployment.py             2, 5 and 10 SuperNodes on this machine, 5 rounds each; then 2 with Flower's own
                                         start of ClientApps; writes docs/benchmarks/deployment.json
    benchmarks/deployment.py --quick     2 SuperNodes, 3 rounds, and write nothing

One station on a chain of its own, the watch data. The first round isn't counted: it waits for programs that
start. What a message's time goes into is read from the SuperNodes' logs as they grow.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.fleet_watch import Meter, Timeline
from benchmarks.tables import DOCS, renew
from scripts.cli import command, err, print_json, run
from scripts.setup import ROOT

SIZES = (2, 5, 10)  # the watch data has ten devices
ROUNDS = 5


def measure(nodes: int, rounds: int, *options: str) -> dict[str, Any]:
    """Run a federation and return its figures: means over all rounds but the first, in seconds."""
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
        script("devnet", folder, "up", "--port", "0")
        try:
            script("deploy", folder)
            up = ("--stations", "1", "--devices", str(nodes), "--rounds", str(rounds), "--no-possession", "--json")
            logs = Path(folder, "federation")
            with Meter(folder) as meter, Timeline(logs) as timeline:
                script("federation", folder, "up", *up, *options)
        finally:
            script("devnet", folder, "down")
        told = Path(folder, "federation", "station-1", "told.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [json.loads(line) for line in told]
    heads = [line["time"] for line in lines if line["event"] == "head"]
    cpu = {role: round(used / (len(heads) - 2), 2) for role, used in meter.between(heads[1], heads[-1]).items()}
    exchanges = [line for line in lines if line["event"] == "devices" and line["time"] > heads[1]]
    steps = {kind: timeline.steps([e for e in exchanges if e["kind"] == kind]) for kind in ("train", "evaluate")}
    return {**figures(nodes, lines), "steps": steps, "cpu": cpu, "memory": meter.memory}


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
    quick: Annotated[bool, typer.Option("--quick", help="2 SuperNodes, 3 rounds, and write nothing.")] = False,
) -> None:
    """Measure (see --help)."""
    if quick:
        print_json(measure(2, 3))
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
