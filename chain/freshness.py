"""What a feeder asks before it feeds: is this the head, and was it proven lately? (`twins.twin.Verifier`)."""

from __future__ import annotations

from dataclasses import dataclass

from chain.audit_values import Verdict
from chain.clock import SlotClock
from chain.connection import Block
from chain.round_ledger import RoundLedger
from chain.sync_audit import SyncAudit
from twins.twin import ProvenHead
from twins.types import TwinId

_LOOKBACK = 4  # slots that reasons are given for


@dataclass(frozen=True)
class FreshnessVerifier:
    """Answers out of the chain, on settled blocks.

    Attributes:
        ledger: knows the head.
        audit: knows who proved what.
    """

    ledger: RoundLedger
    audit: SyncAudit

    def head(self, twin: TwinId, max_age: int) -> ProvenHead:
        """Return the newest settled model, and whether it was proven at most ``max_age`` seconds ago.

        Raises:
            ChainError: the chain can't be asked.
        """
        chain = self.ledger.chain
        # One block for all reads, and one with confirmations: a reorganisation must not take the answer back.
        block: Block = chain.settled_block() if chain.confirmations else "pending"
        head = self.ledger.head(twin, block)
        fresh = self.audit.is_fresh_version(twin, head.model, max_age, block)
        state = self.audit.time_state(twin, block)
        missing = () if fresh else self._missing(twin, head.number, max_age, block)
        now = chain.timestamp(block)
        return ProvenHead(head.model, head.number, fresh, state.sealed_at if state.proven else None, now, missing)

    def _missing(self, twin: TwinId, version: int, max_age: int, block: Block) -> tuple[str, ...]:
        """Say what keeps a model from being fresh: for the newest slots, who didn't prove what."""
        clock = SlotClock(self.audit)
        current, _ = self.audit.current_slot(block)
        policy = self.audit.policy_at(twin, current, block)
        if policy is None:
            return ("its owner has set no audit policy that is in force",)
        holders = self.audit.holders_of(twin, block)
        if len(holders) < policy.min_holders:
            return (f"{policy.min_holders} holders have to prove, and {len(holders)} are assigned",)
        now, reasons = self.ledger.chain.timestamp(block), []
        for slot in range(current, max(-1, current - _LOOKBACK), -1):
            for holder in holders:
                verdict = self.audit.verdict(twin, holder, slot, block)
                duty = self.audit.duty_at(twin, holder, slot, block)
                tags = None if duty is None else self.audit.tags_at(twin, duty.tagger, slot, block)
                if tags is not None and tags.version != version:
                    reasons.append(f"slot {slot}: holder {holder} was asked for round {tags.version}")
                elif tags is not None and self.audit.key_of(tags.key_id, block).revoked_at:
                    reasons.append(f"slot {slot}: holder {holder} is in a lane whose key is revoked")
                elif verdict is not Verdict.PROVEN:
                    reasons.append(f"slot {slot}: holder {holder} {_WORDS.get(verdict, str(verdict))}")
                elif now - clock.start_of(slot) - clock.timing.open_seconds > max_age:
                    reasons.append(f"slot {slot}: holder {holder} has proven, but too long ago")
        return tuple(reasons)


_WORDS = {
    Verdict.NOT_DUE: "was not asked: no tags are in force for it",
    Verdict.PENDING: "hasn't proven yet",
    Verdict.PROVISIONAL: "has made a claim that can still be disputed",
    Verdict.ATTESTED: "was vouched for by stations only",
    Verdict.FAILED: "has failed",
    Verdict.VOID: "could not prove: the slot has no seed",
}
