"""RoundLedger's disputes: accusations, proofs that need no vote, and challenges that must be answered.

Writes raise the exceptions of `chain.errors` that are named like the contract's custom errors. Everything about a
commitment raises RoundLedgerUnknownCommitment for what the ledger doesn't hold, and RoundLedgerCommitmentGone for what
is so old that its slot belongs to a newer round.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.accounts import Account
from chain.connection import Block, Receipt
from chain.contract import Contract
from chain.values import ProvenContribution as ProvenContribution
from chain.values import Recorded as Recorded
from twins.types import Address, Digest, TwinId


class Disputes(Contract):
    """The part of a ledger that deals with wrong updates."""

    def dispute(self, account: Account, twin: TwinId, number: int, station: Address, evidence: Digest) -> Receipt:
        """Accuse a station's counted update of the open round; a quorum of live electors rejects it.

        Args:
            account: a live elector's.
            twin: which one.
            number: the open round.
            station: the accused.
            evidence: digest of what the accusation rests on.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, RoundLedgerUnexpectedRound,
            RoundLedgerUnexpectedStatus, RoundLedgerNotElector, RoundLedgerNoUpdate,
            RoundLedgerAlreadyDisputed, RoundLedgerAlreadyRejected, RoundLedgerZeroValue.
        """
        return self._transact(account, "dispute", twin, number, station, evidence)

    def prove_forgery(
        self, account: Account, recorded: Recorded, contribution: ProvenContribution, proof: Sequence[bytes]
    ) -> Receipt:
        """Have an update rejected for a leaf that its station committed to, though its device didn't sign it.

        Args:
            account: an active station's.
            recorded: the update.
            contribution: the forged one.
            proof: that it is in the station's tree, 32 bytes each.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, RoundLedgerUnknownCommitment,
            RoundLedgerCommitmentGone, RoundLedgerAlreadyRejected, RoundLedgerBadProof,
            RoundLedgerHonestContribution.
        """
        return self._transact(account, "proveForgery", recorded, contribution, proof)

    def prove_double_count(
        self,
        account: Account,
        recorded_a: Recorded,
        contribution_a: ProvenContribution,
        proof_a: Sequence[bytes],
        recorded_b: Recorded,
        contribution_b: ProvenContribution,
        proof_b: Sequence[bytes],
    ) -> Receipt:
        """Show that a device signed two contributions to one round.

        In one station's tree the station is to blame, and its update is rejected; in two stations' the device is.

        Args:
            account: an active station's.
            recorded_a: one update.
            contribution_a: the device's contribution to it.
            proof_a: that it is in that tree, 32 bytes each.
            recorded_b: the other update, or the same.
            contribution_b: the device's contribution to that one.
            proof_b: that it is in that tree.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, RoundLedgerUnknownCommitment,
            RoundLedgerCommitmentGone, RoundLedgerAlreadyRejected, RoundLedgerBadProof, RoundLedgerBadSignature,
            RoundLedgerNoDoubleCount.
        """
        return self._transact(
            account,
            "proveDoubleCount",
            recorded_a,
            contribution_a,
            proof_a,
            recorded_b,
            contribution_b,
            proof_b,
        )

    def challenge_invented(
        self, account: Account, recorded: Recorded, contribution: ProvenContribution, proof: Sequence[bytes]
    ) -> Receipt:
        """Say that a counted device isn't in its station's roster: who has the roster proves otherwise, in time.

        Args:
            account: an active station's.
            recorded: the update.
            contribution: the device's.
            proof: that it is in the station's tree of contributions, 32 bytes each.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, RoundLedgerUnknownCommitment,
            RoundLedgerCommitmentGone, RoundLedgerAlreadyRejected, RoundLedgerBadProof, RoundLedgerChallengeExists.
        """
        return self._transact(account, "challengeInvented", recorded, contribution, proof)

    def challenge_omitted(self, account: Account, recorded: Recorded, leaf: Digest, receipt: bytes) -> Receipt:
        """Say that a contribution is missing that the station gave a receipt for: who has the tree proves otherwise.

        Args:
            account: an active station's.
            recorded: the update.
            leaf: hash of the contribution's leaf.
            receipt: the station's signature of EIP-712 ``Receipt``, 65 bytes.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, RoundLedgerUnknownCommitment,
            RoundLedgerCommitmentGone, RoundLedgerAlreadyRejected, RoundLedgerBadSignature,
            RoundLedgerChallengeExists.
        """
        return self._transact(account, "challengeOmitted", recorded, leaf, receipt)

    def answer_challenge(
        self,
        account: Account,
        twin: TwinId,
        number: int,
        station: Address,
        root: Digest,
        leaf: Digest,
        proof: Sequence[bytes],
    ) -> Receipt:
        """End a challenge by the proof that the leaf is under the root; anyone may.

        Args:
            account: that pays.
            twin: which one.
            number: the challenged update's round.
            station: whose update it is.
            root: of the roster or of the contributions, as the challenge names it.
            leaf: hash of the leaf, as the challenge names it.
            proof: 32 bytes each.

        Raises:
            RoundLedgerNoChallenge, RoundLedgerBadProof.
        """
        return self._transact(account, "answerChallenge", twin, number, station, root, leaf, proof)

    def settle_challenge(
        self, account: Account, twin: TwinId, number: int, station: Address, root: Digest, leaf: Digest
    ) -> Receipt:
        """Have the update rejected when nobody has answered a challenge in time; anyone may.

        Args:
            account: that pays.
            twin: which one.
            number: the challenged update's round.
            station: whose update it is.
            root: as the challenge names it.
            leaf: as the challenge names it.

        Raises:
            RoundLedgerNoChallenge, RoundLedgerChallengeOpen.
        """
        return self._transact(account, "settleChallenge", twin, number, station, root, leaf)

    def accusers_of(self, twin: TwinId, station: Address, block: Block = None) -> int:
        """Return who accuses a station's update in the newest round, a bit set."""
        (accusers,) = self._read("accusersOf", twin, station, block=block)
        return int(accusers)

    def challenge_until(
        self, twin: TwinId, number: int, station: Address, root: Digest, leaf: Digest, block: Block = None
    ) -> int:
        """Return until when a challenge can be answered, Unix seconds; 0 if there is none."""
        (until,) = self._read("challengeUntil", twin, number, station, root, leaf, block=block)
        return int(until)

    def verify_contribution(
        self,
        recorded: Recorded,
        contribution: ProvenContribution,
        proof: Sequence[bytes],
        roster_proof: Sequence[bytes],
        block: Block = None,
    ) -> bool:
        """Tell whether the ledger committed to a contribution that its device signed, being of the roster then.

        Args:
            recorded: the update.
            contribution: the device's.
            proof: that it is in the station's tree, 32 bytes each.
            roster_proof: that the device is in the roster.
            block: on whose state.

        Raises:
            RoundLedgerUnknownCommitment, RoundLedgerCommitmentGone.
        """
        (holds,) = self._read("verifyContribution", recorded, contribution, proof, roster_proof, block=block)
        return bool(holds)

    def commitments(self) -> int:
        """Return for how many rounds commitments are kept, and so can be disputed."""
        (rounds,) = self._read("COMMITMENTS")
        return int(rounds)
