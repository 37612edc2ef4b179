"""Drive the stations of a session round by round, and say what each round cost.

Every step is recorded on the chain before the next, so a run may be interrupted anywhere and simply started again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

from chain.errors import ContractRevertError, RecordError, UndoneError
from chain.station import Action, Step, Unsettled
from chain.values import RoundState, RoundStatus
from fl.station_trainer import Evaluation
from scripts.sending import Sending
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


_REFUSALS = 5  # in a row, of steps that were due when they were prepared

Notice = Callable[[str], None]
"""Told what is about to happen, for a progress bar."""


def run_rounds(session: Session, until: int, notice: Notice = lambda text: None) -> Iterator[RoundResult]:
    """Bring the twin's head to round ``until``; yield each round when it is final.

    At the end everything that this run sent is settled.

    Raises:
        RecordError: no station can go on.
        TwinsError, FlError, ChainError: the step at hand failed before it was recorded.
    """
    session.notice = notice
    chain = session.network.chain
    while True:
        yield from _rounds(session, until)
        session.notice("waiting until everything is settled")
        try:
            chain.settle()
        except UndoneError as error:  # a vote that the round did without, or the last round itself
            chain.notice(f"{error} Looking at the chain again")
        else:
            return


def _rounds(session: Session, until: int) -> Iterator[RoundResult]:
    number, parent, _ = session.head_model()
    chain = session.network.chain
    while number < until:
        started, trained, steps, refused = perf_counter(), session.seconds_training, [], 0
        phases = dict.fromkeys(("train", "record", "merge", "evaluate"), 0.0)
        while session.head_round() == number:
            try:
                if refused:
                    chain.await_block()  # which may find one more step undone
                steps.extend(_sweep(session, until, phases))
                refused = 0
            except (ContractRevertError, UndoneError) as error:
                # Where blocks can be undone, what was due a moment ago may not be any more: look again, then do
                # what is due now. On a chain that nobody else moves, or again and again, it is a fault.
                refused += 1
                if not chain.confirmations or refused == _REFUSALS:
                    raise
                chain.notice(f"round {number + 1}: {error} Looking at the chain again")
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
    network, unsettled, votes, wanted = session.network, False, 0, 0
    with Sending[Step](network.chain) as sending:
        for index, follower in enumerate(session.followers):
            clock = perf_counter()
            session.notice(f"station {index + 1} of {len(session.followers)}")
            due = follower.due(_last_round(session, until))
            phase = "record"
            if isinstance(due, Unsettled):
                unsettled = True
            elif due is not None:
                if due.action is Action.ATTESTED:
                    phase, votes = "merge", votes + 1
                    wanted = wanted or _votes_wanted(network.ledger.round_of(session.twin))
                sending.start(due.record)
            phases[phase] += perf_counter() - clock
            if votes and votes == wanted:
                break  # final, if all are for the same model: what a station does next belongs to the next round
        clock = perf_counter()
        steps = sending.results()
    if not steps and unsettled:
        session.notice(f"waiting for {network.chain.confirmations} blocks on top of the updates")
        network.chain.await_block()
    phases["merge" if votes else "record"] += perf_counter() - clock
    if not steps and not unsettled:
        state = network.ledger.round_of(session.twin)
        if state.status is not RoundStatus.FINAL:  # or others have finished it meanwhile
            raise RecordError(
                f"round {state.number} is {state.status.name.lower()} and no station of this run can take it further: "
                f"expected {state.quorum} votes of {state.electorate.bit_count()} stations, got "
                f"{state.voted.bit_count()}"
            )
    return steps


def _votes_wanted(state: RoundState) -> int:
    """Return how many votes end the round if all are for the same model; one, when they weren't so far."""
    return max(1, state.quorum - state.voted.bit_count())
