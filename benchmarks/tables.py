"""docs/benchmarks.md, made from the figures in docs/benchmarks/*.json.

Examples:
    benchmarks/tables.py             renew the page
    benchmarks/tables.py --quick     only say whether it is what the figures give; exit code 1 if not
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import deployment_tables, engine_tables, pdp_tables, throughput_tables
from benchmarks.accuracies import Measured
from scripts.cli import command, out, run

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"

PLOTTED = ("one-station", "seven-stations")
"""Federations whose accuracies are also drawn."""

Figures = Mapping[str, Any]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, all columns but the first flush right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def network(figures: Figures) -> str:
    """Embedded against consortium."""
    rounds, transactions, artifacts = (figures[name] for name in ("rounds", "transactions", "artifacts"))
    phases = list(rounds["embedded"])
    kinds = list(transactions["embedded"])
    sizes = list(artifacts["embedded"])
    return f"""## Embedded against consortium

`benchmarks/network.py`, on {figures["cores"]} cores. The consortium is 5 geth validators with a block per second and
3 Kubo nodes on the same machine. Both were measured in one run.

Seconds per round of the demo's twin (3 stations, 10 devices), means; a vote waits for 3 blocks on top of the updates:

{table(["", *phases], [[p, *(f"{rounds[p][k]:.2f}" for k in phases)] for p in rounds])}

Transactions; pipelined are those of one account, sent before the first is mined. A validator composes a block as soon
as it has the one before, so what is sent in answer to a block is in the next but one:

{table(["", *kinds], [[p, *(f"{transactions[p][k]:.2f}" for k in kinds)] for p in transactions])}

Artifacts, milliseconds, medians. K nodes have pinned an artifact when `put` returns; `get` asks the first node, and
every byte is checked against the CID here:

{
        table(
            ["", *(f"{way} {size}" for size in sizes for way in ("put", "get"))],
            [[p, *(f"{artifacts[p][s][w]:.1f}" for s in sizes for w in ("put", "get"))] for p in artifacts],
        )
    }
"""


def soak(figures: Figures) -> str:
    """Ten minutes under load."""
    memory = figures["memory"]
    rows = [[name, *(f"{m:.0f}" for m in values)] for name, values in memory.items()]
    kinds = [[name.replace("_", " "), str(count)] for name, count in figures["counts"].items()]
    first, second = (sum(m[half + 1] - m[half] for m in memory.values()) for half in (0, 1))
    return f"""## Soak

`benchmarks/soak.py --minutes {figures["minutes"]:g}`: transactions and artifacts without a pause, then
every one of them looked up again.

{table(["", "count"], kinds)}

Memory of each process, MB, at the start, in the middle and at the end:

{table(["", "start", "middle", "end"], rows)}

All together grew by {first:.0f} MB in the first half and by {second:.0f} MB in the second. {figures.get("note", "")}
"""


def reorgs(figures: Sequence[Figures]) -> str:
    """What reorganisations undo."""
    kinds = ("seconds", "blocks", "reorganisations", "deepest")
    return f"""## Reorganisations

`benchmarks/reorgs.py`: 5 validators, a block per second. Reorganisations are counted at each validator; the deepest is
the number of blocks that one of them undid. A vote waits for 3 blocks ([why](adr/0008-three-confirmations.md)).

{table(["", *kinds], [[f["phase"], *(str(f[k]) for k in kinds)] for f in figures])}
"""


def stations(figures: Figures) -> str:
    """3, 7 and 21 stations, each its own process."""
    columns = {
        "s per round": lambda f: f"{f['round, median s']:.1f}",
        "gas, first round": lambda f: f"{f['gas, first']:,}",
        "gas, steady round": lambda f: f"{f['gas, steady']:,.0f}",
        "rounds": lambda f: str(f["rounds"]),
        "stations that agreed, least": lambda f: str(f["agreeing, least"]),
        "dissenting votes": lambda f: str(f["dissenting votes"]),
        "audit": lambda f: f"{f['verdict']}, {f['audit, seconds']:.0f} s",
    }
    rows = [[name, *(show(measured) for show in columns.values())] for name, measured in figures["runs"].items()]
    return f"""## Stations

`benchmarks/stations.py`, on {figures["cores"]} cores that all processes share: each station is a process with one
device, and so are the chain's and the store's nodes. Seconds are medians between one final model and the next; gas is
the sum of a round's receipts, steady from the tenth round on. A station agrees with a model that it voted for, or that
it computed itself before it trained on it.

{table(["profile, stations", *columns], rows)}
"""


def robustness(figures: Figures) -> str:
    """Accuracy under lies, for each rule."""
    settings = figures["settings"]
    parts = []
    for key, federation in figures["federations"].items():
        measured = Measured(figures, key)
        rules = "".join(f"- {name}: {described}\n" for name, described in federation["rules"].items())
        plotted = f"![{measured.title}](benchmarks/robustness-{key}.svg)\n\n" if key in PLOTTED else ""
        parts.append(f"### {measured.title}\n\n{plotted}{table(*measured.grid())}\n\n{rules}")
    stuck = sum(any(found is not None for found in one["stuck"]) for one in figures["runs"])
    return f"""## Lying devices and stations

`benchmarks/robustness.py`: the watch data, {settings["rounds"]} rounds, local epochs: {settings["epochs"]}. Accuracy on
the honest devices' test data as mean of the last {settings["last"]} rounds; mean (worst–best) of {settings["seeds"]}
seeds. Who guesses is right in {figures["guessing"]:.0%}. Liars rotate all their labels by one, or multiply their
update before they sign it; who lies is drawn per seed. In {stuck} of the {len(figures["runs"])} situations a model was
not finite: there the head stayed what it was.

{chr(10).join(parts)}"""


SECTIONS: Mapping[str, Callable[[Any], str]] = {
    "stations": stations,
    "robustness": robustness,
    "rounds": lambda figures: engine_tables.rounds(figures, table),
    "throughput": lambda figures: throughput_tables.throughput(figures, table),
    "overhead": lambda figures: engine_tables.overhead(figures, table),
    "scaling": lambda figures: engine_tables.scaling(figures, table),
    "pdp-gas": lambda figures: pdp_tables.gas(figures, table),
    "pdp-detection": lambda rows: pdp_tables.detection(rows, table),
    "pdp-faults": lambda figures: pdp_tables.faults(figures, table),
    "pdp-latency": lambda figures: pdp_tables.latency(figures, table),
    "pdp-speed": lambda figures: pdp_tables.speed(figures, table),
    "deployment": lambda figures: deployment_tables.deployment(figures, table),
    "network": network,
    "reorgs": reorgs,
    "soak": soak,
}


def page() -> str:
    """Return the page that the figures give."""
    parts = [
        "# Benchmarks\n\nMade by `benchmarks/tables.py` from `docs/benchmarks/`. Each section names its command.\n"
    ]
    for name, section in SECTIONS.items():
        file = DOCS / "benchmarks" / f"{name}.json"
        if file.exists():
            parts.append(section(json.loads(file.read_text(encoding="utf-8"))))
    return "\n".join(parts)


def renew() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    out.print(f"written: {PAGE}")


@command(__doc__)
def main(quick: Annotated[bool, typer.Option("--quick", help="Compare only.")] = False) -> None:
    """Renew the page (see --help)."""
    if not quick:
        renew()
    elif PAGE.read_text(encoding="utf-8") != page():
        raise typer.Exit(1)


if __name__ == "__main__":
    run(main)
