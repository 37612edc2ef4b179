"""What a station may have to do in a round, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from chain.connection import Receipt
from twins.model import TwinModel
from twins.types import Digest
from twins.updates import History, StationUpdate

Learn = Callable[[TwinModel, Digest, int, History], StationUpdate]
"""(base model, its manifest's digest, round, this station's history) to the station's update."""

Store = Callable[[], tuple[Digest, Callable[[], Receipt]]]
"""Stores artifacts and the manifest that names them; returns its digest and what sends that to the chain."""


class Action(Enum):
    """What a step did."""

    OPENED = "opened"
    SUBMITTED = "submitted"
    ATTESTED = "attested"
    ABORTED = "aborted"
    DISPUTED = "disputed"
    PROVED = "proved"
    TALLIED = "tallied"
    ANSWERED = "answered"
    SETTLED = "settled"


@dataclass(frozen=True)
class Step:
    """One recorded action of a station."""

    action: Action
    round: int
    receipt: Receipt
    digest: Digest | None = None


@dataclass(frozen=True)
class Due:
    """One action that is due. What its transaction names is stored before it is sent, whoever sends it.

    Attributes:
        action: what is due.
        round: in which.
        send: sends the transaction and waits until it is mined.
        digest: of what it names; None for nothing, or for what has yet to be stored.
        store: stores that; returns its digest and what sends the transaction then. None: all is stored.
    """

    action: Action
    round: int
    send: Callable[[], Receipt]
    digest: Digest | None = None
    store: Store | None = None

    @classmethod
    def unstored(cls, action: Action, number: int, store: Store) -> Due:
        """Return an action whose artifacts have yet to be stored: they may be many, and devices needn't wait for it."""
        return cls(action, number, lambda: store()[1](), None, store)

    def stored(self) -> Due:
        """Store what is left to be stored; what comes back has only its transaction to send, and holds no artifact.

        Raises:
            StoreError: nothing may be recorded.
        """
        if self.store is None:
            return self
        digest, send = self.store()
        return Due(self.action, self.round, send, digest)

    def record(self) -> Step:
        """Store what is left to be stored, send the transaction and wait until it is mined.

        Raises:
            StoreError, ChainError: it isn't recorded. What was due is decided anew by looking at the chain.
        """
        ready = self.stored()
        return Step(ready.action, ready.round, ready.send(), ready.digest)


@dataclass(frozen=True)
class Unsettled:
    """Something will be due when the chain has gone on far enough."""

    round: int


@dataclass(frozen=True)
class Windows:
    """How a station opens rounds.

    Attributes:
        submit_for: seconds for updates.
        attest_for: seconds for votes after that.
        min_updates: station updates that a round needs.
        open_grace: seconds after a round's end in which only the station whose turn it is opens the next; part of the
            twin's policy.
    """

    submit_for: int = 600
    attest_for: int = 600
    min_updates: int = 1
    open_grace: int = 5
