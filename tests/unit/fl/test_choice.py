"""The choice of an engine: measured where nothing is said, and refused where it can't be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest
from torch import nn

import fl.choice
from fl.choice import EngineChoice, Work, make_engine, settle
from fl.datasets import Dataset
from fl.engines import LocalEngine
from fl.errors import EngineError
from fl.workers import WorkerEngine
from tests.unit.fl import tiny

pytestmark = pytest.mark.unit


def work(dataset: Dataset = tiny.DATASET, *, devices: int = 8, updates: int = 100, cores: int = 2) -> Work:
    return Work(dataset, dataset.load("plain", 8), devices, updates, cores)


def ticking(step: float) -> Callable[[], float]:
    """A clock on which everything takes as long."""
    ticks: Iterator[int] = count()
    return lambda: next(ticks) * step


@pytest.fixture
def cohort_takes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def let(seconds: float) -> None:
        monkeypatch.setattr(fl.choice, "_best_cohort", lambda *args: (5, seconds))

    return let


def test_what_is_wished_for_is_taken_without_measuring() -> None:
    def never() -> float:
        raise AssertionError("measured")

    settled = (EngineChoice("workers", 3), EngineChoice("cohort", 0, 4), EngineChoice("ray", 2))
    for wish in (EngineChoice("loop"), *settled):
        assert settle(wish, work(), never) == wish


def test_rays_actors_are_as_many_as_the_cores() -> None:
    assert settle(EngineChoice("ray"), work()) == EngineChoice("ray", 2)
    assert settle(EngineChoice("ray"), work(devices=1)) == EngineChoice("ray", 1)


def test_little_work_starts_no_processes() -> None:
    assert settle(EngineChoice(), work(), ticking(1e-3)) == EngineChoice("loop", 0, None, 1)


def test_much_work_is_shared_among_the_cores() -> None:
    assert settle(EngineChoice(), work(updates=100_000), ticking(1e-3)) == EngineChoice("workers", 2, None, 1)
    assert settle(EngineChoice(), work(updates=100_000, devices=1), ticking(1e-3)) == EngineChoice("loop", 0, None, 1)
    assert settle(EngineChoice(), work(updates=100_000, cores=1), ticking(1e-3)) == EngineChoice("loop", 0, None, 1)
    assert settle(EngineChoice(workers=0), work(updates=100_000), ticking(1e-3)) == EngineChoice("loop", 0, None, 1)


def test_auto_never_takes_what_gives_other_bits(cohort_takes: Callable[[float], None]) -> None:
    cohort_takes(1e-9)
    assert settle(EngineChoice("auto"), work(), ticking(1.0)).kind in ("loop", "workers")


def test_fastest_takes_a_cohort_where_it_saves_enough(cohort_takes: Callable[[float], None]) -> None:
    cohort_takes(1e-4)
    assert settle(EngineChoice("fastest"), work(), ticking(1e-3)) == EngineChoice("cohort", 0, 5, 1)
    cohort_takes(0.9e-3)
    assert settle(EngineChoice("fastest"), work(), ticking(1e-3)).kind == "loop"


def test_a_cohort_is_no_larger_than_a_workers_share(cohort_takes: Callable[[float], None]) -> None:
    cohort_takes(1e-3)
    assert settle(EngineChoice("cohort", 4), work(), ticking(1e-3)) == EngineChoice("cohort", 4, 2, 1)


def test_a_real_measurement_ends_in_an_engine_that_can_be_made() -> None:
    for kind in ("auto", "fastest", "cohort"):
        made = make_engine(settle(EngineChoice(kind), work(updates=1)))
        assert isinstance(made, LocalEngine)
    engine = make_engine(EngineChoice("cohort", 2, 8))
    assert isinstance(engine, WorkerEngine)
    assert (engine.workers, engine.local) == (2, LocalEngine(8))


def test_a_network_that_no_cohort_can_train_is_trained_otherwise_or_refused() -> None:
    dropping = replace(
        tiny.DATASET, task=replace(tiny.DATASET.task, build=lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)))
    )
    assert settle(EngineChoice("fastest"), work(dropping), ticking(1e-3)).kind == "loop"
    for wish in (EngineChoice("cohort"), EngineChoice("cohort", 0, 5)):
        with pytest.raises(EngineError, match="dropout"):
            settle(wish, work(dropping))


@pytest.mark.parametrize(
    "values",
    [
        ("vmap",),
        ("loop", -1),
        ("workers", 0),
        ("ray", 0),
        ("loop", None, 5),
        ("cohort", None, 1),
        ("loop", 0, None, 0),
        ("ray", 2, None, 2),
    ],
)
def test_nonsense_is_refused(values: tuple[object, ...]) -> None:
    with pytest.raises(EngineError, match="expected"):
        EngineChoice(*values)  # type: ignore[arg-type]


def test_cores_that_no_device_would_use_become_threads_where_that_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    def least(work: Work, network: nn.Module, threads: int, clock: Callable[[], float]) -> float:
        return 1.0 / threads

    monkeypatch.setattr(fl.choice, "_loop_seconds", least)
    one = work(devices=1, cores=4)
    assert settle(EngineChoice("fastest"), one) == EngineChoice("loop", 0, None, 4)
    assert settle(EngineChoice("fastest", threads=1), one).threads == 1, "if nothing else is asked for"
    assert settle(EngineChoice("auto"), one).threads == 1, "it changes bits"
    assert settle(EngineChoice("fastest"), work(devices=4, cores=4)).threads == 1
    engine = make_engine(EngineChoice("loop", 0, None, 4))
    assert engine.facts["threads"] == 4


def test_what_is_not_settled_makes_no_engine() -> None:
    with pytest.raises(EngineError, match="settled"):
        make_engine(EngineChoice("auto"))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (EngineChoice("loop", 0), "one device after another"),
        (EngineChoice("workers", 2), "one device after another in 2 processes"),
        (EngineChoice("loop", 0, None, 2), "one device after another, 2 threads"),
        (EngineChoice("cohort", 2, 50), "cohorts of 50 devices in 2 processes"),
    ],
)
def test_a_choice_is_said_in_words(choice: EngineChoice, words: str) -> None:
    assert str(choice) == words
