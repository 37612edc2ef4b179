"""A look at claims: a claimed product that nobody recomputes proves nothing, so every station recomputes every one."""

from __future__ import annotations

from dataclasses import dataclass, field

from chain.accounts import Account
from chain.audit_values import Mode
from chain.clock import Moment
from chain.errors import PDPClaim, RecordError, SyncAuditNotDisputable
from chain.events import ProofAccepted
from chain.pdp.challenge import batch_transcript
from chain.pdp.verification import check_claim
from chain.receipts import hex_bytes
from chain.slot_steps import SlotAction, SlotStep
from chain.sync_audit import SyncAudit
from twins.types import Address, TwinId

_CALLS = ("proveOptimistic", "proveBatchOptimistic")


@dataclass
class ClaimWatcher:
    """Reads claims out of the calldata they came in, and disputes those that are wrong.

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
        steps, transactions = [], set()
        for event in self.audit.events(self._seen + 1, newest, (ProofAccepted,)):
            if not isinstance(event, ProofAccepted) or event.mode is not Mode.OPTIMISTIC:
                continue
            if event.transaction not in transactions:
                transactions.add(event.transaction)
                step = self._look(event, moment)
                if step is not None:
                    steps.append(step)
        self._seen = newest
        return steps

    def _look(self, event: ProofAccepted, moment: Moment) -> SlotStep | None:
        slot, twins, holder, claimed = self._claim_of(event)
        challenges, key_id = [], None
        for twin in twins:
            challenge, key_id = self.audit.challenge_of(slot, twin, holder, self.audit.now_block)
            challenges.append(challenge)
        if key_id is None:
            raise RecordError(f"transaction {event.transaction}: expected a claim about twins, got one about none")
        transcript = challenges[0].sigma if len(challenges) == 1 else batch_transcript(challenges)
        try:
            check_claim(self.audit.public_key(key_id), challenges, transcript, claimed)
        except PDPClaim:
            try:
                receipt = self.audit.dispute(self.account, slot, twins, holder)
            except SyncAuditNotDisputable:
                return None  # another station was faster
            words = f"slot {slot}: the claim of {holder} was false, and is struck"
            return SlotStep(SlotAction.DISPUTED, moment.slot, words, twins, receipt, {"holder": holder})
        return None

    def _claim_of(self, event: ProofAccepted) -> tuple[int, tuple[TwinId, ...], Address, bytes]:
        """Read the claim out of its transaction."""
        found = self.audit.chain.rpc("eth_getTransactionByHash", (event.transaction,))
        data = hex_bytes(found["input"]) if found else b""
        for name in _CALLS:
            function = self.audit.interface.functions[name]
            if data[:4] == function.selector:
                slot, twins, holder, claimed, _ = function.inputs.decode(data[4:], name)
                return slot, twins if isinstance(twins, tuple) else (twins,), holder, claimed
        # A relay's own contract may have called the audit: the claim is in its calldata somewhere, and in none of ours.
        raise RecordError(
            f"transaction {event.transaction}: expected a claim in its calldata, got another call; "
            f"recompute the claim of {event.holder} in slot {event.slot} by hand"
        )
