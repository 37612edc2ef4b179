"""Rounds as they become final: a live table on a terminal, plain lines elsewhere, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fl.station_trainer import Evaluation
from scripts.cli import out
from scripts.federation_run import RoundResult
from scripts.process_run import ProcessRound
from twins.types import Digest

HEADINGS = ("round", "accuracy", "stations", "model", "gas", "seconds")
PROCESS_HEADINGS = (*HEADINGS, "missing")

Notice = Callable[[str], None]
Rows = Callable[[Notice], Iterator[Sequence[str]]]
"""Runs, and yields the cells of each round; told where notices go."""


def show(headings: Sequence[str], count: int, rows: Rows) -> None:
    """Run with a live table and a progress bar; plain lines where there is no terminal.

    Args:
        headings: of the columns.
        count: of rounds that are to come.
        rows: what runs.
    """
    if not out.is_terminal:
        out.print("  ".join(headings))
        for cells in rows(lambda text: None):
            out.print("  ".join(cells).rstrip())
            out.file.flush()
        return
    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for column, heading in zip(table.columns, headings, strict=True):
        column.justify = "left" if heading in ("model", "missing") else "right"
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    progress = Progress(*columns, console=out)
    task = progress.add_task("", total=count)
    with Live(Group(table, progress), console=out, refresh_per_second=8):
        for cells in rows(lambda text: progress.update(task, description=text)):
            table.add_row(*cells)
            progress.advance(task)
        progress.update(task, visible=False)


def result_cells(result: RoundResult) -> tuple[str, ...]:
    """Return the row of a round that ran in this process."""
    return _cells(result.number, result.evaluation, result.stations, result.model, result.gas, result.seconds)


def result_json(result: RoundResult) -> dict[str, object]:
    """Return such a round as JSON values."""
    return {
        "round": result.number,
        "model": result.model,
        "parent": result.parent,
        "accuracy": result.evaluation.accuracy,
        "loss": result.evaluation.loss,
        "stations": result.stations,
        "devices": result.devices,
        "gas": result.gas,
        "seconds": round(result.seconds, 3),
        "phases": {name: round(seconds, 3) for name, seconds in result.phases.items()},
    }


def process_cells(row: ProcessRound) -> tuple[str, ...]:
    """Return the row of a round of stations that are processes."""
    final = row.final
    cells = _cells(final.number, row.evaluation, len(final.stations), final.model, final.gas, row.seconds)
    return (*cells, " ".join(station[:10] + "…" for station in final.missing))


def process_json(row: ProcessRound) -> dict[str, object]:
    """Return such a round as JSON values."""
    final = row.final
    return {
        "round": final.number,
        "model": final.model,
        "parent": final.parent,
        "accuracy": row.evaluation.accuracy,
        "loss": row.evaluation.loss,
        "stations": len(final.stations),
        "missing": list(final.missing),
        "devices": final.devices,
        "gas": final.gas,
        "seconds": round(row.seconds, 3),
    }


def _cells(
    number: int, evaluation: Evaluation, stations: int, model: Digest, gas: int, seconds: float
) -> tuple[str, ...]:
    return (str(number), f"{evaluation.accuracy:.3f}", str(stations), model[:18] + "…", f"{gas:,}", f"{seconds:.1f}")
