"""The classes of the contracts' events; `chain.events` decodes logs into them.

Each has Solidity's name and its arguments in snake case; ``block``, ``log_index`` and ``transaction`` say where on the
chain it stands. Sets of stations are integers, one bit per station's index.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.values import Reason, RoundPolicy
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
class StationSuspended(Event):
    """A station may do nothing any more; ``by`` is the guardian, or the station whose vote decided."""

    station: Address
    by: Address
    evidence: Digest


@dataclass(frozen=True, kw_only=True)
class StationReinstated(Event):
    """A suspension ended."""

    station: Address
    by: Address


@dataclass(frozen=True, kw_only=True)
class SuspensionVoted(Event):
    """A station voted to suspend another."""

    station: Address
    voter: Address
    evidence: Digest


@dataclass(frozen=True, kw_only=True)
class WeightSet(Event):
    """The registrar said how much data a station hosts."""

    station: Address
    weight: int


@dataclass(frozen=True, kw_only=True)
class BallotCast(Event):
    """A station approves of these candidates as producers; of none: it withdrew its ballot."""

    station: Address
    candidates: int


@dataclass(frozen=True, kw_only=True)
class Elected(Event):
    """These are the electorate of every round that opens from now on."""

    by: Address
    producers: int


@dataclass(frozen=True, kw_only=True)
class RosterSet(Event):
    """A station enrolled its devices."""

    station: Address
    root: Digest
    device_count: int
    revision: int


@dataclass(frozen=True, kw_only=True)
class NodesSet(Event):
    """A station named the manifest of its nodes (`twins.nodes.NodesManifest`)."""

    station: Address
    manifest: Digest


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
    trained_round: int
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


@dataclass(frozen=True, kw_only=True)
class Disputed(Event):
    """An elector accuses a station's update; ``evidence`` is the digest of what the accusation rests on."""

    twin: TwinId
    round: int
    station: Address
    accuser: Address
    evidence: Digest


@dataclass(frozen=True, kw_only=True)
class UpdateRejected(Event):
    """An update was thrown out; a late rejection changes no model.

    ``evidence`` is the digest of the accusation that decided, or the leaf that was proven false.
    """

    twin: TwinId
    round: int
    station: Address
    reason: Reason
    evidence: Digest
    late: bool


@dataclass(frozen=True, kw_only=True)
class DeviceEquivocated(Event):
    """A device signed two contributions to one round, for two stations."""

    twin: TwinId
    round: int
    device: Address
    station_a: Address
    station_b: Address


@dataclass(frozen=True, kw_only=True)
class Challenged(Event):
    """Somebody says that a leaf is not under a root; whoever has the proof shows it before ``answer_until``."""

    twin: TwinId
    round: int
    station: Address
    root: Digest
    leaf: Digest
    answer_until: int


@dataclass(frozen=True, kw_only=True)
class ChallengeAnswered(Event):
    """Somebody has shown that the leaf is under the root."""

    twin: TwinId
    round: int
    station: Address
    root: Digest
    leaf: Digest


REGISTRY_EVENTS: tuple[type[Event], ...] = (
    StationRegistered,
    StationSuspended,
    StationReinstated,
    SuspensionVoted,
    WeightSet,
    BallotCast,
    Elected,
    RosterSet,
    NodesSet,
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
    Disputed,
    UpdateRejected,
    DeviceEquivocated,
    Challenged,
    ChallengeAnswered,
)
