"""The classes of the SyncAudit's events."""

from __future__ import annotations

from dataclasses import dataclass

from chain.audit_values import AuditPolicy, Mode
from chain.event_classes import Event
from twins.types import Address, Digest, TwinId


@dataclass(frozen=True, kw_only=True)
class KeyRegistered(Event):
    """A tagger registered a key; ``data`` is the contract whose code holds it."""

    key_id: Digest
    owner: Address
    exponent_bits: int
    data: Address


@dataclass(frozen=True, kw_only=True)
class KeyRevoked(Event):
    """Nothing under this key makes fresh any more."""

    key_id: Digest
    by: Address


@dataclass(frozen=True, kw_only=True)
class PolicySet(Event):
    """A twin's owner said how it is audited."""

    twin: TwinId
    policy: AuditPolicy
    active_from: int


@dataclass(frozen=True, kw_only=True)
class TagsRegistered(Event):
    """A tagger tagged a version; ``tags`` is the digest of a `twins.manifest.TagsManifest`."""

    twin: TwinId
    version: int
    tagger: Address
    key_id: Digest
    root: Digest
    length: int
    tau: Digest
    tags: Digest


@dataclass(frozen=True, kw_only=True)
class HolderAssigned(Event):
    """A tagger asks an account to prove, from a slot on."""

    twin: TwinId
    tagger: Address
    holder: Address
    since: int


@dataclass(frozen=True, kw_only=True)
class HolderUnassigned(Event):
    """A duty ended."""

    twin: TwinId
    tagger: Address
    holder: Address
    until: int


@dataclass(frozen=True, kw_only=True)
class AnchorSet(Event):
    """A station published the end of its hash chain."""

    slot: int
    station: Address
    anchor: Digest


@dataclass(frozen=True, kw_only=True)
class Revealed(Event):
    """A station revealed its value of a slot."""

    slot: int
    station: Address
    value: Digest


@dataclass(frozen=True, kw_only=True)
class ProofAccepted(Event):
    """A holder has proven; the bytes are in the transaction's calldata."""

    slot: int
    twin: TwinId
    holder: Address
    mode: Mode
    proof: Digest


@dataclass(frozen=True, kw_only=True)
class ClaimStruck(Event):
    """A claimed product was wrong."""

    slot: int
    claim: bytes


AUDIT_EVENTS: tuple[type[Event], ...] = (
    KeyRegistered,
    KeyRevoked,
    PolicySet,
    TagsRegistered,
    HolderAssigned,
    HolderUnassigned,
    AnchorSet,
    Revealed,
    ProofAccepted,
    ClaimStruck,
)
