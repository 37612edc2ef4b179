"""The contracts' events as values: the whole history, which storage doesn't keep.

Each class has Solidity's name and its arguments in snake case; ``block``, ``log_index`` and ``transaction``
say where on the chain it stands. Sets of stations are integers, one bit per station's index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chain.connection import Log
from chain.encoding import EventAbi, interface
from chain.values import RoundPolicy
from twins.types import Address, Digest, TwinId


@dataclass(frozen=True, kw_only=True)
class Event:
    """Where an event stands.

    Attributes:
        block: number.
        log_index: position in the block.
        transaction: hash.
    """

    block: int
    log_index: int
    transaction: str


@dataclass(frozen=True, kw_only=True)
class StationRegistered(Event):
    """A station was admitted."""

    station: Address
    index: int


@dataclass(frozen=True, kw_only=True)
class RosterSet(Event):
    """A station enrolled its devices."""

    station: Address
    root: Digest
    device_count: int
    revision: int


@dataclass(frozen=True, kw_only=True)
class TwinRegistered(Event):
    """A twin came to be."""

    twin: TwinId
    owner: Address
    manifest: Digest
    policy: RoundPolicy


@dataclass(frozen=True, kw_only=True)
class TwinRevised(Event):
    """A twin's own manifest was replaced."""

    twin: TwinId
    revision: int
    manifest: Digest


@dataclass(frozen=True, kw_only=True)
class TwinTransferred(Event):
    """A twin went to another owner."""

    twin: TwinId
    from_: Address
    to: Address


@dataclass(frozen=True, kw_only=True)
class Genesis(Event):
    """The model of round 0 was set."""

    twin: TwinId
    model: Digest
    owner: Address


@dataclass(frozen=True, kw_only=True)
class RoundOpened(Event):
    """A round began; the electorate is the stations of that moment."""

    twin: TwinId
    round: int
    opener: Address
    electorate: int
    submit_until: int
    attest_for: int
    min_updates: int


@dataclass(frozen=True, kw_only=True)
class UpdateSubmitted(Event):
    """A station recorded its update; a late one doesn't count."""

    twin: TwinId
    round: int
    station: Address
    base_round: int
    base: Digest
    update: Digest
    contributions: Digest
    examples: int
    staleness: int
    late: bool


@dataclass(frozen=True, kw_only=True)
class Attested(Event):
    """A station voted for a model; ``replaced`` is what it voted for before, or zero."""

    twin: TwinId
    round: int
    station: Address
    model: Digest
    replaced: Digest


@dataclass(frozen=True, kw_only=True)
class RoundFinal(Event):
    """A model reached its quorum and is the head."""

    twin: TwinId
    round: int
    parent: Digest
    model: Digest
    attesters: int
    accepted: int


@dataclass(frozen=True, kw_only=True)
class RoundAborted(Event):
    """A round ended without a model; the head stays."""

    twin: TwinId
    round: int
    by: Address
    submitted: int
    voted: int


REGISTRY_EVENTS: tuple[type[Event], ...] = (
    StationRegistered,
    RosterSet,
    TwinRegistered,
    TwinRevised,
    TwinTransferred,
)
LEDGER_EVENTS: tuple[type[Event], ...] = (
    Genesis,
    RoundOpened,
    UpdateSubmitted,
    Attested,
    RoundFinal,
    RoundAborted,
)


def event_abi(kind: type[Event]) -> EventAbi:
    """Return the ABI of an event's class."""
    return interface("TwinRegistry" if kind in REGISTRY_EVENTS else "RoundLedger").events[kind.__name__]


def topic_filter(kinds: Iterable[type[Event]]) -> list[str]:
    """Return the first topics of some kinds of events, for `Chain.logs`."""
    return ["0x" + event_abi(kind).topic.hex() for kind in kinds]


def decode_events(logs: Iterable[Log], kinds: Iterable[type[Event]]) -> list[Event]:
    """Decode the logs of these kinds; others (OpenZeppelin's role events) are left out.

    Raises:
        EncodingError: a log that claims to be one of ours and isn't.
    """
    by_topic: Mapping[bytes, tuple[type[Event], EventAbi]] = {
        abi.topic: (kind, abi) for kind, abi in ((kind, event_abi(kind)) for kind in kinds)
    }
    events = []
    for log in logs:
        found = by_topic.get(log.topics[0]) if log.topics else None
        if found is not None:
            kind, abi = found
            values = abi.decode(log.topics, log.data)
            if kind is TwinRegistered:
                values["policy"] = RoundPolicy(*values["policy"])
            events.append(kind(block=log.block, log_index=log.log_index, transaction=log.transaction, **values))
    return events
