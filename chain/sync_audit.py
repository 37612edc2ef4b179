"""SyncAudit: who still has what, and when that was last true.

Writes raise the exceptions of `chain.errors` that are named like the contract's custom errors; reads are in
`chain.audit_facts`.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from chain.accounts import Account
from chain.audit_facts import AuditFacts
from chain.audit_values import AuditPolicy as AuditPolicy
from chain.connection import Receipt
from chain.pdp.keys import PublicKey
from twins.types import Address, Digest, TwinId


class SyncAudit(AuditFacts):
    """The audit at one address."""

    # -- keys, tags, duties ----------------------------------------------------------------------------------

    def register_key(self, account: Account, key: PublicKey) -> Receipt:
        """Register a tagging key; the account owns it.

        Raises:
            PDPBadKey, SyncAuditKeyExists.
        """
        return self._transact(account, "registerKey", key.modulus_bytes, key.exponent_bits)

    def revoke_key(self, account: Account, key_id: Digest) -> Receipt:
        """Let nothing under a key make fresh any more; its owner, or the registry's administrator.

        Raises:
            SyncAuditUnknownKey, SyncAuditNotKeyOwner, SyncAuditKeyRevoked.
        """
        return self._transact(account, "revokeKey", key_id)

    def set_policy(self, account: Account, twin: TwinId, policy: AuditPolicy) -> Receipt:
        """Say how a twin is audited from the next slot on; its owner.

        Raises:
            TwinRegistryUnknownTwin, SyncAuditNotTwinOwner, SyncAuditBadPolicy.
        """
        return self._transact(account, "setPolicy", twin, policy)

    def register_tags(
        self, account: Account, twin: TwinId, key_id: Digest, root: bytes, length: int, tags: Digest
    ) -> Receipt:
        """Register the tags of the twin's present model, from the next slot on.

        Args:
            account: the tagger's.
            twin: whose model.
            key_id: the tagger's key.
            root: RFC 6962 tree hash over the blocks.
            length: bytes of the artifact.
            tags: digest of the `twins.manifest.TagsManifest`.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, SyncAuditNoPolicy, SyncAuditNotTagger,
            SyncAuditUnknownKey, SyncAuditNotKeyOwner, SyncAuditKeyRevoked, SyncAuditZeroValue, SyncAuditBadLength,
            SyncAuditNoModel, SyncAuditTagsExist.
        """
        return self._transact(account, "registerTags", twin, key_id, root, length, tags)

    def assign(self, account: Account, twin: TwinId, holder: Address) -> Receipt:
        """Make an account prove in this tagger's lane, from the next slot on.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended, SyncAuditNoPolicy, SyncAuditNotTagger,
            SyncAuditZeroValue, SyncAuditOwnHolder, SyncAuditAlreadyAssigned, SyncAuditTooManyHolders.
        """
        return self._transact(account, "assign", twin, holder)

    def unassign(self, account: Account, twin: TwinId, holder: Address) -> Receipt:
        """End a duty with this slot; the tagger that assigned it.

        Raises:
            SyncAuditNotAssigned.
        """
        return self._transact(account, "unassign", twin, holder)

    # -- beacon ----------------------------------------------------------------------------------------------

    def set_anchor(self, account: Account, anchor: bytes) -> Receipt:
        """Publish the end of this station's hash chain, while the slot is open.

        Raises:
            SyncAuditUnexpectedPhase, SyncAuditZeroValue, TwinRegistryUnknownStation, TwinRegistrySuspended.
        """
        return self._transact(account, "setAnchor", anchor)

    def reveal(self, account: Account, value: bytes) -> Receipt:
        """Publish this station's value of the slot, while it is sealed.

        Raises:
            SyncAuditUnexpectedPhase, SyncAuditBadReveal, TwinRegistryUnknownStation, TwinRegistrySuspended.
        """
        return self._transact(account, "reveal", value)

    # -- proofs ----------------------------------------------------------------------------------------------

    def prove(self, account: Account, slot: int, twins: Sequence[TwinId], holder: Address, proof: bytes) -> Receipt:
        """Send a proof, of one twin or of several under one key (ascending); anybody may.

        Raises:
            SyncAuditUnexpectedPhase, SyncAuditNoBeacon, SyncAuditNotAssigned, SyncAuditNoTags, SyncAuditKeyRevoked,
            SyncAuditModeNotAllowed, SyncAuditDuplicateProof, SyncAuditBadBatch, PDPError.
        """
        if len(twins) == 1:
            return self._transact(account, "prove", slot, twins[0], holder, proof)
        return self._transact(account, "proveBatch", slot, twins, holder, proof)

    def prove_optimistic(
        self, account: Account, slot: int, twins: Sequence[TwinId], holder: Address, claimed: bytes, signature: bytes
    ) -> Receipt:
        """Send a claimed proof with its holder's signature (`chain.pdp.challenge.claim_digest`).

        Raises:
            As `prove`, and SyncAuditBadClaimSignature.
        """
        if len(twins) == 1:
            return self._transact(account, "proveOptimistic", slot, twins[0], holder, claimed, signature)
        return self._transact(account, "proveBatchOptimistic", slot, twins, holder, claimed, signature)

    def attest(
        self, account: Account, slot: int, twin: TwinId, holder: Address, proof: bytes, signatures: Sequence[bytes]
    ) -> Receipt:
        """Record that stations have verified a proof off the chain.

        Args:
            account: that pays.
            slot: of the proof.
            twin: whose.
            holder: who has proven.
            proof: its bytes, of which only the hash is sent.
            signatures: 65 bytes each (`chain.pdp.challenge.quorum_digest`), ascending by signer.

        Raises:
            As `prove`, and SyncAuditUnsortedSigners, SyncAuditNotElector, SyncAuditNoQuorum.
        """
        return self._transact(account, "attest", slot, twin, holder, keccak(proof), b"".join(signatures))

    def dispute(self, account: Account, slot: int, twins: Sequence[TwinId], holder: Address) -> Receipt:
        """Have a claim's product computed by the contract, and strike it if it is wrong; anybody may.

        Raises:
            SyncAuditNotDisputable, SyncAuditClaimHolds.
        """
        if len(twins) == 1:
            return self._transact(account, "dispute", slot, twins[0], holder)
        return self._transact(account, "disputeBatch", slot, twins, holder)
