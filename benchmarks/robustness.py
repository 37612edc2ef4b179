"""How well a twin learns while devices or stations lie, under every aggregation rule.

Examples:
    benchmarks/robustness.py                         renews docs/benchmarks/robustness* and docs/benchmarks.md
    benchmarks/robustness.py --quick                 a part of it in few rounds; nothing is written
    benchmarks/robustness.py --rounds 20 --seeds 5   more exact, and three times as long

Devices train on the real watch data, sign, and are verified and aggregated as in a federated run; liars send updates
that are really poisoned (benchmarks/poison.py). There is no chain and no audit: what is measured is the rule alone.
Accuracy is that on the honest devices' test data, mean of the last 5 rounds. The same options give the same figures
on the same machine.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing.queues import Queue
from queue import Empty
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from benchmarks.accuracies import Figures, Measured
from benchmarks.federations import BOUND, FEDERATIONS, LAST, Defence, measure
from benchmarks.plots import plot
from benchmarks.poison import EPOCHS
from benchmarks.tables import DOCS, PLOTTED, renew
from fl.datasets import watch
from scripts.cli import command, err, out, run

FOLDER = DOCS / "benchmarks"
PROCESSES = 2

QUICK_ROUNDS = 2
QUICK_RULES = ("weighted mean", "median")


@dataclass(frozen=True)
class Settings:
    """Everything that changes the figures."""

    rounds: int = 10
    seeds: int = 3
    last: int = LAST
    epochs: int = EPOCHS
    bound: float = BOUND


@dataclass(frozen=True)
class Job:
    """A federation with one defence under one seed: its runs share what honest devices have trained."""

    federation: str
    defence: Defence
    seed: int


def jobs(seeds: int, *, quick: bool) -> list[Job]:
    """Return all that is measured, the longest first."""
    return [
        Job(key, defence, seed)
        for (key, federation), seed in product(FEDERATIONS.items(), range(seeds))
        for defence in federation.defences
        if not quick or (key in PLOTTED and defence.name in QUICK_RULES)
    ]


_told: Callable[[object], None]


def _begin(queue: Queue[object]) -> None:
    """Set up a process: a run that is done is told through the queue."""
    global _told
    _told = queue.put


def _do(job: Job, rounds: int) -> list[dict[str, Any]]:
    return measure(job.federation, job.defence, job.seed, rounds, lambda: _told(job.seed))


def measured(todo: Sequence[Job], rounds: int) -> list[dict[str, Any]]:
    """Do all jobs; return the figures of all runs, in the order of the jobs.

    Raises:
        FlError: rules or data that can't be used as asked.
    """
    context = multiprocessing.get_context("spawn")  # torch's threads don't survive a fork
    queue: Queue[object] = context.Queue()
    total = sum(len(FEDERATIONS[job.federation].cases(job.defence)) for job in todo)
    with (
        ProcessPoolExecutor(PROCESSES, context, _begin, (queue,)) as pool,
        Progress(console=err, transient=True) as progress,
    ):
        bar = progress.add_task("runs", total=total)
        waiting: list[Future[list[dict[str, Any]]]] = [pool.submit(_do, job, rounds) for job in todo]
        try:
            while not all(future.done() for future in waiting):
                try:
                    queue.get(timeout=0.2)
                    progress.advance(bar)
                except Empty:
                    continue
            return [figure for future in waiting for figure in future.result()]
        finally:
            pool.shutdown(cancel_futures=True)


def figures_of(settings: Settings, runs: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Return everything that was measured, the seeds of a situation beside each other."""
    grouped: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in runs:
        key = tuple(str(one[name]) for name in ("federation", "rule", "attack", "liars"))
        about = {name: one[name] for name in ("federation", "rule", "attack", "liars")}
        group = grouped.setdefault(key, {**about, "accuracy": [], "stuck": []})
        group["accuracy"].append(round(one["accuracy"], 4))
        group["stuck"].append(one["stuck"])
    measured_rules = {(one["federation"], one["rule"]) for one in runs}
    federations = {
        key: {
            "title": federation.title,
            "liars": federation.liars,
            "members": federation.members,
            "rules": {d.name: d.described for d in federation.defences if (key, d.name) in measured_rules},
        }
        for key, federation in FEDERATIONS.items()
        if any(key == name for name, _ in measured_rules)
    }
    return {
        "settings": asdict(settings),
        "seconds": round(seconds),
        "processes": PROCESSES,
        "guessing": 1 / watch.CLASSES,
        "federations": federations,
        "runs": list(grouped.values()),
    }


def to_text(figures: Figures) -> str:
    """Write the figures as JSON, a line per situation."""
    head = json.dumps({name: value for name, value in figures.items() if name != "runs"}, indent=1)
    rows = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in figures["runs"])
    return f'{head.removesuffix("}").rstrip()},\n "runs": [\n{rows}\n ]\n}}\n'


def table(measured: Measured) -> Table:
    """Return one federation's accuracies as people read them."""
    headings, rows = measured.grid()
    drawn = Table(title=measured.title)
    for place, heading in enumerate(headings):
        drawn.add_column(heading, justify="right" if place else "left")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def write(figures: Figures) -> None:
    """Renew the figures, the plots and the page."""
    (FOLDER / "robustness.json").write_text(to_text(figures), encoding="utf-8")
    for key in PLOTTED:
        drawn = plot(Measured(figures, key), figures["guessing"])
        (FOLDER / f"robustness-{key}.svg").write_text(drawn, encoding="utf-8")
    renew()


@command(__doc__)
def main(
    rounds: Annotated[int, typer.Option(min=LAST, help="Rounds per run.")] = Settings.rounds,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of everything.")] = Settings.seeds,
    quick: Annotated[bool, typer.Option("--quick", help="Two rules, two rounds; nothing is written.")] = False,
) -> None:
    """Measure (see --help)."""
    settings = Settings(QUICK_ROUNDS, 1) if quick else Settings(rounds, seeds)
    clock = perf_counter()
    runs = measured(jobs(settings.seeds, quick=quick), settings.rounds)
    figures = figures_of(settings, runs, perf_counter() - clock)
    for key in figures["federations"]:
        out.print(table(Measured(figures, key)))
    err.print(f"{len(runs)} runs of {settings.rounds} rounds in {figures['seconds']} s")
    if not quick:
        write(figures)


if __name__ == "__main__":
    run(main)
