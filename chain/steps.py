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
    """One action that is due, with all that it names stored: only its transaction is left to be sent."""

    action: Action
    round: int
    send: Callable[[], Receipt]
    digest: Digest | None = None

    def record(self) -> Step:
        """Send the transaction and wait until it is mined.

        Raises:
            ChainError: it wasn't. What was due is decided anew by looking at the chain.
        """
        return Step(self.action, self.round, self.send(), self.digest)


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
