"""The sections of docs/benchmarks.md about engines: price of provenance, scaling, phases of a round.

The rows are shared with the benchmarks' own tables on the terminal.
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Drawn

Figures = Mapping[str, Any]
Table = Callable[[Sequence[str], Sequence[Sequence[str]]], str]
Rows = tuple[list[str], list[list[str]]]

PHASES = ("train", "record", "merge", "evaluate")
"""In the order of a round."""

_WIDE = 200  # characters that a table may take on the terminal: cells that are cut short tell nothing

TARGET_OVERHEAD = 0.05
TARGET_ROWS = ("watch, 100", "mlp, 100")
"""The real data and network, and one whose training costs next to nothing."""
TARGET_MEMORY = 12_000  # MB
TARGET_DEVICES = 100_000
_LEVEL = 1.05
"""Times as much is still "level": repetitions differ by more."""


def overhead(figures: Figures, table: Table) -> str:
    """What provenance costs."""
    rows = figures["rows"]
    embedded = {name: row for name, row in rows.items() if "geth, Kubo" not in row["runs"]}
    parts = [f"### {name}\n\n{_engine_of(row)}\n\n{table(*overhead_rows(row))}\n" for name, row in embedded.items()]
    consortium = [
        f"### {name}\n\n{_engine_of(row)}\n\n{table(*overhead_rows(row))}\n\n{_filled(waiting(row))}\n"
        for name, row in rows.items()
        if name not in embedded
    ]
    return f"""## What provenance costs

`benchmarks/overhead.py`, on {figures["cores"]} cores: the same devices, data and seeds in each mode, in turns, each run
in a process of its own and warmed up. Seconds of a whole run without set-up, medians; the ratio is to the same
repetition's "no provenance": Flower at each station, a mean over stations, nothing signed, hashed, sealed, stored or
recorded. "directory store" is the embedded profile as users have it. Phases are sums over a run, "rest" is in none.

{_filled(target(figures))}

![What provenance costs](benchmarks/overhead.svg)

{chr(10).join([*parts, *consortium])}"""


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def overhead_rows(row: Figures) -> Rows:
    """Return headings and cells of one row's modes."""
    runs: Mapping[str, Sequence[Figures]] = row["runs"]
    base = next(iter(runs.values()))
    names = phase_names(run for mode in runs.values() for run in mode)
    lines = []
    for mode, repeated in runs.items():
        if not repeated:
            continue
        pairs = list(zip(repeated, base, strict=False))
        ratios = [run["seconds"] / plain["seconds"] for run, plain in pairs]
        sums = [sums_of(run, names) for run in repeated]
        lines.append(
            [
                mode,
                str(len(repeated)),
                f"{statistics.median(run['seconds'] for run in repeated):.2f}",
                "1" if repeated is base else f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})",
                *(f"{statistics.median(one[name] for one in sums):.2f}" for name in names),
                f"{statistics.median(sum(run['set-up'].values()) for run in repeated):.1f}",
            ]
        )
    return ["mode", "runs", "s", "ratio", *names, "set-up"], lines


def phase_names(runs: Iterable[Figures]) -> list[str]:
    """Return the phases that runs have, known ones first, and ``rest``."""
    found = {name: None for run in runs for one in run["rounds"] for name in one["phases"]}
    return [*(name for name in PHASES if name in found), *(name for name in found if name not in PHASES), "rest"]


def sums_of(run: Figures, names: Sequence[str]) -> dict[str, float]:
    """Return a run's seconds by phase; ``rest`` is what no phase has."""
    sums = {name: sum(one["phases"].get(name, 0.0) for one in run["rounds"]) for name in names if name != "rest"}
    return {**sums, "rest": max(0.0, run["seconds"] - sum(sums.values()))}


def verdict(met: bool) -> str:
    """Say whether a target is met, as all of the page does."""
    return "met" if met else "**not met**"


def target(figures: Figures) -> str:
    """Say whether full provenance is as cheap as it is to be."""
    told = []
    for name in TARGET_ROWS:
        row = figures["rows"].get(name)
        if row is None or not row["runs"].get("directory store"):
            continue
        plain, full = row["runs"]["no provenance"], row["runs"]["directory store"]
        more = statistics.median(run["seconds"] / base["seconds"] for run, base in zip(full, plain, strict=False)) - 1
        told.append(f"{name}: {more:+.1%} in {len(full[0]['rounds'])} rounds, {verdict(more < TARGET_OVERHEAD)}")
    if not told:
        return ""
    return (
        f"Target: less than {TARGET_OVERHEAD:.0%} more for full provenance on the embedded profile. Measured: "
        f"{'; '.join(told)}."
    )


def waiting(row: Figures) -> str:
    """Explain a consortium's seconds: which are work, and which are spent waiting for blocks."""
    runs: Mapping[str, Sequence[Figures]] = row["runs"]
    if not all(runs.values()):
        return ""
    plain, hardhat, geth = (statistics.median(r["seconds"] for r in repeated) for repeated in runs.values())
    count = len(runs["geth, Kubo"][0]["rounds"])
    blocks = statistics.median(run["blocks"] for run in runs["geth, Kubo"]) / count
    own = statistics.median(run["cpu"] for run in runs["geth, Kubo"])
    wait = geth - hardhat
    return (
        f"A round on the consortium takes {geth / count:.1f} s, in which {blocks:.1f} blocks of a second are made. "
        f"{plain / count:.2f} s are training and testing, which all modes have. Signing, sealing, IPFS, checking add "
        f"{(hardhat - plain) / count:.2f} s, measured on a chain that makes its block at once. The other "
        f"{wait / count:.1f} s, {wait / geth:.0%}, are waiting for blocks: for those that hold the transactions, and "
        f"for those on top of the updates, without which no station votes. The run's own processor time is {own:.0f} s "
        f"of {geth:.0f}."
    )


