"""The SyncAudit's custom errors (`ISyncAudit`)."""

# ruff: noqa: N818 - the names are Solidity's

from __future__ import annotations

from dataclasses import dataclass

from chain.audit_values import Mode, Phase
from chain.errors.reverts import ContractRevertError
from twins.types import Address, Digest, TwinId


class SyncAuditError(ContractRevertError):
    """The audit refused."""


@dataclass(eq=False)
class SyncAuditZeroValue(SyncAuditError, types="", says="an argument that must not be zero is zero"):
    """Zero where a value is needed."""


@dataclass(eq=False)
class SyncAuditBadTiming(
    SyncAuditError, types="", says="the phases of a slot must not be empty, and must end before the slot does"
):
    """Lengths that make no slot."""


@dataclass(eq=False)
class SyncAuditKeyExists(SyncAuditError, types="bytes32", says="key {key_id} is registered already"):
    """Registered twice."""

    key_id: Digest


@dataclass(eq=False)
class SyncAuditUnknownKey(SyncAuditError, types="bytes32", says="key {key_id} is not registered"):
    """No such key."""

    key_id: Digest


@dataclass(eq=False)
class SyncAuditNotKeyOwner(SyncAuditError, types="bytes32,address", says="account {account} does not own key {key_id}"):
    """A stranger's key."""

    key_id: Digest
    account: Address


@dataclass(eq=False)
class SyncAuditKeyRevoked(
    SyncAuditError, types="bytes32", says="key {key_id} is revoked; tag the same version under a new one"
):
    """What it vouches for counts no more."""

    key_id: Digest


@dataclass(eq=False)
class SyncAuditBadPolicy(
    SyncAuditError,
    types="",
    says="audit policy: expected known modes, 1 to 1024 blocks, and stations enough to tag for one holder or more",
):
    """A policy that nothing can fulfil."""


@dataclass(eq=False)
class SyncAuditNoPolicy(SyncAuditError, types="bytes32", says="twin {twin} has no audit policy; its owner sets one"):
    """Nobody is asked about this twin."""

    twin: TwinId


@dataclass(eq=False)
class SyncAuditNotTwinOwner(
    SyncAuditError, types="bytes32,address", says="account {account} is not the owner of twin {twin}"
):
    """A stranger."""

    twin: TwinId
    account: Address


@dataclass(eq=False)
class SyncAuditNotTagger(
    SyncAuditError, types="bytes32,address", says="station {account} may not tag twin {twin} by its audit policy"
):
    """A station that the owner didn't name."""

    twin: TwinId
    account: Address


@dataclass(eq=False)
class SyncAuditNoModel(SyncAuditError, types="bytes32", says="twin {twin} has no model yet"):
    """Nothing to tag."""

    twin: TwinId


@dataclass(eq=False)
class SyncAuditTagsExist(
    SyncAuditError,
    types="bytes32,uint32,bytes32",
    says="twin {twin}: version {version} is tagged under key {key_id} already",
):
    """Tagged twice."""

    twin: TwinId
    version: int
    key_id: Digest


@dataclass(eq=False)
class SyncAuditBadLength(
    SyncAuditError,
    types="uint64",
    says="artifact: expected 1 byte or more and at most 2^32 - 1 blocks, got {length} bytes",
):
    """Nothing that has blocks."""

    length: int


@dataclass(eq=False)
class SyncAuditNoTags(
    SyncAuditError,
    types="bytes32,address,uint32",
    says="twin {twin}: tagger {tagger} has no tags in force in slot {slot}",
):
    """Nothing to prove yet."""

    twin: TwinId
    tagger: Address
    slot: int


@dataclass(eq=False)
class SyncAuditOwnHolder(
    SyncAuditError, types="address", says="{tagger} makes the tags, so it can't vouch for itself as their holder"
):
    """Who makes the tags can prove without the data."""

    tagger: Address


