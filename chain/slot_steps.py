"""What a station does in a slot, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from chain.connection import Receipt
from twins.canonical import Json
from twins.types import TwinId


class SlotAction(Enum):
    """What was done, or couldn't be."""

    ANCHORED = "anchored"
    REVEALED = "revealed"
    KEY = "key registered"
    TAGGED = "tagged"
    ASSIGNED = "assigned"
    ACCEPTED = "holding"
    PROVEN = "proven"
    DISPUTED = "disputed"
    FAILED = "failed"


@dataclass(frozen=True)
class SlotStep:
    """One thing that a station did for the audit.

    Attributes:
        action: which.
        slot: in which it was done.
        words: for people.
        twins: concerned.
        receipt: of the transaction, if there was one.
        values: for programs, beside these.
    """

    action: SlotAction
    slot: int
    words: str
    twins: tuple[TwinId, ...] = ()
    receipt: Receipt | None = None
    values: Mapping[str, Json] = field(default_factory=dict)
