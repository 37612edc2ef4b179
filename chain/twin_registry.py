"""TwinRegistry: who and what exists in the consortium.

Writes raise the exceptions of `chain.errors` that are named like the contract's custom errors. Reads take a
block: a number, or None for the newest.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.accounts import Account
from chain.connection import Block, Receipt
from chain.encoding import interface
from chain.events import REGISTRY_EVENTS, Event, topic_filter
from chain.station_nodes import StationNodes
from chain.values import Governance as Governance
from chain.values import RoundPolicy as RoundPolicy
from chain.values import Station as Station
from chain.values import TwinRecord as TwinRecord
from twins.types import Address, Digest, TwinId

_TOGETHER = 8
"""Admissions in one go. Each writes the records of all stations before it: some 7,000 gas more than it was estimated at
for every one that is mined in between, and transactions have 100,000 in reserve."""


class TwinRegistry(StationNodes):
    """The registry at one address."""

    interface = interface("TwinRegistry")
    _known = 0  # stations that were there when somebody last asked

    # -- stations -------------------------------------------------------------------------------------------

    def register_station(self, account: Account, station: Address) -> Receipt:
        """Admit a station; it gets the next index.

        Raises:
            AccessControlUnauthorizedAccount: not the registrar.
            TwinRegistryAlreadyRegistered, TwinRegistryFull, TwinRegistryZeroValue.
        """
        return self._transact(account, "registerStation", station)

    def register_stations(self, account: Account, stations: Sequence[Address]) -> list[Receipt]:
        """Admit several stations, in this order, some of them without waiting for one before the next is sent.

        Raises:
            As `register_station`; those before the refused one are admitted.
        """
        receipts: list[Receipt] = []
        for first in range(0, len(stations), _TOGETHER):
            together = [(station,) for station in stations[first : first + _TOGETHER]]
            receipts += self._transact_all(account, "registerStation", together)
        return receipts

    def set_weight(self, account: Account, station: Address, weight: int) -> Receipt:
        """Say how much data a station hosts, in the registrar's unit: its say in an election.

        Raises:
            AccessControlUnauthorizedAccount: not the registrar.
            TwinRegistryUnknownStation.
        """
        return self._transact(account, "setWeight", station, weight)

    def set_roster(self, account: Account, root: Digest, device_count: int) -> Receipt:
        """Enrol all devices of the calling station at once, replacing its former roster.

        Args:
            account: the station's.
            root: of the StandardMerkleTree over the devices' addresses.
            device_count: how many.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, TwinRegistryZeroValue.
        """
        return self._transact(account, "setRoster", root, device_count)

    def station_of(self, address: Address, block: Block = None) -> Station:
        """Return what is held of an account; ``registered`` is False when it is no station."""
        (fields,) = self._read("stationOf", address, block=block)
        return Station(*fields)

    def stations(self, block: Block = None) -> tuple[Address, ...]:
        """Return all stations, by index."""
        # As many as there were last time are read with their number; none ever goes.
        asked = [("stationAt", (index,)) for index in range(self._known)]
        (count,), *found = self._read_all([("stationCount", ()), *asked], block=block)
        if count > len(found):
            found += self._read_all([("stationAt", (index,)) for index in range(len(found), count)], block=block)
        self._known = count
        return tuple(address for (address,) in found[:count])

    def index_of(self, address: Address, block: Block = None) -> int:
        """Return the index of a station.

        Raises:
            TwinRegistryUnknownStation.
        """
        (index,) = self._read("indexOf", address, block=block)
        return int(index)

    def station_sets(self, block: Block = None) -> tuple[int, int]:
        """Return the stations that may act, and the elected producers (0 before the first election), as bit sets."""
        active, producers = self._read("stationSets", block=block)
        return int(active), int(producers)

    # -- suspensions ----------------------------------------------------------------------------------------

    def suspend_station(self, account: Account, station: Address, evidence: Digest) -> Receipt:
        """Suspend a station at once.

        Args:
            account: the guardian's.
            station: that may do nothing any more, until it is reinstated.
            evidence: digest of what the accusation rests on.

        Raises:
            AccessControlUnauthorizedAccount: not the guardian.
            TwinRegistrySuspensionCap, TwinRegistryUnknownStation, TwinRegistrySuspended, TwinRegistryZeroValue.
        """
        return self._transact(account, "suspendStation", station, evidence)

    def vote_suspend(self, account: Account, station: Address, evidence: Digest) -> Receipt:
        """Vote to suspend another station; two thirds of the active stations, rounded up, do it.

        Args:
            account: a station's.
            station: the accused.
            evidence: digest of what the accusation rests on.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, TwinRegistryOwnSuspension,
            TwinRegistryAlreadyVoted, TwinRegistryZeroValue.
        """
        return self._transact(account, "voteSuspend", station, evidence)

    def reinstate_station(self, account: Account, station: Address) -> Receipt:
        """End a suspension, and forget the votes for it.

        Raises:
            AccessControlUnauthorizedAccount: not the registrar.
            TwinRegistryUnknownStation, TwinRegistryNotSuspended.
        """
        return self._transact(account, "reinstateStation", station)

    def suspension_votes(self, station: Address, block: Block = None) -> int:
        """Return who has voted to suspend a station since it was last reinstated, a bit set."""
        (voters,) = self._read("suspensionVotes", station, block=block)
        return int(voters)

    def suspensions_per_epoch(self, block: Block = None) -> int:
        """Return how many stations the guardian may suspend in an epoch."""
        (count,) = self._read("suspensionsPerEpoch", block=block)
        return int(count)

    # -- election of producers ------------------------------------------------------------------------------

    def cast_ballot(self, account: Account, candidates: int) -> Receipt:
        """Approve of stations as producers; replaces the account's former ballot.

        Args:
            account: a station's.
            candidates: bit set of stations; 0 withdraws the ballot.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, TwinRegistryUnknownCandidates.
        """
        return self._transact(account, "castBallot", candidates)

    def elect(self, account: Account, seats: int) -> Receipt:
        """Make the stations with the most weight behind them the electorate of every later round.

        Args:
            account: an active station's.
            seats: from the deployment's least to the number of active stations.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, TwinRegistryTooEarly, TwinRegistryBadSeats.
        """
        return self._transact(account, "elect", seats)

    def ballot_of(self, station: Address, block: Block = None) -> int:
        """Return whom a station approves of, a bit set."""
        (candidates,) = self._read("ballotOf", station, block=block)
        return int(candidates)

    def governance(self) -> Governance:
        """Return what the registry was deployed with."""
        (epoch,), (min_seats,) = self._read("epoch"), self._read("minSeats")
        return Governance(epoch, min_seats)

    # -- twins ----------------------------------------------------------------------------------------------

    def register_twin(self, account: Account, twin: TwinId, manifest: Digest, policy: RoundPolicy) -> Receipt:
        """Register a twin; the caller becomes its owner.

        Raises:
            TwinRegistryTwinExists, TwinRegistryZeroValue.
        """
        return self._transact(account, "registerTwin", twin, manifest, policy)

    def revise_twin(self, account: Account, twin: TwinId, revision: int, manifest: Digest) -> Receipt:
        """Replace a twin's own manifest; the revision must be the next.

        Raises:
            TwinRegistryUnknownTwin, TwinRegistryNotTwinOwner, TwinRegistryUnexpectedRevision,
            TwinRegistryZeroValue.
        """
        return self._transact(account, "reviseTwin", twin, revision, manifest)

    def transfer_twin(self, account: Account, twin: TwinId, to: Address) -> Receipt:
        """Hand a twin to another owner.

        Raises:
            TwinRegistryUnknownTwin, TwinRegistryNotTwinOwner, TwinRegistryZeroValue.
        """
        return self._transact(account, "transferTwin", twin, to)

    def twin_of(self, twin: TwinId, block: Block = None) -> TwinRecord:
        """Return what is held of a twin.

        Raises:
            TwinRegistryUnknownTwin: nothing.
        """
        ((owner, revision, policy, manifest),) = self._read("twinOf", twin, block=block)
        return TwinRecord(owner, revision, RoundPolicy(*policy), manifest)

    # -- what the ledger asks -------------------------------------------------------------------------------

    def opening_of(self, twin: TwinId, opener: Address, block: Block = None) -> tuple[int, int, RoundPolicy]:
        """Return the electorate that a round would have now (a bit set), the opener's index and the twin's policy.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, TwinRegistryUnknownTwin.
        """
        electorate, index, policy = self._read("openingOf", twin, opener, block=block)
        return int(electorate), int(index), RoundPolicy(*policy)

    def submitter_of(self, address: Address, block: Block = None) -> tuple[int, Digest]:
        """Return the index and the roster root of a station that may act.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended.
        """
        index, root = self._read("submitterOf", address, block=block)
        return int(index), Digest(root)

    def elector_of(self, address: Address, block: Block = None) -> tuple[int, int]:
        """Return the index of a station that may act, and all such stations as a bit set.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended.
        """
        index, active = self._read("electorOf", address, block=block)
        return int(index), int(active)

    # -- roles (OpenZeppelin AccessControl) -----------------------------------------------------------------

    def registrar_role(self) -> Digest:
        """Return the id of the role that admits and reinstates stations, and sets their weights."""
        (role,) = self._read("REGISTRAR_ROLE")
        return Digest(role)

    def guardian_role(self) -> Digest:
        """Return the id of the role that suspends a station at once."""
        (role,) = self._read("GUARDIAN_ROLE")
        return Digest(role)

    def has_role(self, role: Digest, address: Address, block: Block = None) -> bool:
        """Tell whether an account has a role."""
        (has,) = self._read("hasRole", role, address, block=block)
        return bool(has)

    def grant_role(self, account: Account, role: Digest, address: Address) -> Receipt:
        """Give a role to an account.

        Raises:
            AccessControlUnauthorizedAccount: the caller hasn't its admin role.
        """
        return self._transact(account, "grantRole", role, address)

    def revoke_role(self, account: Account, role: Digest, address: Address) -> Receipt:
        """Take a role from an account.

        Raises:
            AccessControlUnauthorizedAccount: the caller hasn't its admin role.
        """
        return self._transact(account, "revokeRole", role, address)

    # -- history --------------------------------------------------------------------------------------------

    def events(self, from_block: int, to_block: int | None = None) -> list[Event]:
        """Return what happened, in the order of the chain.

        Args:
            from_block: first block, e.g. the deployment's.
            to_block: last block, inclusive; the newest if None.
        """
        topics = [topic_filter(REGISTRY_EVENTS)]
        return self._events(REGISTRY_EVENTS, topics, topics, from_block, to_block)
