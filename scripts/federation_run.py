"""Drive the stations of a session round by round, and say what each round cost.

Every step is recorded on the chain before the next, so a run may be interrupted anywhere and simply started again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from chain.errors import UndoneError
from chain.station import Step
from fl.station_trainer import Evaluation
from scripts.session import Session
from scripts.sweeps import Attempts, sweep
from twins.types import Digest


@dataclass(frozen=True)
class RoundResult:
    """One round that became final in this run.

    Attributes:
        number: of the round.
        model: the new head.
        parent: the former head.
        evaluation: of the new head on all devices' test data.
        stations: how many updates were merged, also those of a run before that was interrupted.
        devices: how many devices contributed.
        steps: what this run recorded, with receipts, in order.
        seconds: in all.
        phases: seconds of ``train`` (from when the round before was final, and for the next one while votes were
            recorded), ``record`` (what of it didn't happen during training), ``merge`` (fetch, verify, merge, attest;
            what of it didn't happen during training) and ``evaluate`` (what of it didn't happen while
            updates were recorded and voted on).
    """

    number: int
    model: Digest
    parent: Digest
    evaluation: Evaluation
    stations: int
    devices: int
    steps: tuple[Step, ...]
    seconds: float
    phases: Mapping[str, float]

    @property
    def gas(self) -> int:
        """Of this run's transactions for the round: all of them unless the run before was interrupted in it."""
        return sum(step.receipt.gas_used for step in self.steps)


Notice = Callable[[str], None]
"""Told what is about to happen, for a progress bar."""


def run_rounds(session: Session, until: int, notice: Notice = lambda text: None) -> Iterator[RoundResult]:
    """Bring the twin's head to round ``until``; yield each round when it is final.

    At the end everything that this run sent is settled.

    Raises:
        RecordError: no station can go on.
        TwinsError, FlError, ChainError: the step at hand failed before it was recorded.
    """
    session.notice, session.over = notice, threading.Event()
    chain = session.network.chain
    try:
        while True:
            yield from _rounds(session, until)
            session.notice("waiting until everything is settled")
            try:
                chain.settle()
            except UndoneError as error:  # a vote that the round did without, or the last round itself
                chain.notice(f"{error} Looking at the chain again")
            else:
                return
    finally:
        session.over.set()


def _rounds(session: Session, until: int) -> Iterator[RoundResult]:
    number, parent, _ = session.head_model()
    while number < until:
        started, steps, attempts = perf_counter(), [], Attempts(session, number + 1)
        phases = dict.fromkeys(("train", "record", "merge", "evaluate"), 0.0)
        while session.head_round() == number:
            steps.extend(attempts.made(partial(sweep, session, until, phases)))
        clock = perf_counter()
        session.notice("evaluating the new model")
        number, model, weights = session.head_model()
        evaluation = session.evaluate(weights)
        phases["evaluate"] += perf_counter() - clock
        yield RoundResult(
            number=number,
            model=model,
            parent=parent,
            evaluation=evaluation,
            stations=session.merged_updates(model),
            devices=sum(len(follower.roster) for follower in session.followers),
            steps=tuple(steps),
            seconds=perf_counter() - started,
            phases=phases,
        )
        parent = model