@dataclass(eq=False)
class SyncAuditAlreadyAssigned(
    SyncAuditError,
    types="bytes32,address,address",
    says="twin {twin}: holder {holder} is assigned already, by {tagger}",
):
    """One lane at a time."""

    twin: TwinId
    holder: Address
    tagger: Address


@dataclass(eq=False)
class SyncAuditNotAssigned(
    SyncAuditError, types="bytes32,address,uint32", says="twin {twin}: {holder} has no duty in slot {slot}"
):
    """Nobody asked."""

    twin: TwinId
    holder: Address
    slot: int


@dataclass(eq=False)
class SyncAuditTooManyHolders(SyncAuditError, types="uint8", says="a lane has {maximum} holders at most"):
    """A lane that is full."""

    maximum: int


@dataclass(eq=False)
class SyncAuditModeNotAllowed(
    SyncAuditError, types="bytes32,uint8", says="twin {twin}: its audit policy does not allow {mode} proofs"
):
    """Another mode than the owner allows."""

    twin: TwinId
    mode: Mode

    def __post_init__(self) -> None:
        """Take the ABI's numbers, too."""
        self.mode = Mode(self.mode)


@dataclass(eq=False)
class SyncAuditUnexpectedPhase(
    SyncAuditError, types="uint32,uint8,uint8", says="slot {slot} is {current}, where this needs it {expected}"
):
    """Too early or too late in the slot."""

    slot: int
    current: Phase
    expected: Phase

    def __post_init__(self) -> None:
        """Take the ABI's numbers, too."""
        self.current = Phase(self.current)
        self.expected = Phase(self.expected)


@dataclass(eq=False)
class SyncAuditBadReveal(
    SyncAuditError,
    types="address",
    says="station {station}: its value is not the next of its chain, or was revealed, or it was no elector of the slot",
):
    """A reveal that doesn't fit."""

    station: Address


@dataclass(eq=False)
class SyncAuditNoBeacon(
    SyncAuditError, types="uint32,uint8,uint8", says="slot {slot} has no seed: expected {required} reveals, got {count}"
):
    """A void slot: nobody can answer."""

    slot: int
    count: int
    required: int


@dataclass(eq=False)
class SyncAuditDuplicateProof(
    SyncAuditError, types="uint32,bytes32,address", says="twin {twin}: {holder} has proven in slot {slot} already"
):
    """At most one in each period."""

    slot: int
    twin: TwinId
    holder: Address


@dataclass(eq=False)
class SyncAuditBadClaimSignature(
    SyncAuditError, types="address", says="claim: expected the signature of holder {holder}, got another"
):
    """A claim that isn't the holder's."""

    holder: Address


@dataclass(eq=False)
class SyncAuditNotDisputable(
    SyncAuditError,
    types="uint32,bytes32,address",
    says="twin {twin}: {holder} has no claim in slot {slot} that can be disputed now",
):
    """No claim, or too late."""

    slot: int
    twin: TwinId
    holder: Address


@dataclass(eq=False)
class SyncAuditClaimHolds(SyncAuditError, types="bytes23", says="the product of claim {claim} is right"):
    """A dispute of a right claim."""

    claim: bytes


@dataclass(eq=False)
class SyncAuditBadBatch(
    SyncAuditError, types="", says="batch: expected two twins or more, strictly ascending, all under one key"
):
    """No batch."""


@dataclass(eq=False)
class SyncAuditUnsortedSigners(SyncAuditError, types="", says="signatures: expected signers strictly ascending"):
    """A signer twice."""


@dataclass(eq=False)
class SyncAuditNotElector(
    SyncAuditError, types="address", says="{signer} is no station that may vouch for this holder in this slot"
):
    """An outsider, or the holder itself."""

    signer: Address


@dataclass(eq=False)
class SyncAuditNoQuorum(SyncAuditError, types="uint8,uint8", says="expected {required} signatures, got {count}"):
    """Too few."""

    count: int
    required: int
