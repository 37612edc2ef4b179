"""The rules of TwinRegistry in plain Python, after its interface's comments: what a fuzz test holds the contract to.

Each action returns every reason for which it may be refused (the order of the contract's checks is no rule) and, when
there is none, what it emits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chain import errors, events
from chain.values import Governance, RoundPolicy
from twins.types import ZERO_DIGEST, Address, Digest, TwinId

Emitted = tuple[type[events.Event], dict[str, object]]
Outcome = tuple[set[type[Exception]], list[Emitted]]


def refused(*reasons: tuple[object, type[Exception]]) -> set[type[Exception]]:
    """Return the reasons that hold."""
    return {error for holds, error in reasons if holds}


def bits(members: list[int]) -> int:
    """Return the bit set of these indices."""
    return sum(1 << index for index in set(members))


@dataclass
class Member:
    """A registered station."""

    suspended: bool = False
    weight: int = 0
    ballot: int = 0
    roster: Digest = ZERO_DIGEST
    revision: int = 0
    accusers: set[int] = field(default_factory=set)


@dataclass
class RegistryModel:
    """Who exists.

    Attributes:
        admin: registrar, guardian and owner of every twin.
        governance: of the deployment.
    """

    admin: Address
    governance: Governance
    order: list[Address] = field(default_factory=list)
    members: dict[Address, Member] = field(default_factory=dict)
    twins: dict[TwinId, RoundPolicy] = field(default_factory=dict)
    producers: int = 0
    elected_in: int = -1
    suspended_in: int = -1
    suspensions: int = 0

    @property
    def active(self) -> int:
        """Stations that may act."""
        return bits([i for i, address in enumerate(self.order) if not self.members[address].suspended])

    def index(self, address: Address) -> int:
        """Return a station's index."""
        return self.order.index(address)

    def bit(self, address: Address) -> int:
        """Return a station's bit."""
        return 1 << self.index(address)

    def barred(self, address: Address) -> set[type[Exception]]:
        """Return why an account may not act as a station."""
        member = self.members.get(address)
        return refused(
            (member is None, errors.TwinRegistryUnknownStation),
            (member and member.suspended, errors.TwinRegistrySuspended),
        )

    def electorate(self) -> int:
        """Return who would be the electors of a round that opens now."""
        return self.producers & self.active or self.active

    def _not_admin(self, sender: Address) -> tuple[bool, type[Exception]]:
        return sender != self.admin, errors.AccessControlUnauthorizedAccount

    def register_station(self, now: int, sender: Address, station: Address) -> Outcome:
        """Admit a station."""
        why = refused(self._not_admin(sender), (station in self.members, errors.TwinRegistryAlreadyRegistered))
        if why:
            return why, []
        self.order.append(station)
        self.members[station] = Member()
        return why, [(events.StationRegistered, {"station": station, "index": len(self.order) - 1})]

    def set_weight(self, now: int, sender: Address, station: Address, weight: int) -> Outcome:
        """Say how much data a station hosts."""
        why = refused(self._not_admin(sender), (station not in self.members, errors.TwinRegistryUnknownStation))
        if why:
            return why, []
        self.members[station].weight = weight
        return why, [(events.WeightSet, {"station": station, "weight": weight})]

    def set_roster(self, now: int, sender: Address, root: Digest, count: int) -> Outcome:
        """Enrol all devices of a station at once."""
        why = self.barred(sender) | refused(
            (root == ZERO_DIGEST or not count, errors.TwinRegistryZeroValue),
        )
        if why:
            return why, []
        member = self.members[sender]
        member.roster, member.revision = root, member.revision + 1
        told: dict[str, object] = {"station": sender, "root": root, "device_count": count}
        return why, [(events.RosterSet, told | {"revision": member.revision})]

    def suspend_station(self, now: int, sender: Address, station: Address, evidence: Digest) -> Outcome:
        """The guardian suspends at once; a third of the stations in an epoch, but at least one."""
        epoch = now // self.governance.epoch
        used = self.suspensions if self.suspended_in == epoch else 0
        why = self.barred(station) | refused(
            self._not_admin(sender),
            (used >= max(1, len(self.order) // 3), errors.TwinRegistrySuspensionCap),
            (evidence == ZERO_DIGEST, errors.TwinRegistryZeroValue),
        )
        if why:
            return why, []
        self.suspended_in, self.suspensions = epoch, used + 1
        self.members[station].suspended = True
        return why, [(events.StationSuspended, {"station": station, "by": sender, "evidence": evidence})]

    def vote_suspend(self, now: int, sender: Address, station: Address, evidence: Digest) -> Outcome:
        """A quorum of stations suspends one of them."""
        target = self.members.get(station)
        why = self.barred(sender) | self.barred(station)
        why |= refused(
            (sender == station, errors.TwinRegistryOwnSuspension),
            (evidence == ZERO_DIGEST, errors.TwinRegistryZeroValue),
            (
                target and sender in self.members and self.index(sender) in target.accusers,
                errors.TwinRegistryAlreadyVoted,
            ),
        )
        if why or target is None:
            return why, []
        target.accusers.add(self.index(sender))
        said: list[Emitted] = [
            (events.SuspensionVoted, {"station": station, "voter": sender, "evidence": evidence}),
        ]
        active = self.active
        if 3 * (bits([*target.accusers]) & active).bit_count() >= 2 * active.bit_count():
            target.suspended = True
            said.append((events.StationSuspended, {"station": station, "by": sender, "evidence": evidence}))
        return why, said

    def reinstate_station(self, now: int, sender: Address, station: Address) -> Outcome:
        """End a suspension, and forget the votes for it."""
        member = self.members.get(station)
        why = refused(
            self._not_admin(sender),
            (member is None, errors.TwinRegistryUnknownStation),
            (member and not member.suspended, errors.TwinRegistryNotSuspended),
        )
        if why or member is None:
            return why, []
        member.suspended = False
        member.accusers.clear()
        return why, [(events.StationReinstated, {"station": station, "by": sender})]

    def cast_ballot(self, now: int, sender: Address, candidates: int) -> Outcome:
        """Approve of candidates."""
        why = self.barred(sender) | refused(
            (candidates >> len(self.order), errors.TwinRegistryUnknownCandidates),
        )
        if why:
            return why, []
        self.members[sender].ballot = candidates
        return why, [(events.BallotCast, {"station": sender, "candidates": candidates})]

    def elect(self, now: int, sender: Address, seats: int) -> Outcome:
        """Make those with the most weight behind them the producers."""
        epoch, active = now // self.governance.epoch, self.active
        why = self.barred(sender) | refused(
            (self.elected_in == epoch, errors.TwinRegistryTooEarly),
            (not self.governance.min_seats <= seats <= active.bit_count(), errors.TwinRegistryBadSeats),
        )
        if why:
            return why, []
        voters = [member for member in self.members.values() if not member.suspended]

        def behind(index: int) -> int:
            return sum(member.weight for member in voters if member.ballot >> index & 1)

        candidates = [index for index in range(len(self.order)) if active >> index & 1]
        self.producers = bits(sorted(candidates, key=lambda index: (-behind(index), index))[:seats])
        self.elected_in = epoch
        return why, [(events.Elected, {"by": sender, "producers": self.producers})]
