"""A look at claims: a claimed product that nobody recomputes proves nothing, so every station recomputes every one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from eth_utils.crypto import keccak

from chain.accounts import Account
from chain.audit_values import Mode
from chain.clock import Moment
from chain.errors import RecordError, SyncAuditNotDisputable
from chain.events import ProofAccepted
from chain.pdp.challenge import batch_transcript
from chain.pdp.verification import product_of
from chain.pdp.words import element
from chain.slot_steps import SlotAction, SlotStep
from chain.sync_audit import SyncAudit
from twins.types import Address, TwinId


@dataclass
class ClaimWatcher:
    """Recomputes what was claimed, and disputes what is wrong.

    Attributes:
        account: pays for disputes.
        audit: whose claims.
        since: block of the deployment.
    """

    account: Account
    audit: SyncAudit
    since: int
    _seen: int = field(default=-1, repr=False)

    def step(self, moment: Moment) -> list[SlotStep]:
        """Recompute the claims of the blocks since the last look.

        Raises:
            ChainError: the chain can't be asked.
        """
        newest = self.audit.chain.block_number()
        if self._seen < 0:  # older claims can't be disputed any more
            seconds = self.audit.timing().dispute_seconds
            self._seen = max(self.since, newest - seconds) - 1
        if newest <= self._seen:
            return []
        steps = []
        claims: dict[tuple[int, Address, bytes], list[TwinId]] = defaultdict(list)
        for event in self.audit.events(self._seen + 1, newest, (ProofAccepted,)):
            if isinstance(event, ProofAccepted) and event.mode is Mode.OPTIMISTIC:
                fact = self.audit.fact_of(event.slot, event.twin, event.holder)
                if fact is not None:
                    claims[event.slot, event.holder, bytes(fact.claim)].append(event.twin)
        for (slot, holder, claim), twins in claims.items():
            step = self._look(moment, slot, holder, claim, tuple(sorted(twins)))
            if step is not None:
                steps.append(step)
        self._seen = newest
        return steps

    def _look(
        self, moment: Moment, slot: int, holder: Address, claim: bytes, twins: tuple[TwinId, ...]
    ) -> SlotStep | None:
        if not claim_is_false(self.audit, slot, holder, claim, twins):
            return None
        try:
            receipt = self.audit.dispute(self.account, slot, twins, holder)
        except SyncAuditNotDisputable:
            return None  # another station was faster
        words = f"slot {slot}: the claim of {holder} was false, and is struck"
        return SlotStep(SlotAction.DISPUTED, moment.slot, words, twins, receipt, {"holder": holder})


def claim_is_false(audit: SyncAudit, slot: int, holder: Address, claim: bytes, twins: Sequence[TwinId]) -> bool:
    """Compute what a claim says, and hold it against what the contract keeps of it.

    Calldata is never looked at: a relay's contract could show one claim there and hand in another.

    Args:
        audit: whose claim.
        slot: of the claim.
        holder: whose it is.
        claim: its name, 23 bytes.
        twins: that it is about, ascending.

    Raises:
        ChainError: the chain can't be asked.
    """
    asked = [audit.challenge_of(slot, twin, holder, audit.now_block) for twin in twins]
    challenges = [challenge for challenge, _ in asked]
    transcript = challenges[0].sigma if len(challenges) == 1 else batch_transcript(challenges)
    if transcript[:23] != claim:
        raise RecordError(f"claim {claim.hex()} of {holder} in slot {slot}: expected it about other twins than {twins}")
    product = product_of(audit.public_key(asked[0][1]), challenges)
    return keccak(element(int(product)))[:30] != audit.claim_of(claim)[0]
