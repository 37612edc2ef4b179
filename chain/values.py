"""What the contracts hold, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from twins.types import Address, Digest, TwinId


@dataclass(frozen=True)
class RoundPolicy:
    """The least that every round of a twin must give its stations (``ITwinRegistry.RoundPolicy``).

    Attributes:
        min_submit_for: seconds for updates.
        min_attest_for: seconds for votes after that.
        min_updates: station updates, at least 1.
    """

    min_submit_for: int
    min_attest_for: int
    min_updates: int


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
        index: 0 to 63, its bit in every set of stations.
        roster_revision: 0 while it has set no roster.
        device_count: devices of the roster.
        roster_root: StandardMerkleTree over the devices' addresses.
    """

    registered: bool
    index: int
    roster_revision: int
    device_count: int
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


@dataclass(frozen=True)
class RoundState:
    """A twin's newest round (``IRoundLedger.Round``).

    Attributes:
        number: 0 before the first.
        status: at the block that was read.
        submit_until: end of the submit window, Unix seconds, exclusive.
        attest_until: end of the attest window, Unix seconds, exclusive.
        min_updates: that it needs.
        quorum: votes for one model that make it final.
        electorate: stations of the opening, a bit set of station indices, as the next two.
        submitted: whose update counts.
        voted: who has attested.
    """

    number: int
    status: RoundStatus
    submit_until: int
    attest_until: int
    min_updates: int
    quorum: int
    electorate: int
    submitted: int
    voted: int


@dataclass(frozen=True)
class Update:
    """A station's update as the ledger records it (``IRoundLedger.Update``).

    Attributes:
        twin: whose model was trained.
        round: for which round.
        base_round: round whose model the devices trained on.
        base: that model's manifest digest.
        update: digest of the station-update manifest.
        contributions: Merkle root of the devices' contributions.
        examples: training examples behind it.
    """

    twin: TwinId
    round: int
    base_round: int
    base: Digest
    update: Digest
    contributions: Digest
    examples: int


@dataclass(frozen=True)
class Head:
    """A twin's newest final model.

    Attributes:
        number: its round; 0 for the genesis.
        model: digest of its manifest; zero without a genesis.
    """

    number: int
    model: Digest
