"""The section of docs/benchmarks.md about Flower's deployment engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
        name = f"{row['nodes']}{', cold' if row.get('cold') else ''}"
        least, most = row["range"]
        cells.append([name, f"{row['seconds']:.1f}", f"{least:.1f}–{most:.1f}", *shares])
    inside = [
        [
            f"{row['nodes']}{', cold' if row.get('cold') else ''}",
            *(f"{row[f'train, to the {what}']:.1f}" for what in ("SuperLink", "first reply")),
            f"{row['train']:.1f}",
        ]
        for row in rows
    ]
    return f"""## Deployment

`benchmarks/deployment.py`: one station, the watch data, SuperLink, gate and all SuperNodes on one machine with
{figures["cores"]} cores (load at the end: {figures["load"]}). Seconds of a round, means of {rows[0]["rounds"]}
rounds, and their shares. ClientApps start warm, which is the default; cold is Flower's own start of each:

{table(["SuperNodes", "round", "range", *_PHASES.values()], cells)}

Of a training message, seconds until:

{table(["SuperNodes", "the SuperLink has it", "the first reply", "the last reply"], inside)}

A SuperNode that has nothing to do sleeps 3 s, and there is no setting for it: up to 3 s of each message are that, with
any number of nodes. The rest grows with the nodes only because they share these cores.
"""
