"""Drive the stations of a session round by round, and say what each round cost.

Every step is recorded on the chain before the next, so a run may be interrupted anywhere and simply started again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

from chain.errors import RecordError
from chain.station import Action, Step
from chain.values import RoundStatus
from fl.station_trainer import Evaluation
from scripts.session import Session
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
        phases: seconds of ``train``, ``record``, ``merge`` (fetch, verify, merge, attest) and ``evaluate``.
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

    Raises:
        RecordError: no station can go on.
        TwinsError, FlError, ChainError: the step at hand failed before it was recorded.
    """
    session.notice = notice
    number, parent, _ = session.head_model()
    while number < until:
        started, trained, steps = perf_counter(), session.seconds_training, []
        phases = dict.fromkeys(("train", "record", "merge", "evaluate"), 0.0)
        while session.head_round() == number:
            steps.extend(_sweep(session, until, phases))
        phases["train"] = session.seconds_training - trained
        phases["record"] -= phases["train"]
        clock = perf_counter()
        session.notice("evaluating the new model")
        number, model, weights = session.head_model()
        evaluation = session.evaluate(model, weights)
        phases["evaluate"] = perf_counter() - clock
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


def _last_round(session: Session, until: int) -> int:
    """Return the last round that may be opened: an aborted one has used up its number, so the next takes its place."""
    state = session.network.ledger.round_of(session.twin)
    return max(until, state.number + 1) if state.status is RoundStatus.ABORTED else until


def _sweep(session: Session, until: int, phases: dict[str, float]) -> list[Step]:
    """Let every station do what is due for it, once."""
    steps = []
    for index, follower in enumerate(session.followers):
        clock = perf_counter()
        session.notice(f"station {index + 1} of {len(session.followers)}")
        step = follower.step(_last_round(session, until))
        if step is not None:
            steps.append(step)
            phases["merge" if step.action is Action.ATTESTED else "record"] += perf_counter() - clock
            if step.action is Action.ATTESTED and session.head_round() == step.round:
                break  # final: what a station does next belongs to the next round
    if not steps:
        state = session.network.ledger.round_of(session.followers[0].twin)
        raise RecordError(
            f"round {state.number} is {state.status.name.lower()} and no station of this run can take it further: "
            f"expected {state.quorum} votes of {state.electorate.bit_count()} stations, got {state.voted.bit_count()}"
        )
    return steps
