"""The section of docs/benchmarks.md about client updates per second, and its plot."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.engine_plots import Bar, Panel, stacked
from benchmarks.engine_tables import verdict

Figures = Mapping[str, Any]
Table = Callable[[Sequence[str], Sequence[Sequence[str]]], str]

RAY = "Flower's simulation (Ray)"
STEPS = "provenance"
TARGET_STEPS = 300.0
"""Microseconds per device and update."""
TARGET_RATIO = {"mlp": 15.0, "watch": 1.5}
"""Work to the quickest engine's rate over that of Flower's simulation."""
TARGET_FLOOR = 0.6
"""The quickest engine's rate over that of arithmetic alone on all cores."""


def median_rate(runs: Sequence[Figures], what: str = "rates") -> float:
    """Return the median over all rounds of all runs."""
    return statistics.median(rate for run in runs for rate in run[what])


def ratio(runs: Sequence[Figures], base: Sequence[Figures]) -> float:
    """Return the median of the ratios of runs that were measured in the same turn."""
    pairs = zip(runs, base, strict=False)
    return statistics.median(
        statistics.median(one["rates"]) / statistics.median(other["rates"]) for one, other in pairs
    )


def rate_rows(row: Figures) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of one row's engines."""
    runs: Mapping[str, Sequence[Figures]] = row["runs"]
    floors = [name for name in runs if name.startswith("floor")]
    lines = []
    for name, repeated in runs.items():
        whole = _rate(median_rate(repeated, "with evaluation")) if "with evaluation" in repeated[0] else ""
        lines.append(
            [
                name,
                _rate(median_rate(repeated)),
                whole,
                f"{ratio(repeated, runs[RAY]):.2f}",
                *(f"{ratio(repeated, runs[floor]):.2f}" for floor in floors),
            ]
        )
    return ["", "updates/s", "with tests", "÷ Ray", *(f"÷ {floor}" for floor in floors)], lines


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


def targets(name: str, row: Figures) -> str:
    """Return which targets the quickest engine with provenance meets."""
    runs: Mapping[str, Sequence[Figures]] = row["runs"]
    best = max((engine for engine in runs if "with evaluation" in runs[engine][0]), key=lambda e: median_rate(runs[e]))
    wanted, got = TARGET_RATIO[name.partition(",")[0]], ratio(runs[best], runs[RAY])
    said = [f"{wanted:g} times Flower's simulation: {got:.2f}, {verdict(got >= wanted)}"]
    floors = [engine for engine in runs if engine.startswith("floor")]
    if floors:
        got = ratio(runs[best], runs[floors[-1]])
        said.append(f"{TARGET_FLOOR:.0%} of the floor on all cores: {got:.0%}, {verdict(got >= TARGET_FLOOR)}")
    return f"Targets, {best}: {'; '.join(said)}. {len(runs[best])} turns."


def step_rows(steps: Figures) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the steps of provenance, and their sum."""
    medians = {step: statistics.median(values) for step, values in steps["steps"].items()}
    lines = [[step, f"{value:.0f}"] for step, value in medians.items()]
    return ["step", "µs per device and update"], [*lines, ["all", f"{sum(medians.values()):.0f}"]]


def throughput(figures: Figures, table: Table) -> str:
    """Client updates per second."""
    parts = [
        f"### {name}\n\n{table(*rate_rows(row))}\n\n{targets(name, row)}\n" for name, row in figures["rows"].items()
    ]
    if STEPS in figures:
        total = float(step_rows(figures[STEPS])[1][-1][1])
        parts.append(
            f"### Provenance of one update\n\n{table(*step_rows(figures[STEPS]))}\n\nTarget: at most "
            f"{TARGET_STEPS:.0f} µs: {verdict(total <= TARGET_STEPS)}. 333 devices of a station, the MLP's weights "
            f"(25.6 kB), one core.\n"
        )
    return f"""## Throughput

`benchmarks/throughput.py`, on {figures["cores"]} cores: client updates per second, medians over rounds; each
measurement a process of its own, all of a row in turns, and ratios of the same turn. Loop, workers and cohorts have
full provenance: three stations on the embedded profile, every update signed, verified, sealed, stored, recorded and
voted for. Their seconds are those of whole rounds without the test of the new model on all devices, which Flower's
simulation doesn't have either; with it: "with tests". Flower's simulation has no provenance, and an actor for each
core. The floor is arithmetic alone, batched by hand: no Flower, no data loader, no order of examples drawn. The MLP is
32-64-64-2 with ten steps of 32 examples, watch the 1D-CNN on the watch data.

![Client updates per second](benchmarks/throughput.svg)

{chr(10).join(parts)}"""


def throughput_plot(figures: Figures) -> str:
    """Draw each row's engines side by side."""
    panels = [
        Panel(name, [Bar(engine, [median_rate(runs)]) for engine, runs in row["runs"].items()])
        for name, row in figures["rows"].items()
    ]
    return stacked("Client updates per second", "updates per second, medians", panels, ["updates"], alike=False)
