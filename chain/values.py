"""What the contracts hold, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from twins.types import Address, Digest, TwinId

if TYPE_CHECKING:
    from chain.events import UpdateSubmitted
    from twins.updates import Entry


@dataclass(frozen=True)
class RoundPolicy:
    """The least that every round of a twin must give its stations (``ITwinRegistry.RoundPolicy``).

    Attributes:
        min_submit_for: seconds for updates.
        min_attest_for: seconds for votes after that.
        min_updates: station updates, at least 1.
        open_grace: seconds after a round's end in which only the station whose turn it is opens the next; 0 to 255.
    """

    min_submit_for: int
    min_attest_for: int
    min_updates: int
    open_grace: int = 0


@dataclass(frozen=True)
class Governance:
    """What a registry is deployed with and never changes: bounds of those who govern it.

    Attributes:
        epoch: seconds; the guardian's suspensions are capped in each, and there is one election in each.
        min_seats: least producers of an election: a few must not elect themselves alone.
    """

    epoch: int
    min_seats: int


@dataclass(frozen=True)
class TwinRecord:
    """What the registry holds of a twin (``ITwinRegistry.Twin``).

    Attributes:
        owner: may revise and transfer it, and set its genesis.
        revision: of the manifest; 1 at registration.
        policy: the least that its rounds must give.
        manifest: digest of the twin's own manifest.
    """

    owner: Address
    revision: int
    policy: RoundPolicy
    manifest: Digest


@dataclass(frozen=True)
class Station:
    """What the registry holds of a station (``ITwinRegistry.Station``).

    Attributes:
        registered: False for any other account.
        suspended: it may do nothing until the registrar reinstates it.
        index: 0 to 63, its bit in every set of stations.
        roster_revision: 0 while it has set no roster.
        device_count: devices of the roster.
        weight: hosted data, in the registrar's unit: its say in an election of producers.
        roster_root: StandardMerkleTree over the devices' addresses.
    """

    registered: bool
    suspended: bool
    index: int
    roster_revision: int
    device_count: int
    weight: int
    roster_root: Digest


class RoundStatus(IntEnum):
    """Derived by the ledger from a round's facts and the block's time (``IRoundLedger.Status``)."""

    NONE = 0
    SUBMITTING = 1
    ATTESTING = 2
    EXPIRED = 3
    FINAL = 4
    ABORTED = 5

    def __str__(self) -> str:
        """The name, lower case."""
        return self.name.lower()


class Reason(IntEnum):
    """Why an update was rejected (``IRoundLedger.Reason``)."""

    QUORUM = 0
    FORGERY = 1
    DOUBLE_COUNT = 2
    CHALLENGE = 3

    def __str__(self) -> str:
        """The name, as words."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class RoundState:
    """A twin's newest round (``IRoundLedger.Round``).

    Attributes:
        number: 0 before the first.
        status: at the block that was read.
        submit_until: end of the submit window, Unix seconds, exclusive; once the round has ended, when it did.
        attest_until: end of the attest window, Unix seconds, exclusive.
        min_updates: that it needs; 0 once it was aborted.
        quorum: votes for one model that make it final, as of the block that was read.
        electorate: stations of the opening, a bit set of station indices, as the next four.
        live: of the electorate, who isn't suspended.
        submitted: who submitted in time.
        excluded: of those, whose update was rejected or whose station was suspended.
        voted: who has attested since the last exclusion.
    """

    number: int
    status: RoundStatus
    submit_until: int
    attest_until: int
    min_updates: int
    quorum: int
    electorate: int
    live: int
    submitted: int
    excluded: int
    voted: int


@dataclass(frozen=True)
class Update:
    """A station's update as the ledger records it (``IRoundLedger.Update``).

    Attributes:
        twin: whose model was trained.
        round: in which it is to count.
        trained_round: for which the devices trained and signed; earlier than ``round`` when it comes late.
        base_round: round whose model the devices trained on.
        base: that model's manifest digest.
        update: digest of the station-update manifest.
        contributions: Merkle root of the devices' contributions.
        examples: training examples behind it.
    """

    twin: TwinId
    round: int
    trained_round: int
    base_round: int
    base: Digest
    update: Digest
    contributions: Digest
    examples: int


@dataclass(frozen=True)
class Recorded:
    """An update as the ledger committed to it: what every proof about it begins with (``IRoundLedger.Recorded``).

    Attributes:
        update: as submitted.
        station: that submitted it.
        roster: its roster root of that moment; zero if it had none.
    """

    update: Update
    station: Address
    roster: Digest

    @classmethod
    def of(cls, event: UpdateSubmitted, roster: Digest) -> Recorded:
        """Return what the ledger committed to when it emitted an event.

        Args:
            event: of the update; a late one is committed to by nothing.
            roster: root that the station's roster had then: the newest `RosterSet` before the event.
        """
        update = Update(
            twin=event.twin,
            round=event.round,
            trained_round=event.trained_round,
            base_round=event.base_round,
            base=event.base,
            update=event.update,
            contributions=event.contributions,
            examples=event.examples,
        )
        return cls(update, event.station, roster)


@dataclass(frozen=True)
class ProvenContribution:
    """A device's contribution as proofs show it (``IRoundLedger.Contribution``).

    Attributes:
        device: that contributed, or is said to have.
        digest: SHA-256 of its update.
        examples: training examples behind it.
        signature: of EIP-712 ``Contribution``, 65 bytes; the leaf holds its keccak-256.
    """

    device: Address
    digest: Digest
    examples: int
    signature: bytes

    @classmethod
    def of(cls, entry: Entry) -> ProvenContribution:
        """Return what an entry of a station's index says."""
        return cls(entry.device, entry.digest, entry.examples, entry.signature)


@dataclass(frozen=True)
class Head:
    """A twin's newest final model.

    Attributes:
        number: its round; 0 for the genesis.
        model: digest of its manifest; zero without a genesis.
    """

    number: int
    model: Digest
