"""Which engine: measured on this machine with this model, or as somebody wishes.

A cohort is many times faster for a small network and slower for some large ones; worker processes help where there are
cores and work enough to make good the seconds that they take to start. So it is measured, not guessed (fl-engine.md,
section 2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from fl.cohort import Member, best_device, train_cohort, why_not
from fl.datasets import Dataset, Partition
from fl.engines import Engine, LocalEngine
from fl.errors import EngineError
from fl.ray_grid import RayEngine
from fl.training import THREADS, Examples, device_seed, initial_model, load_model, train, with_threads
from fl.workers import WorkerEngine

KINDS = ("auto", "loop", "workers", "cohort", "fastest", "ray")
"""``auto`` and ``fastest`` measure; the first takes only what gives the bits of ``loop``."""

_SIZES = (10, 25, 50, 100, 200)  # of cohorts: beyond, the stacked weights leave the processor's cache
_WORTH = 0.8  # of the loop's time: what a cohort must save, since its results are its own
_START = 8.0  # seconds of work that pay for the start of worker processes
_PROBES = 3  # devices that are trained to see how long one takes


@dataclass(frozen=True)
class EngineChoice:
    """What is to run the devices.

    Attributes:
        kind: one of `KINDS`.
        workers: processes; 0 for this one alone, None to choose.
        cohort: devices at once; None to choose.
        threads: of torch, in each process; None to choose.
    """

    kind: str = "auto"
    workers: int | None = None
    cohort: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            EngineError: an unknown kind, a negative number of workers, a cohort below 2 or of no cohort's engine, no
                threads, or several on Ray.
        """
        if self.kind not in KINDS:
            raise EngineError(f"unknown engine {self.kind!r}: expected one of {', '.join(KINDS)}")
        if self.workers is not None and self.workers < 0:
            raise EngineError(f"workers: expected 0 (this process alone) or more, got {self.workers}")
        if self.cohort is not None and (self.cohort < 2 or self.kind not in ("cohort", "fastest")):
            raise EngineError(
                f"cohort: expected 2 devices or more with engine cohort, got {self.cohort} with {self.kind}"
            )
        if self.kind in ("workers", "ray") and self.workers == 0:
            raise EngineError(f"engine {self.kind}: expected 1 worker or more, got 0; the engine without any is loop")

        if self.threads is not None and (self.threads < 1 or (self.kind == "ray" and self.threads > 1)):
            raise EngineError(f"threads: expected 1 or more, and 1 with ray, got {self.threads} with {self.kind}")

    @property
    def is_settled(self) -> bool:
        """Tell whether there is nothing left to measure."""
        if self.kind == "cohort":
            return self.workers is not None and self.cohort is not None
        return self.kind == "loop" or (self.kind in ("workers", "ray") and self.workers is not None)

    def __str__(self) -> str:
        """Say it in a few words."""
        where = f" in {self.workers} processes" if self.workers else ""
        if (self.threads or 1) > 1:
            where += f", {self.threads} threads"
        if self.kind == "cohort":
            return f"cohorts of {self.cohort} devices{where}"
        return f"Flower's simulation on Ray{where}" if self.kind == "ray" else f"one device after another{where}"


@dataclass(frozen=True)
class Work:
    """What is ahead.

    Attributes:
        dataset: what is learnt.
        parts: the data of some of the devices, one at least.
        devices: of the largest station of this process.
        updates: of all devices in all rounds that this process is going to train.
        cores: that it may use.
    """

    dataset: Dataset
    parts: Sequence[Partition]
    devices: int
    updates: int
    cores: int


def settle(wish: EngineChoice, work: Work, clock: Callable[[], float] = time.perf_counter) -> EngineChoice:
    """Measure what the wish leaves open.

    Raises:
        EngineError: a cohort is wished for, and the network can't be trained in one.
    """
    network = work.dataset.task.build()
    reason = why_not(network)
    if wish.kind == "cohort" and reason is not None:
        raise EngineError(f"engine cohort: {reason}; expected a network without, or --engine workers")
    if wish.is_settled:
        return wish
    if wish.kind == "ray":
        return replace(wish, workers=min(work.cores, work.devices))
    load_model(network, initial_model(work.dataset.task, 0))
    threads, kind, cohort = wish.threads or THREADS, "loop", None
    each = _loop_seconds(work, network, threads, clock)
    if wish.kind == "fastest" and wish.threads is None and work.devices < work.cores:
        # Cores that no device would keep busy.
        quickest = _loop_seconds(work, network, work.cores, clock)
        if quickest < _WORTH * each:
            threads, each = work.cores, quickest
    if wish.kind in ("cohort", "fastest") and reason is None and work.devices > 1:
        sizes = (wish.cohort,) if wish.cohort else (*(s for s in _SIZES if s < work.devices), work.devices)
        with with_threads(threads):
            best, quickest = _best_cohort(work, network, sizes[: len(_SIZES)], clock)
        if wish.kind == "cohort" or quickest < _WORTH * each:
            kind, cohort, each = "cohort", best, quickest
    workers = wish.workers
    if workers is None:
        # A worker must have more to do than to start.
        wanted = min(work.cores // threads, work.devices) if each * work.updates > _START else 0
        workers = wanted if wanted > 1 or wish.kind == "workers" else 0
    if kind == "loop":
        return EngineChoice("workers" if workers else "loop", workers, None, threads)
    share = -(-work.devices // max(1, workers))
    return EngineChoice("cohort", workers, max(2, min(cohort or 2, share)), threads)


def make_engine(choice: EngineChoice) -> Engine:
    """Return the engine of a settled choice.

    Raises:
        EngineError: it isn't settled.
    """
    if not choice.is_settled:
        raise EngineError(f"engine {choice.kind}: expected a settled choice, got {choice!r}")
    if choice.kind == "ray":
        return RayEngine(choice.workers or 1)
    local = LocalEngine(choice.cohort or 1, choice.threads or THREADS)
    return WorkerEngine(choice.workers, local) if choice.workers else local


def _loop_seconds(work: Work, network: torch.nn.Module, threads: int, clock: Callable[[], float]) -> float:
    """Return seconds that one device takes by itself: the least of some, for other programs only ever add to it."""
    found = []
    for index, part in enumerate(work.parts[:_PROBES]):
        examples = Examples.of(part.train_x, part.train_y)
        for _ in range(2 if index == 0 else 1):  # the first training of a process is slow
            began = clock()
            with with_threads(threads):
                train(network, work.dataset.task, examples, seed=device_seed(0, 0, index))
            found.append(clock() - began)
    return min(found)


def _best_cohort(
    work: Work, network: torch.nn.Module, sizes: Sequence[int], clock: Callable[[], float]
) -> tuple[int, float]:
    """Return the size of cohort that takes the least time per device, and that time."""
    members = [Member(Examples.of(p.train_x, p.train_y), device_seed(0, 0, i)) for i, p in enumerate(work.parts)]
    task, found = replace(work.dataset.task, epochs=1), []
    train_cohort(task, network, members[:2], device=best_device())  # imports what it needs
    for size in sizes:
        some = [members[i % len(members)] for i in range(size)]
        took = []
        for _ in range(2):
            began = clock()
            train_cohort(task, network, some, device=best_device())
            took.append((clock() - began) / size * work.dataset.task.epochs)
        found.append((min(took), size))
        if len(found) > 1 and found[-1] > found[-2]:
            break
    seconds, size = min(found)
    return size, seconds
