"""RoundLedger: what happened in the rounds of every twin; disputes are in `chain.disputes`.

Writes raise the exceptions of `chain.errors` that are named like the contract's custom errors. Reads take a
block: a number, None for the newest, or ``pending`` for what would be mined now: a status depends on time, and where
blocks come only with transactions the newest one's time has passed long ago.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.accounts import Account
from chain.connection import Block, Receipt
from chain.disputes import Disputes
from chain.encoding import interface
from chain.events import LEDGER_EVENTS, Event, Genesis, event_abi, topic_filter
from chain.values import Head as Head
from chain.values import RoundState as RoundState
from chain.values import RoundStatus as RoundStatus
from chain.values import Update as Update
from twins.types import ZERO_DIGEST, Address, Digest, TwinId, digest_bytes, parse_address


class RoundLedger(Disputes):
    """The ledger at one address."""

    interface = interface("RoundLedger")

    # -- actions --------------------------------------------------------------------------------------------

    def genesis(self, account: Account, twin: TwinId, model: Digest) -> Receipt:
        """Set the model of round 0: the twin's owner, once.

        Raises:
            TwinRegistryUnknownTwin, RoundLedgerNotTwinOwner, RoundLedgerGenesisExists, RoundLedgerZeroValue.
        """
        return self._transact(account, "genesis", twin, model)

    def open_round(
        self, account: Account, twin: TwinId, number: int, submit_for: int, attest_for: int, min_updates: int
    ) -> Receipt:
        """Open the next round with the registry's electorate of this moment.

        Args:
            account: the station's whose turn it is; after the policy's grace any active station's.
            twin: which one.
            number: the next.
            submit_for: seconds for updates, at least the twin's policy.
            attest_for: seconds for votes after that, at least the twin's policy.
            min_updates: from the policy's to the number of stations.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, TwinRegistryUnknownTwin, RoundLedgerNoGenesis,
            RoundLedgerRoundOpen, RoundLedgerUnexpectedRound, RoundLedgerNotTurn, RoundLedgerWindowTooShort,
            RoundLedgerBadMinUpdates.
        """
        return self._transact(account, "openRound", twin, number, submit_for, attest_for, min_updates)

    def submit_update(self, account: Account, update: Update) -> Receipt:
        """Record a station's update. A late one is recorded by its event, and doesn't count.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, RoundLedgerUnexpectedRound,
            RoundLedgerNotElector, RoundLedgerAlreadySubmitted, RoundLedgerUnexpectedBase,
            RoundLedgerUnexpectedTraining, RoundLedgerZeroValue.
        """
        return self._transact(account, "submitUpdate", update)

    def submit_updates(self, account: Account, updates: Sequence[Update]) -> Receipt:
        """Record a station's updates of several twins in one transaction: all, or none.

        Raises:
            As `submit_update`.
        """
        return self._transact(account, "submitUpdates", updates)

    def attest(
        self, account: Account, twin: TwinId, number: int, model: Digest, replaced: Digest = ZERO_DIGEST
    ) -> Receipt:
        """Vote for the result of a round; at quorum the round is final and the head moves.

        Args:
            account: the station's.
            twin: which one.
            number: the open round.
            model: digest of the model's manifest.
            replaced: the model that this station has voted for, to move its vote.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, RoundLedgerUnexpectedRound,
            RoundLedgerUnexpectedStatus, RoundLedgerNotElector, RoundLedgerAlreadyAttested,
            RoundLedgerUnexpectedVote, RoundLedgerZeroValue.
        """
        return self._transact(account, "attest", twin, number, model, replaced)

    def finalize_signed(
        self,
        account: Account,
        twin: TwinId,
        number: int,
        model: Digest,
        signers: Sequence[Address],
        signatures: Sequence[bytes],
    ) -> Receipt:
        """Make a model final by signatures instead of votes; anyone may.

        Args:
            account: that pays.
            twin: which one.
            number: the open round.
            model: digest of the model's manifest.
            signers: a quorum of live electors, strictly ascending by address.
            signatures: theirs of EIP-712 ``Attestation``, 65 bytes each, in the same order.

        Raises:
            RoundLedgerUnexpectedRound, RoundLedgerUnexpectedStatus, RoundLedgerNoQuorum,
            RoundLedgerUnsortedSigners, RoundLedgerNotElector, RoundLedgerBadSignature, RoundLedgerZeroValue,
            TwinRegistryUnknownStation, TwinRegistrySuspended.
        """
        return self._transact(account, "finalizeSigned", twin, number, model, signers, signatures)

    def tally(self, account: Account, twin: TwinId, number: int, model: Digest) -> Receipt:
        """Count the votes for a model again: after a suspension, which has made the quorum smaller. Anyone may.

        Raises:
            RoundLedgerUnexpectedRound, RoundLedgerUnexpectedStatus, RoundLedgerNoQuorum, RoundLedgerZeroValue.
        """
        return self._transact(account, "tally", twin, number, model)

    def abort_round(self, account: Account, twin: TwinId, number: int) -> Receipt:
        """Close a round that can no longer become final; anyone may.

        Raises:
            RoundLedgerUnexpectedRound, RoundLedgerUnexpectedStatus.
        """
        return self._transact(account, "abortRound", twin, number)

    # -- reads ----------------------------------------------------------------------------------------------

    def head(self, twin: TwinId, block: Block = None) -> Head:
        """Return the newest final model; round 0 is the genesis, digest zero is none."""
        return Head(*self._read("head", twin, block=block))

    def model_of(self, twin: TwinId, number: int, block: Block = None) -> Digest:
        """Return the final model of a round (0 is the genesis), or zero."""
        (model,) = self._read("modelOf", twin, number, block=block)
        return Digest(model)

    def round_of(self, twin: TwinId, block: Block = None) -> RoundState:
        """Return the newest round; its status is of the block's time."""
        ((number, status, *rest),) = self._read("roundOf", twin, block=block)
        return RoundState(number, RoundStatus(status), *rest)

    def votes_for(self, twin: TwinId, model: Digest, block: Block = None) -> int:
        """Return the live electors' votes for a model in the newest round since the last exclusion, a bit set."""
        (votes,) = self._read("votesFor", twin, model, block=block)
        return int(votes)

    def quorum_of(self, electorate: int, live: int | None = None) -> int:
        """Return the votes that make a model final.

        Args:
            electorate: bit set of the stations at opening.
            live: those of them that aren't suspended; all if None.
        """
        (quorum,) = self._read("quorumOf", electorate, electorate if live is None else live)
        return int(quorum)

    def registry_address(self) -> Address:
        """Return the registry that this ledger believes."""
        (address,) = self._read("registry")
        return parse_address(address)

    def domain_separator(self) -> bytes:
        """Return the EIP-712 domain under which devices and stations sign, 32 bytes."""
        (separator,) = self._read("domainSeparator")
        return digest_bytes(separator)

    # -- history --------------------------------------------------------------------------------------------

    def events(
        self,
        twin: TwinId,
        from_block: int,
        to_block: int | None = None,
        kinds: Sequence[type[Event]] | None = None,
        *,
        number: int | None = None,
        station: Address | None = None,
    ) -> list[Event]:
        """Return what happened to a twin, in the order of the chain.

        Args:
            twin: which one.
            from_block: first block, e.g. the deployment's.
            to_block: last block, inclusive; the newest if None.
            kinds: only these; all of `LEDGER_EVENTS` if None.
            number: only of this round. Genesis events, which have none, are left out.
            station: only where this account stands as the third topic: opener, station, device, or who aborted.
                Events without one (Genesis, RoundFinal) are left out.
        """
        wanted = [
            kind
            for kind in (LEDGER_EVENTS if kinds is None else kinds)
            if not (number is not None and kind is Genesis)
            and not (station is not None and len(event_abi(kind).topics.items) < 3)
        ]
        if not wanted:
            return []
        topics: list[object] = [
            topic_filter(wanted),
            twin,
            None if number is None else f"0x{number:064x}",
            None if station is None else "0x" + station[2:].lower().rjust(64, "0"),
        ]
        while topics[-1] is None:  # a filter of four positions fits only logs of four topics
            topics.pop()
        return self._events(wanted, topics, [None, twin], from_block, to_block)


def members_of(bits: int, stations: Sequence[Address]) -> tuple[Address, ...]:
    """Return the stations of a bit set, by index.

    Args:
        bits: bit ``i`` stands for ``stations[i]``.
        stations: all, by index (`TwinRegistry.stations`).

    Raises:
        ValueError: a bit beyond the stations, or a negative set.
    """
    if bits < 0 or bits >> len(stations):
        raise ValueError(f"set of stations: expected bits below {len(stations)}, got {bits:#b}")
    return tuple(station for index, station in enumerate(stations) if bits >> index & 1)