def _engine_of(row: Figures) -> str:
    job = row["job"]
    engines = ", ".join(sorted({run["engine"] for runs in row["runs"].values() for run in runs}))
    return f"{job['devices']} devices, {job['stations']} stations, {job['rounds']} rounds; {engines}."


def scaling(figures: Figures, table: Table) -> str:
    """How far it scales."""
    rows = figures["rows"].values()
    engines = sorted({row["engine"] for row in rows})
    return f"""## Scaling

`benchmarks/scaling.py`, on {figures["cores"]} cores: the MLP's synthetic data, one round with full provenance on the
embedded profile, each row in a process of its own. Engines as chosen: {"; ".join(engines)}. Enrolment is keys and
rosters; memory is the largest that the process took, and its workers' together. The first round delivers no receipts.

{_filled(reached(figures))}

![Cost per device](benchmarks/scaling.svg)

{table(*scaling_rows(figures))}
"""


def scaling_rows(figures: Figures) -> Rows:
    """Return headings and cells of all rows."""
    rows = list(figures["rows"].values())
    names = phase_names(rows)
    lines = []
    for row in rows:
        first, sums = row["rounds"][0], sums_of(row, names)
        memory, stored = row["peak MB"], row["stored bytes"]
        lines.append(
            [
                f"{row['devices']:,}",
                str(row["stations"]),
                f"{row['set-up']['keys'] + row['set-up']['enrolment']:.2f}",
                f"{row['seconds']:.2f}",
                *(f"{sums[name]:.2f}" for name in names),
                f"{1e3 * row['seconds'] / row['devices']:.2f}",
                f"{memory['this']:,.0f}" + (f" + {memory['workers']:,.0f}" if memory["workers"] else ""),
                str(row["enrolment"]["transactions"]),
                str(first["transactions"]),
                f"{first['gas']:,}",
                f"{stored / 1e6:,.1f}",
            ]
        )
    numbers = ["transactions to enrol", "of the round", "gas", "MB stored"]
    return ["devices", "stations", "enrolment, s", "round, s", *names, "ms per device", "peak MB", *numbers], lines


def reached(figures: Figures) -> str:
    """Say whether it scales as it is to."""
    rows = {(row["devices"], row["stations"]): row for row in figures["rows"].values()}
    few = next((row for (devices, stations), row in rows.items() if (devices, stations) == (100, 3)), None)
    many = next((row for (devices, _), row in rows.items() if devices == TARGET_DEVICES), None)
    if few is None or many is None:
        return ""
    memory = many["peak MB"]["this"] + many["peak MB"]["workers"]
    cost, before = (1e3 * row["seconds"] / row["devices"] for row in (many, few))
    done, level = verdict(memory < TARGET_MEMORY), verdict(cost <= _LEVEL * before)
    alike = {row["rounds"][0]["transactions"] for (_, stations), row in rows.items() if stations == 3}
    same = "the same" if len(alike) == 1 else "**not the same**"
    return (
        f"Targets: {TARGET_DEVICES:,} devices in {TARGET_MEMORY / 1000:g} GB: {memory / 1000:.1f} GB, {done}. The cost "
        f"per device no higher than with 100: {cost:.2f} ms against {before:.2f}, {level}. Under three stations a "
        f"round has {same} number of transactions whatever the number of devices."
    )


def rounds(figures: Figures, table: Table) -> str:
    """Where a round's time goes."""
    of = figures["of"]
    compared = f" Issue A is commit `{of['issue A'][1]}`, run with today's packages." if "issue A" in of else ""
    return f"""## Rounds by phase

`benchmarks/rounds.py`, on {figures["cores"]} cores: the demo's settings (watch data, 3 stations, 10 devices), the
commands that users have, medians.{compared}

![Seconds per round by phase](benchmarks/rounds.svg)

{table(*rounds_rows(figures))}
"""


def rounds_rows(figures: Figures) -> Rows:
    """Return headings and cells: a column for each version, a row for each part of a run."""
    columns = {name: runs for name, runs in figures["runs"].items() if runs}
    names = [name for name in phase_names(run for runs in columns.values() for run in runs) if name != "rest"]
    steps = list({step: None for runs in columns.values() for run in runs for step in run["set-up"]})

    def median(runs: Sequence[Figures], value: Callable[[Figures], float]) -> str:
        return f"{statistics.median(value(run) for run in runs):.2f}"

    def set_up(step: str) -> Callable[[Figures], float]:
        return lambda run: float(run["set-up"].get(step, 0.0))

    def later(name: str) -> Callable[[Figures], float]:
        return lambda run: statistics.median(one["phases"].get(name, 0.0) for one in run["rounds"][1:])

    parts: dict[str, Callable[[Figures], float]] = {
        **{f"set-up: {step}": set_up(step) for step in steps},
        "first round": lambda run: run["rounds"][0]["seconds"],
        "later round": lambda run: statistics.median(one["seconds"] for one in run["rounds"][1:]),
        **{f"later round: {name}": later(name) for name in names},
        "all rounds": lambda run: sum(one["seconds"] for one in run["rounds"]),
        "in all": lambda run: run["seconds"],
    }
    lines = [[part, *(median(runs, value) for runs in columns.values())] for part, value in parts.items()]
    return ["seconds", *columns], lines


def show(rows: Rows, title: str = "") -> None:
    """Print a table on the terminal."""
    headings, lines = rows
    drawn = Drawn(*headings, title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in drawn.columns[1:]:
        column.justify = "right"
    for line in lines:
        drawn.add_row(*line)
    Console(highlight=False, width=max(_WIDE, Console().width)).print(drawn)
