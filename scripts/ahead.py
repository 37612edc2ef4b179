"""Training for the next round while the votes of this one are recorded.

What the votes will make final can be computed as soon as all updates are recorded: it is the same for every honest
station. Devices needn't wait for the votes, nor for their blocks. Nothing of the next round is recorded before this one
is final, and what was trained counts only if its base has become the head: else it is forgotten, and trained anew. At
most one round ahead, and few updates of it in memory. Testing begins even earlier, when the devices have trained: what
is tested is known by its weights, whatever the record will call them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from time import perf_counter

from chain.errors import ChainError
from chain.history import merged_manifest
from chain.station import Action, Due, StationFollower, Step, Unsettled
from fl.errors import FlError
from scripts.pipeline import in_order, wait_for
from scripts.session import Session
from scripts.station_parts import LocalStation, Newest
from twins.errors import TwinsError
from twins.manifest import UpdateRef
from twins.model import TwinModel
from twins.types import Digest
from twins.updates import device_order

_AHEAD = 3  # stations: an update of 10,000 devices is 250 MB, and without this as many are in memory


def evaluate_ahead(session: Session) -> None:
    """Begin to test what the newest updates will give, beside what records them and votes on them.

    If the round turns out otherwise, an update thrown out say, this was for nothing, and does no harm: nobody trains on
    it, and what has become final is tested by itself.
    """
    made = _newest(session)
    if made is not None:
        threading.Thread(target=_test, args=(session, made, session.over), name="evaluate ahead", daemon=True).start()


def _test(session: Session, made: Sequence[tuple[LocalStation, Newest]], over: threading.Event) -> None:
    with suppress(FlError, TwinsError):  # the round itself tells it, if it comes to that
        model = _merged(session, made)

        def test(station: LocalStation) -> None:
            if not over.is_set():  # or this thread would start the engine again that the run has closed
                station.evaluate(model)

        for _ in in_order([partial(test, station) for station in session.stations], session.at_once):
            pass


def predict(session: Session, number: int) -> Digest | None:
    """Return the model that a round will make final if nothing is thrown out, before anybody has voted.

    For that, all its updates must be this process's own. Training on it ahead is no more than that: the votes decide.

    Args:
        session: whose stations.
        number: of the round, all of whose updates are recorded.
    """
    made = _newest(session)
    if made is None or made[0][1].round != number:
        return None
    updates = []
    for station, _ in made:
        stored = [digest for digest, trained in station.follower.made.items() if trained == number]
        if not stored:
            return None
        updates.append(UpdateRef(station.account.address, stored[-1]))
    try:
        model = _merged(session, made)
        rule, examples = session.followers[0].manifest.merge_rule, sum(one.examples for _, one in made)
        digest = merged_manifest(session.twin, rule, number, made[0][1].base, updates, examples, model).digest
    except TwinsError:
        return None  # the votes tell it
    session.known.model(digest, lambda _: model)
    return digest


def _newest(session: Session) -> list[tuple[LocalStation, Newest]] | None:
    """Return what all stations have made, if it was for the same round and from the same base; ascending."""
    ascending = sorted(session.stations, key=lambda station: device_order(station.account.address))
    made = [(station, station.newest) for station in ascending if station.newest is not None]
    alike = len({(newest.round, newest.base) for _, newest in made}) == 1
    return made if alike and len(made) == len(session.stations) else None


def _merged(session: Session, made: Sequence[tuple[LocalStation, Newest]]) -> TwinModel:
    return session.followers[0].merge([(newest.model, newest.examples) for _, newest in made])


Foreseen = Future[Digest | None]
"""The model that a round will make final, told as soon as somebody has computed it; None: that can't be said."""


def tell(foreseen: Foreseen, follower: StationFollower, due: Due | Unsettled | None) -> None:
    """Say what a station is about to vote for, or would if the updates were settled."""
    if foreseen.done():
        return
    if isinstance(due, Unsettled):
        foreseen.set_result(_foresee(follower))
    elif due is not None and due.action is Action.ATTESTED:
        foreseen.set_result(due.digest)


def _foresee(follower: StationFollower) -> Digest | None:
    try:
        return follower.foresee()
    except (TwinsError, ChainError):
        return None  # what is missing may still come, and the vote tells it if not


def train_ahead(
    session: Session, number: int, foreseen: Foreseen, attested: Future[list[Step]], phases: dict[str, float]
) -> None:
    """Test the model of the round before and train for round ``number`` on it, until that has been voted for.

    Args:
        session: whose stations.
        number: of the round that isn't open yet.
        foreseen: its base.
        attested: done when the round before is final, or can't become so without this thread.
        phases: gets the seconds of ``evaluate``, ``train`` and ``merge``.
    """
    clock = perf_counter()
    wait_for([foreseen])
    phases["merge"] += perf_counter() - clock
    base = foreseen.result()
    if base is None:
        return
    try:
        clock = perf_counter()
        session.evaluate(session.followers[0].base_model(base))
        phases["evaluate"] += perf_counter() - clock

        def train(follower: StationFollower) -> None:
            if not attested.done():  # else the others' updates are recorded while they train, one after another
                follower.train_ahead(number, base)

        clock = perf_counter()
        for _ in in_order([partial(train, follower) for follower in session.followers[:_AHEAD]], session.at_once):
            pass
        phases["train"] += perf_counter() - clock
    except (FlError, TwinsError, ChainError):
        return  # the round itself tells it, if it comes to that
