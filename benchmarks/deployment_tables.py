"""The section of docs/benchmarks.md about Flower's deployment engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.fleet_watch import HEARD, ROLES, STEPS

Table = Callable[[Sequence[str], Sequence[Sequence[str]]], str]

_PHASES = {
    "train": "train",
    "evaluate": "evaluate the new head",
    "station and chain": "verify, aggregate, seal, record, vote",
}


def deployment(figures: Mapping[str, Any], table: Table) -> str:
    """Seconds of a round against the number of SuperNodes."""
    cold = figures.get("cold")  # minutes of it may have been spared
    rows = [*figures["warm"], *([] if cold is None else [{**cold, "cold": True}])]
    cells = []
    for row in rows:
        shares = [f"{row[name]:.1f} ({row[name] / row['seconds']:.0%})" for name in _PHASES]
        least, most = row["range"]
        cells.append([_named(row), f"{row['seconds']:.1f}", f"{least:.1f}–{most:.1f}", *shares])
    inside = [
        [
            f"{_named(row)}, {kind}",
            *(f"{row['steps'][kind].get(step, 0.0):.2f}" for step in (*STEPS, HEARD)),
        ]
        for row in rows
        for kind in ("train", "evaluate")
    ]
    links = [
        [
            str(row["nodes"]),
            *(f"{row['cpu'].get(role, 0.0) / row['seconds']:.0%}" for role in ROLES),
            f"{row['cpu'].get('flower-superlink', 0.0) / row['nodes']:.2f}",
            *(f"{row['memory'].get(role, 0) / count:.0f}" for role, count in _memory(row["nodes"])),
        ]
        for row in figures["warm"]
    ]
    first, last = figures["warm"][0], figures["warm"][-1]
    a_node = (last["cpu"]["flower-superlink"] - first["cpu"]["flower-superlink"]) / (last["nodes"] - first["nodes"])
    return f"""## Deployment

`benchmarks/deployment.py`: one station, the watch data, SuperLink, gate and all SuperNodes on one machine with
{figures["cores"]} cores (load at the end: {figures["load"]}). Seconds of a round, means of {rows[0]["rounds"]}
rounds, and their shares. ClientApps start warm, which is the default; cold is Flower's own start of each:

{table(["SuperNodes", "round", "range", *_PHASES.values()], cells)}

Where a message's seconds go, means over the devices, by the SuperNodes' logs; a device is *worked on* from the start of
its ClientApp to its reply:

{table(["SuperNodes, message", *STEPS, HEARD], inside)}

A SuperNode that asks and gets nothing sleeps 3 s, for which it has no setting: with two messages a round that was 3 to
6 s of each. The gate lets the question wait for its answer instead (`scripts/fleet_gate.py`). SuperExec asks for tasks
each 0.5 s here (`FLWR_SUPEREXEC_TASK_POLL_INTERVAL`), and the SuperNode looks for its ClientApp's reply each 0.5 s, for
which there is no setting. All that is left is computing, and grows with the nodes because they share these cores.

CPU of the programs as shares of one core, seconds of the SuperLink's CPU a node and round, and memory in MB:

{table(["SuperNodes", *ROLES, "SuperLink, s a node", *(f"{role}, MB" for role, _ in _memory(1))], links)}

From {first["nodes"]} to {last["nodes"]} SuperNodes the SuperLink needs {a_node:.2f} s of its one core more for each
node and round: **{60 / a_node:,.0f} nodes with a round each minute**, {600 / a_node:,.0f} with one each ten minutes.
"""


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['nodes']}{', cold' if row.get('cold') else ''}"


def _memory(nodes: int) -> tuple[tuple[str, int], ...]:
    """Programs whose memory is told, and of how many it is."""
    return ("flower-superlink", 1), ("fleet_gate.py", 1), ("flower-supernode", nodes), ("flwr-serverapp", 1)
