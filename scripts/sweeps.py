"""What the stations of a session do in one go: train and record, vote, open a round; each step decided by the chain."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from time import perf_counter

from chain.connection import Chain
from chain.errors import ContractRevertError, RecordError, UndoneError
from chain.station import Action, Due, StationFollower, Step, Unsettled
from chain.values import RoundState, RoundStatus
from scripts.ahead import Foreseen, evaluate_ahead, predict, tell, train_ahead
from scripts.pipeline import Pipeline, in_order
from scripts.session import Session

_MOMENT = 0.5  # seconds for which stations share a look
_REFUSALS = 5  # in a row, of steps that were due when they were prepared


class Attempts:
    """Sweeps, of which some may find that what was due a moment ago isn't any more."""

    def __init__(self, session: Session, number: int) -> None:
        """Begin with a round.

        Args:
            session: whose stations.
            number: of the round, for messages.
        """
        self._chain, self._number, self._refused = session.network.chain, number, 0

    def made(self, sweep: Callable[[], list[Step]]) -> list[Step]:
        """Make one more; nothing where blocks can be undone and something was: look again then.

        Raises:
            ContractRevertError, UndoneError: on a chain that nobody else moves, or again and again: it is a fault.
        """
        try:
            if self._refused:
                self._chain.await_block()  # which may find one more step undone
            steps = sweep()
        except (ContractRevertError, UndoneError) as error:
            self._refused += 1
            if not self._chain.confirmations or self._refused == _REFUSALS:
                raise
            self._chain.notice(f"round {self._number}: {error} Looking at the chain again")
            return []
        self._refused = 0
        return steps


def _last_round(state: RoundState, until: int) -> int:
    """Return the last round that may be opened: an aborted one has used up its number, so the next takes its place."""
    return max(until, state.number + 1) if state.status is RoundStatus.ABORTED else until


def sweep(session: Session, until: int, phases: dict[str, float]) -> list[Step]:
    """Let every station do what is due for it, once; vote until the round is final, if there is a next one."""
    state = session.network.ledger.round_of(session.twin)
    last = _last_round(state, until)
    if state.status is RoundStatus.ATTESTING and state.number < last:
        return _vote_and_train(session, state.number, last, phases)
    with Pipeline[Step](session.network.chain) as pipeline:
        if state.status is RoundStatus.SUBMITTING:
            phase = "record"
            unsettled = _train(session, pipeline, phases, lambda follower: follower.due(last))
        else:
            phase, unsettled = _take_turns(session, pipeline, state, last, phases)
        clock = perf_counter()
        steps = pipeline.results()
    if not steps:
        _nothing_done(session, unsettled=unsettled)
    phases[phase] += perf_counter() - clock
    return steps


def _vote_and_train(session: Session, number: int, last: int, phases: dict[str, float]) -> list[Step]:
    """Let the stations vote in round ``number``, and their devices train for the next one meanwhile."""
    foreseen = Foreseen()
    predicted = predict(session, number)
    if predicted is not None:
        foreseen.set_result(predicted)
    with Pipeline[list[Step]](session.network.chain) as pipeline:
        attested = pipeline.start("votes", lambda: partial(_vote, session, number, last, foreseen))
        train_ahead(session, number + 1, foreseen, attested, phases)
        clock = perf_counter()
        (steps,) = pipeline.results()
    phases["merge"] += perf_counter() - clock
    return steps


def _vote(session: Session, number: int, last: int, foreseen: Foreseen) -> list[Step]:
    """Let the stations vote until the round is over; beside the training, so nothing else is begun here."""
    steps: list[Step] = []
    attempts, ledger = Attempts(session, number), session.network.ledger
    try:
        while True:
            state = ledger.round_of(session.twin)
            if (state.number, state.status) != (number, RoundStatus.ATTESTING):
                return steps
            steps += attempts.made(partial(_votes, session, state, last, foreseen))
    finally:
        if not foreseen.done():
            foreseen.set_result(None)


def _votes(session: Session, state: RoundState, last: int, foreseen: Foreseen) -> list[Step]:
    with Pipeline[Step](session.network.chain) as pipeline:
        _, unsettled = _take_turns(session, pipeline, state, last, dict.fromkeys(("record", "merge"), 0.0), foreseen)
        steps = pipeline.results()
    if not steps:
        _nothing_done(session, unsettled=unsettled)
    return steps


def _train(
    session: Session,
    pipeline: Pipeline[Step],
    phases: dict[str, float],
    prepare: Callable[[StationFollower], Due | Unsettled | None],
    opening: Future[Step] | None = None,
) -> bool:
    """Let the stations train: one's update is stored and sent while the next one's devices train.

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

    def prepared(index: int, follower: StationFollower) -> Due | Unsettled | None:
        _tell(session, index)
        return prepare(follower)

    jobs = [partial(prepared, index, follower) for index, follower in enumerate(session.followers)]
    trained = in_order(jobs, session.at_once)
    for index in range(len(jobs)):
        clock = perf_counter()
        due = next(trained)
        phases["train"] += perf_counter() - clock
        clock = perf_counter()
        if isinstance(due, Due):
            _start(pipeline, index, due, opening)
        unsettled = unsettled or isinstance(due, Unsettled)
        del due  # it may hold hundreds of megabytes, and as many are about to be made
        phases["record"] += perf_counter() - clock
    trained.close()
    evaluate_ahead(session)
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


def _take_turns(
    session: Session,
    pipeline: Pipeline[Step],
    state: RoundState,
    last: int,
    phases: dict[str, float],
    foreseen: Foreseen | None = None,
) -> tuple[str, bool]:
    """Let the stations do what is due: vote, until a quorum has; or open a round, for which all train at once.

    Args:
        session: whose stations.
        pipeline: that stores and sends.
        state: of the round.
        last: round that may be opened.
        phases: gets the seconds.
        foreseen: told what is voted for; another thread trains then, so no round is opened.

    Returns:
        In which phase what was sent is waited for, and whether something will be due when the chain has gone on.
    """
    unsettled, votes, wanted = False, 0, 0
    with _SharedLook(session.network.chain) as look:
        for index, follower in enumerate(session.followers):
            look.renew()
            clock = perf_counter()
            _tell(session, index)
            due = follower.due(last if foreseen is None else state.number)
            phase = "record"
            if foreseen is not None:
                tell(foreseen, follower, due)
            if isinstance(due, Unsettled):
                unsettled = True
            elif due is not None:
                if due.action is Action.ATTESTED:
                    phase, votes = "merge", votes + 1
                    wanted = wanted or _votes_wanted(state)
                elif due.action is not Action.OPENED:
                    look.end()
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

        def ahead(follower: StationFollower) -> Due | None:
            if session.at_once == 1:  # else on another thread, where this one's look isn't seen
                look.renew()
            return follower.ahead(number)

        return "record", _train(session, pipeline, phases, ahead, sent)


class _SharedLook:
    """One look at the chain for all stations: a vote, or an opening, changes nothing of what the others decide by."""

    def __init__(self, chain: Chain) -> None:
        self._chain, self._look, self._since = chain, ExitStack(), 0.0

    def renew(self) -> None:
        """Look anew where the last one is over, or training has made it old: what was suspended meanwhile counts."""
        if self._chain.looking is None or perf_counter() - self._since > _MOMENT:
            self.end()
            self._look.enter_context(self._chain.look())
            self._since = perf_counter()

    def end(self) -> None:
        """Have the next station look anew: what was done changes what it sees."""
        self._look.close()

    def __enter__(self) -> _SharedLook:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


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
