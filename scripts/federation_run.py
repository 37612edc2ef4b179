"""Drive the stations of a session round by round, and say what each round cost.

Every step is recorded on the chain before the next, so a run may be interrupted anywhere and simply started again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from chain.errors import ContractRevertError, RecordError, UndoneError
from chain.station import Action, Due, StationFollower, Step, Unsettled
from chain.values import RoundState, RoundStatus
from fl.station_trainer import Evaluation
from scripts.pipeline import Pipeline
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
        phases: seconds of ``train``, ``record`` (what of it didn't happen during training), ``merge`` (fetch, verify,
            merge, attest) and ``evaluate``.
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
        started, steps, refused = perf_counter(), [], 0
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
    last, chain = _last_round(session, until), session.network.chain
    with Pipeline[Step](chain) as pipeline:
        if session.network.ledger.round_of(session.twin).status is RoundStatus.SUBMITTING:
            phase = "record"
            unsettled = _train(session, pipeline, phases, lambda follower: follower.due(last))
        else:
            phase, unsettled = _take_turns(session, pipeline, last, phases)
        clock = perf_counter()
        steps = pipeline.results()
    if not steps:
        _nothing_done(session, unsettled=unsettled)
    phases[phase] += perf_counter() - clock
    return steps


def _train(
    session: Session,
    pipeline: Pipeline[Step],
    phases: dict[str, float],
    prepare: Callable[[StationFollower], Due | Unsettled | None],
    opening: Future[Step] | None = None,
) -> bool:
    """Let the stations train, one after another: one's update is stored and sent while the next one's devices train.

    Args:
        session: whose stations.
        pipeline: that stores and sends.
        phases: gets the seconds of ``train`` and ``record``.
        prepare: trains, and returns what is due then.
        opening: of the round, if it is on its way: updates are stored meanwhile, and sent when it has come.

    Returns:
        Whether something will be due when the chain has gone on.
    """
    unsettled = False
    for index, follower in enumerate(session.followers):
        _tell(session, index)
        clock = perf_counter()
        due = prepare(follower)
        phases["train"] += perf_counter() - clock
        clock = perf_counter()
        if isinstance(due, Due):
            _start(pipeline, index, due, opening)
        unsettled = unsettled or isinstance(due, Unsettled)
        del due  # it may hold hundreds of megabytes, and as many are about to be made
        phases["record"] += perf_counter() - clock
    return unsettled


def _start(pipeline: Pipeline[Step], lane: Hashable, due: Due, after: Future[Step] | None = None) -> Future[Step]:
    """Have what is due stored and sent; sent only after something else was."""

    def store() -> Callable[[], Step]:
        return partial(_send, due.stored(), after)

    return pipeline.send(lane, partial(_send, due, after)) if due.store is None else pipeline.start(lane, store)


def _send(due: Due, after: Future[Step] | None) -> Step:
    if after is not None:
        after.result()
    return due.record()


def _take_turns(session: Session, pipeline: Pipeline[Step], last: int, phases: dict[str, float]) -> tuple[str, bool]:
    """Let the stations do what is due: vote, until a quorum has; or open a round, for which all train at once.

    Returns:
        In which phase what was sent is waited for, and whether something will be due when the chain has gone on.
    """
    ledger, unsettled, votes, wanted = session.network.ledger, False, 0, 0
    for index, follower in enumerate(session.followers):
        clock = perf_counter()
        _tell(session, index)
        due = follower.due(last)
        phase = "record"
        if isinstance(due, Unsettled):
            unsettled = True
        elif due is not None:
            if due.action is Action.ATTESTED:
                phase, votes = "merge", votes + 1
                wanted = wanted or _votes_wanted(ledger.round_of(session.twin))
            # A lane of its own for a round: the opener's update needn't wait there until it can be stored.
            sent = _start(pipeline, "round" if due.action is Action.OPENED else index, due)
        phases[phase] += perf_counter() - clock
        if isinstance(due, Due) and due.action is Action.OPENED:
            break
        if votes and votes == wanted:
            return "merge", unsettled  # final, if all are for the same model: what comes next is the next round's
    else:
        return "merge" if votes else "record", unsettled
    number = due.round
    return "record", _train(session, pipeline, phases, lambda follower: follower.ahead(number), sent)


def _tell(session: Session, index: int) -> None:
    session.notice(f"station {index + 1} of {len(session.followers)}")


def _nothing_done(session: Session, *, unsettled: bool) -> list[Step]:
    """Wait for blocks, if that is what is missing.

    Raises:
        RecordError: nothing is due for any station, and the round isn't final.
    """
    network = session.network
    if unsettled:
        session.notice(f"waiting for {network.chain.confirmations} blocks on top of the updates")
        network.chain.await_block()
        return []
    state = network.ledger.round_of(session.twin)
    if state.status is not RoundStatus.FINAL:  # or others have finished it meanwhile
        raise RecordError(
            f"round {state.number} is {state.status.name.lower()} and no station of this run can take it further: "
            f"expected {state.quorum} votes of {state.electorate.bit_count()} stations, got "
            f"{state.voted.bit_count()}"
        )
    return []


def _votes_wanted(state: RoundState) -> int:
    """Return how many votes end the round if all are for the same model; one, when they weren't so far."""
    return max(1, state.quorum - state.voted.bit_count())
