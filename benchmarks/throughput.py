"""Client updates per second: engines with full provenance, beside Flower's simulation and plain arithmetic without any.

Examples:
    benchmarks/throughput.py                     all rows; writes docs/benchmarks/throughput.json: half an hour
    benchmarks/throughput.py --row "mlp, 100"    that row; the others stay as they were
    benchmarks/throughput.py --quick             small, once; nothing is written

Each measurement is a process of its own; all of a row take turns, so that other load on the machine meets all alike.
With provenance: three stations on the embedded profile, every update signed, verified, sealed, stored, recorded, voted
for. Without: Flower's simulation on Ray, as its users run it, with an actor for each core. The floor is the network's
arithmetic alone, batched by hand. The same network, data, steps and cores everywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from benchmarks.apart import apart
from benchmarks.rates import job_of
from benchmarks.tables import DOCS, renew
from benchmarks.throughput_tables import RAY, STEPS, rate_rows, step_rows, throughput_plot
from scripts.cli import BadInputError, command, out, run
from scripts.signals import end_on_sigterm

FILE = DOCS / "benchmarks" / "throughput.json"
CORES = os.cpu_count() or 1

ROWS: Mapping[str, tuple[str, int, int]] = {
    "mlp, 100": ("mlp", 100, 8),
    "mlp, 1000": ("mlp", 1000, 4),
    "watch, 10": ("watch", 10, 4),
    "watch, 100": ("watch-hundred", 100, 2),
}
"""Row to work, devices and rounds that count of each run."""

ENGINES: Mapping[str, Mapping[str, Any]] = {
    "loop": {"kind": "loop"},
    "workers": {"kind": "workers", "workers": CORES},
    "cohort": {"kind": "cohort", "workers": 0, "cohort": 100},
    "cohort in workers": {"kind": "cohort", "workers": CORES, "cohort": 50},
}


def measurements(work: str, devices: int, rounds: int, seed: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, function and job of everything that a row compares."""
    same = {"work": work, "devices": devices, "rounds": rounds}
    yield RAY, "ray", same
    for name, engine in ENGINES.items():
        # The watch's network costs so much that a cohort of it is no faster: measured once, in the smaller row.
        if not (work == "watch-hundred" and name.startswith("cohort")):
            yield name, "recorded", job_of(work, devices, rounds, engine, seed)
    if work == "mlp":
        yield "floor, 1 core", "floor", {**same, "processes": 1}
        yield f"floor, {CORES} cores", "floor", {**same, "processes": CORES}
    yield "training alone, 1 core", "loop", {**same, "rounds": 1}


@command(__doc__)
def main(
    row: Annotated[list[str] | None, typer.Option(help=f"May be repeated [all]: {'; '.join(ROWS)}; {STEPS}.")] = None,
    repeats: Annotated[int, typer.Option(help="Turns of each row.", min=1)] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Small, once, nothing written.")] = False,
) -> None:
    """Measure (see --help)."""
    end_on_sigterm()
    if unknown := set(row or ()) - {*ROWS, STEPS}:
        raise BadInputError(f"--row: expected {'; '.join((*ROWS, STEPS))}, got {'; '.join(sorted(unknown))}")
    if quick:
        show("mlp, 12", measure("mlp", 12, 1, 1))
        show(STEPS, apart("benchmarks.rates:steps", {"devices": 50, "rounds": 2}))
        return
    figures: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"rows": {}}
    figures["cores"] = CORES
    for name in row or (*ROWS, STEPS):
        if name == STEPS:
            figures[STEPS] = apart("benchmarks.rates:steps", {"devices": 333, "rounds": 2 * repeats})
            show(name, figures[STEPS])
        else:
            figures["rows"][name] = measure(*ROWS[name], repeats)
            show(name, figures["rows"][name])
        FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if figures["rows"]:
        (DOCS / "benchmarks" / "throughput.svg").write_text(throughput_plot(figures), encoding="utf-8")
    renew()


def measure(work: str, devices: int, rounds: int, repeats: int) -> dict[str, Any]:
    """Measure one row: all that it compares, in turns."""
    found: dict[str, Any] = {"work": work, "devices": devices, "runs": {}}
    for repetition in range(repeats):
        for name, function, job in measurements(work, devices, rounds, repetition):
            one = apart(f"benchmarks.rates:{function}", job)
            found["runs"].setdefault(name, []).append(one)
            out.print(f"[dim]{repetition + 1}. {name}: {max(one['rates']):,.0f} updates/s[/]")
    return found


def show(name: str, row: Mapping[str, Any]) -> None:
    """Print one row's table."""
    headings, lines = step_rows(row) if name == STEPS else rate_rows(row)
    table = Table(*headings, title=name, box=None, header_style="bold", pad_edge=False)
    for line in lines:
        table.add_row(*line)
    out.print(table)


if __name__ == "__main__":
    run(main)
