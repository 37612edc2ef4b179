"""Options that say which engine runs the devices, and how a run comes to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fl.choice import KINDS, EngineChoice, Work, make_engine, settle
from fl.datasets import get
from fl.engines import Engine
from fl.errors import EngineError
from fl.station_trainer import deal
from scripts.cli import BadInputError
from scripts.home import Home, write_atomically
from scripts.settings import RunSettings

_ENGINE = "Engine"
EngineOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(KINDS),
        rich_help_panel=_ENGINE,
        help="What trains the devices. auto: loop or workers, which give the same bits; fastest: also cohorts, many "
        "devices at once, whose results round otherwise (the record says so); ray: Flower's simulation.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=0, rich_help_panel=_ENGINE, help="Worker processes; 0: none [measured].", show_default=False),
]
CohortOption = Annotated[
    int | None,
    typer.Option(min=2, rich_help_panel=_ENGINE, help="Devices in a cohort [measured].", show_default=False),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, rich_help_panel=_ENGINE, help="Of PyTorch, in each process [1].", show_default=False),
]


def wished(kind: str, workers: int | None, cohort: int | None, threads: int | None = None) -> EngineChoice:
    """Return what the options ask for.

    Raises:
        BadInputError: no such engine, or numbers that don't go with it.
    """
    try:
        return EngineChoice(kind, workers, cohort, threads)
    except EngineError as error:
        raise BadInputError(f"--engine, --workers, --cohort, --threads: {error}") from error


def settled(wish: EngineChoice, settings: RunSettings, rounds: int, home: Home | None, shares: int = 1) -> EngineChoice:
    """Measure what a wish leaves open.

    What was found to be fastest is remembered: a run that was interrupted goes on with the same, and so with the same
    bits.

    Args:
        wish: of the options.
        settings: of the run.
        rounds: that are ahead.
        home: where it is remembered; None to forget it.
        shares: processes like this one that share the machine.

    Raises:
        EngineError: as `fl.choice.settle`.
    """
    memory = None if home is None or wish.kind != "fastest" else home.engine_of(settings.twin)
    if memory is not None and memory.exists():
        return _remembered(memory)
    dataset = get(settings.dataset)
    largest = max(map(len, deal(settings.devices, settings.stations)))
    updates = max(1, rounds) * settings.devices // shares
    cores = max(1, _cores() // shares)
    parts = dataset.load(settings.split, settings.devices)[:largest]
    found = settle(wish, Work(dataset, parts, largest, updates, cores))
    if memory is not None:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(memory, json.dumps(asdict(found)) + "\n")
    return found


def engine_words(wish: EngineChoice) -> tuple[str, ...]:
    """Return a wish as options, for the process of one station."""
    given = {
        "--engine": wish.kind,
        "--workers": wish.workers,
        "--cohort": wish.cohort,
        "--threads": wish.threads,
    }
    return tuple(word for option, value in given.items() if value is not None for word in (option, str(value)))


def _remembered(file: Path) -> EngineChoice:
    try:
        return EngineChoice(**json.loads(file.read_text()))
    except (ValueError, TypeError, EngineError) as error:
        raise BadInputError(
            f"{file}: expected the engine that a run chose, got {error}; delete it to choose anew"
        ) from error


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def opened(choice: EngineChoice) -> Iterator[Engine]:
    """Start the engine of a settled choice; at the end nothing of it is left."""
    engine = make_engine(choice)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()
