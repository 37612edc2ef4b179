"""What the SyncAudit holds, as plain values (`ISyncAudit`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from twins.types import Address, Digest


class Phase(IntEnum):
    """How far a slot is."""

    FUTURE = 0
    OPEN = 1
    SEALED = 2
    PROVING = 3
    CLOSED = 4

    def __str__(self) -> str:
        """The name, lower case."""
        return self.name.lower()


class Mode(IntEnum):
    """What stands behind an accepted proof."""

    NONE = 0
    FULL = 1
    OPTIMISTIC = 2
    QUORUM = 3

    def __str__(self) -> str:
        """The name, lower case."""
        return self.name.lower()


class Verdict(IntEnum):
    """What follows for a holder in a slot."""

    NOT_DUE = 0
    PENDING = 1
    PROVEN = 2
    PROVISIONAL = 3
    ATTESTED = 4
    FAILED = 5
    VOID = 6

    def __str__(self) -> str:
        """The name as words, lower case."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Timing:
    """Lengths of a slot's phases, seconds; what is left of the slot is closed.

    Attributes:
        slot_seconds: of a slot.
        open_seconds: for anchors.
        seal_seconds: for reveals: at least 2 × validators × block period, so that no single proposer can censor one.
        prove_seconds: for proofs: at least 10 × (proving + confirmations × block period).
        dispute_seconds: after a claim was accepted.
    """

    slot_seconds: int
    open_seconds: int
    seal_seconds: int
    prove_seconds: int
    dispute_seconds: int

    @classmethod
    def of(cls, slot_seconds: int) -> Timing:
        """Return the usual phases of a slot: a tenth, a fifth and a half of it; claims can be disputed for a slot.

        Args:
            slot_seconds: 10 or more.

        Raises:
            ValueError: less than that: a phase would be a second or none.
        """
        if slot_seconds < 10:
            raise ValueError(f"slot: expected 10 seconds or more, got {slot_seconds}")
        opening, sealing, proving = (max(2, slot_seconds // part) for part in (10, 5, 2))
        return cls(slot_seconds, opening, sealing, proving, max(30, slot_seconds))

    @property
    def closed_seconds(self) -> int:
        """What is left of a slot after its proofs."""
        return self.slot_seconds - self.open_seconds - self.seal_seconds - self.prove_seconds


TEN_MINUTES = Timing.of(600)
"""What a consortium is deployed with if nothing else is said."""


@dataclass(frozen=True)
class AuditPolicy:
    """How a twin's artifacts are audited.

    Attributes:
        modes: bit set of ``1 << Mode``.
        size: c, blocks per challenge, 1 to 1024.
        min_holders: distinct ones that must have proven in one slot.
        min_taggers: distinct ones in whose lanes they have.
        attested_counts: whether stations' signatures make fresh.
        taggers: bit set of station indices that may tag.
    """

    modes: int
    size: int
    min_holders: int
    min_taggers: int
    attested_counts: bool
    taggers: int

    @classmethod
    def of(cls, stations: int, size: int = 100, modes: tuple[Mode, ...] = (Mode.FULL,)) -> AuditPolicy:
        """Return the usual one: two holders in two lanes, where there are two stations.

        Args:
            stations: bit set of their indices.
            size: blocks per challenge.
            modes: allowed.
        """
        least = min(2, stations.bit_count())
        return cls(sum(1 << mode for mode in modes), size, least, least, False, stations)

    def allows(self, mode: Mode) -> bool:
        """Tell whether proofs of this mode are accepted."""
        return bool(self.modes >> mode & 1)


@dataclass(frozen=True)
class KeyRecord:
    """A tagger's key, as registered.

    Attributes:
        owner: the tagger; the zero address for a key that isn't registered.
        exponent_bits: of the public exponent.
        revoked_at: Unix seconds, 0 if it isn't.
        data: contract whose code holds modulus and generator.
    """

    owner: Address
    exponent_bits: int
    revoked_at: int
    data: Address


@dataclass(frozen=True)
class TagSet:
    """The tags of one version in one tagger's lane.

    Attributes:
        tau: their domain.
        key_id: under which they were made.
        version: round of the model.
        blocks: how many; 0 if there are no tags.
        active_from: slot.
    """

    tau: Digest
    key_id: Digest
    version: int
    blocks: int
    active_from: int


@dataclass(frozen=True)
class Duty:
    """From when to when a holder has to prove.

    Attributes:
        tagger: in whose lane.
        since: first slot.
        until: first slot not any more.
    """

    tagger: Address
    since: int
    until: int


@dataclass(frozen=True)
class Beacon:
    """How a slot's seed came about.

    Attributes:
        acc: XOR of all reveals.
        electorate: stations that were active at the first reveal, a bit set of station indices.
        revealed: of those, who has.
        required: how many had to.
        seed: zero until it is known, and for a void slot.
    """

    acc: Digest
    electorate: int
    revealed: int
    required: int
    seed: Digest

    @property
    def withheld(self) -> int:
        """Who could have revealed and hasn't: a fact that anybody can read from the chain."""
        return self.electorate & ~self.revealed


@dataclass(frozen=True)
class Fact:
    """An accepted proof.

    Attributes:
        accepted_at: Unix seconds.
        mode: what stands behind it; NONE if there is no proof.
        claim: 23 bytes that name the claim of an optimistic one.
    """

    accepted_at: int
    mode: Mode
    claim: bytes


@dataclass(frozen=True)
class TimeState:
    """The newest slot in which a twin's present model was proven.

    Attributes:
        manifest: the head.
        version: its round.
        proven: whether it was, in any of the slots that are looked back at.
        slot: in which.
        sealed_at: Unix seconds: it was whole at this time or later.
        holders: how many have proven it then.
        taggers: in how many lanes.
    """

    manifest: Digest
    version: int
    proven: bool
    slot: int
    sealed_at: int
    holders: int
    taggers: int
