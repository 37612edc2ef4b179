"""TwinRegistry: who and what exists in the consortium.

Writes raise the exceptions of `chain.errors` that are named like the contract's custom errors. Reads take a
block: a number, or None for the newest.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.accounts import Account
from chain.connection import Block, Receipt
from chain.contract import Contract
from chain.encoding import interface
from chain.events import REGISTRY_EVENTS, Event, decode_events, topic_filter
from chain.values import RoundPolicy as RoundPolicy
from chain.values import Station as Station
from chain.values import TwinRecord as TwinRecord
from twins.types import Address, Digest, TwinId


class TwinRegistry(Contract):
    """The registry at one address."""

    interface = interface("TwinRegistry")

    # -- stations -------------------------------------------------------------------------------------------

    def register_station(self, account: Account, station: Address) -> Receipt:
        """Admit a station; it gets the next index.

        Raises:
            AccessControlUnauthorizedAccount: not the registrar.
            TwinRegistryAlreadyRegistered, TwinRegistryFull, TwinRegistryZeroValue.
        """
        return self._transact(account, "registerStation", station)

    def register_stations(self, account: Account, stations: Sequence[Address]) -> list[Receipt]:
        """Admit several stations, in this order, without waiting for one before the next is sent.

        Raises:
            As `register_station`; those before the refused one are admitted.
        """
        return self._transact_all(account, "registerStation", [(station,) for station in stations])

    def set_roster(self, account: Account, root: Digest, device_count: int) -> Receipt:
        """Enrol all devices of the calling station at once, replacing its former roster.

        Args:
            account: the station's.
            root: of the StandardMerkleTree over the devices' addresses.
            device_count: how many.

        Raises:
            TwinRegistryUnknownStation, TwinRegistryZeroValue.
        """
        return self._transact(account, "setRoster", root, device_count)

    def station_of(self, address: Address, block: Block = None) -> Station:
        """Return what is held of an account; ``registered`` is False when it is no station."""
        (fields,) = self._read("stationOf", address, block=block)
        return Station(*fields)

    def stations(self, block: Block = None) -> tuple[Address, ...]:
        """Return all stations, by index."""
        (count,) = self._read("stationCount", block=block)
        # At a named block: a station that is admitted between two reads must not shift what the count said.
        return tuple(self._read("stationAt", index, block=block)[0] for index in range(count))

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

    # -- roles (OpenZeppelin AccessControl) -----------------------------------------------------------------

    def registrar_role(self) -> Digest:
        """Return the id of the role that admits stations."""
        (role,) = self._read("REGISTRAR_ROLE")
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
        logs = self.chain.logs(self.address, [topic_filter(REGISTRY_EVENTS)], from_block, to_block)
        return decode_events(logs, REGISTRY_EVENTS)
