"""What provenance costs: the same work without any, with artifacts in memory, and as users have it.

Examples:
    benchmarks/overhead.py                       all rows, 5 repetitions; writes docs/benchmarks/overhead.json: an hour
    benchmarks/overhead.py --row "mlp, 100"      that row; the others stay as they were
    benchmarks/overhead.py --continue            only the repetitions that are missing
    benchmarks/overhead.py --engine cohort       devices trained many at once, in all modes alike
    benchmarks/overhead.py --quick               small, once; nothing is written

Each run is a process of its own, warmed up, its engine settled beforehand; modes take turns within a repetition. All
modes train and test the same devices on the same data from the same seed. "No provenance" is Flower at each station and
a mean over stations: nothing is signed, verified, hashed, sealed, stored or recorded. The embedded profile's store is a
directory. In a consortium's rows its 5 validators and 3 IPFS nodes run beside all modes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.apart import apart
from benchmarks.engine_plots import overhead_plot
from benchmarks.engine_tables import overhead_rows, show
from benchmarks.places import network
from benchmarks.runs import DIRECTORY, GETH_KUBO, HARDHAT_KUBO, MEMORY, PLAIN, Job, settle
from benchmarks.tables import DOCS, renew
from scripts.cli import BadInputError, command, out, run
from scripts.engine_options import CohortOption, EngineOption, ThreadsOption, WorkersOption, wished
from scripts.signals import end_on_sigterm

EMBEDDED = (PLAIN, MEMORY, DIRECTORY)
CONSORTIUM = (PLAIN, HARDHAT_KUBO, GETH_KUBO)

ROWS: Mapping[str, tuple[Job, tuple[str, ...]]] = {
    "watch, 10": (Job("watch", 10), EMBEDDED),
    "watch, 100": (Job("watch-hundred", 100), EMBEDDED),
    "mlp, 100": (Job("mlp", 100), EMBEDDED),
    "watch, 10, consortium": (Job("watch", 10), CONSORTIUM),
    "mlp, 100, consortium": (Job("mlp", 100), CONSORTIUM),
}
"""Row to what is run, and in which modes; the first is what the others are compared with."""

FILE = DOCS / "benchmarks" / "overhead.json"


@command(__doc__)
def main(
    row: Annotated[list[str] | None, typer.Option(help=f"May be repeated [all]: {'; '.join(ROWS)}.")] = None,
    rounds: Annotated[int, typer.Option(help="Of each run.", min=1)] = 20,
    repeats: Annotated[int, typer.Option(help="Of each mode.", min=1)] = 5,
    consortium_repeats: Annotated[int, typer.Option(help="The same, where a block takes a second.", min=1)] = 3,
    engine: EngineOption = "auto",
    workers: WorkersOption = None,
    cohort: CohortOption = None,
    threads: ThreadsOption = None,
    resume: Annotated[bool, typer.Option("--continue", help="Keep what is measured, add what is missing.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Small, once, nothing written.")] = False,
) -> None:
    """Measure (see --help)."""
    end_on_sigterm()
    if unknown := set(row or ()) - set(ROWS):
        raise BadInputError(f"--row: expected {'; '.join(ROWS)}, got {'; '.join(sorted(unknown))}")
    wish = asdict(wished(engine, workers, cohort, threads))
    if quick:
        show(overhead_rows(_measure(replace(Job("mlp", 12, rounds=2), engine=wish), EMBEDDED, 1, None)), "mlp, 12")
        return
    figures: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"rows": {}}
    figures["cores"] = os.cpu_count()
    for name in row or ROWS:
        job, modes = ROWS[name]
        job = replace(job, rounds=rounds, engine=wish)
        found = figures["rows"].get(name) if resume else None
        if found is not None and found["job"] != _named(job):
            out.print(f"{name}: measured with other settings, so anew")
            found = None
        for measured in _steps(job, modes, consortium_repeats if modes is CONSORTIUM else repeats, found):
            figures["rows"][name] = measured
            FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")  # an hour's work isn't to be lost
        show(overhead_rows(figures["rows"][name]), name)
    (DOCS / "benchmarks" / "overhead.svg").write_text(overhead_plot(figures), encoding="utf-8")
    renew()


def _measure(job: Job, modes: tuple[str, ...], repeats: int, found: dict[str, Any] | None) -> dict[str, Any]:
    return list(_steps(job, modes, repeats, found))[-1]


def _steps(job: Job, modes: tuple[str, ...], repeats: int, found: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield a row's figures after each repetition of all its modes, at least once."""
    row = found or {"job": _named(job), "engine": settle(job), "runs": {mode: [] for mode in modes}}
    have = min(len(runs) for runs in row["runs"].values())
    yield row
    if have >= repeats:
        return
    with _place(modes) as place:
        for repetition in range(have, repeats):
            for mode in modes:
                one = replace(job, mode=mode, engine=row["engine"], seed=repetition, place=place)
                row["runs"][mode][repetition:] = [apart("benchmarks.runs:measure", asdict(one))]
                out.print(f"[dim]{repetition + 1}. {mode}: {row['runs'][mode][-1]['seconds']:.2f} s[/]")
            yield row


def _named(job: Job) -> dict[str, Any]:
    """Return what makes two measurements comparable."""
    return {name: value for name, value in asdict(job).items() if name not in ("mode", "seed", "place")}


@contextmanager
def _place(modes: tuple[str, ...]) -> Iterator[str | None]:
    if modes is not CONSORTIUM:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder, network("consortium", Path(folder)) as home:
        yield str(home)


if __name__ == "__main__":
    run(main)
