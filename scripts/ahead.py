"""Training for the next round while the votes of this one are recorded.

What the votes will make final can be computed as soon as all updates are recorded: it is the same for every honest
station. Devices needn't wait for the blocks that the votes wait for. Nothing of the next round is recorded before this
one is final, and what was trained counts only if its base has become the head: else it is forgotten, and trained anew.
At most one round ahead, and few updates of it in memory.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from time import perf_counter

from chain.errors import ChainError
from chain.station import Action, Due, StationFollower, Step, Unsettled
from fl.errors import FlError
from scripts.pipeline import in_order, wait_for
from scripts.session import Session
from twins.errors import TwinsError
from twins.types import Digest

_AHEAD = 3  # stations: an update of 10,000 devices is 250 MB, and without this as many are in memory

Foreseen = Future[Digest | None]
"""The model that a round will make final, told as soon as one station has computed it; None: that can't be said."""


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
        session.evaluate(base, session.followers[0].base_model(base))
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
