"""A look at claims: a claimed product that nobody recomputes proves nothing, so every station recomputes every one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from eth_utils.crypto import keccak

from chain.accounts import Account
from chain.audit_values import Mode
from chain.clock import Moment
from chain.errors import ChainError, ChainUnreachableError, RecordError, SyncAuditNotDisputable
from chain.events import ProofAccepted
from chain.pdp.challenge import batch_transcript
from chain.pdp.verification import product_of
from chain.pdp.words import element
from chain.slot_steps import SlotAction, SlotStep
from chain.sync_audit import SyncAudit
from twins.types import Address, Digest, TwinId

LOOK_BACK = 64
"""Blocks that are looked at again: a claim in a block that replaced another would else be seen by nobody."""

_Claim = tuple[int, Address, bytes]  # slot, holder, its name
_Event = tuple[int, Address, TwinId, Digest]  # slot, holder, twin, hash of the claimed proof: its product is in it


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
    _judged: set[_Event] = field(default_factory=set, repr=False)  # right, in the blocks that are looked at again

    def step(self, moment: Moment) -> list[SlotStep]:
        """Recompute the claims of the newest blocks that were not judged yet.

        A claim that can't be judged, or not be disputed, is looked at again, and keeps no other from being struck.

        Raises:
            ChainError: the chain can't be asked, or not about some claim.
        """
        newest = self.audit.chain.block_number()
        if newest <= self._seen:
            return []
        if self._seen < 0:  # older claims can't be disputed any more
            first = max(self.since, newest - self.audit.timing().dispute_seconds)
        else:
            first = max(self.since, self._seen + 1 - LOOK_BACK)
        events, claims = self._claims(first, newest)
        steps: list[SlotStep] = []
        failure: ChainError | None = None
        for (slot, holder, claim), found in claims.items():
            twins = tuple(sorted(twin for _, _, twin, _ in found))
            try:
                if self.audit.claim_of(claim)[1]:
                    continue  # struck; should its dispute be reorganised away, it is disputed again
                if claim_is_false(self.audit, slot, holder, claim, twins):
                    steps += self._dispute(moment, slot, holder, twins)
                else:
                    self._judged |= found
            except ChainUnreachableError:
                raise
            except ChainError as error:
                failure = error
        if failure is None:
            self._seen = newest
            self._judged &= events
        elif not steps:
            raise failure
        return steps

    def _claims(self, first: int, last: int) -> tuple[set[_Event], dict[_Claim, set[_Event]]]:
        events: set[_Event] = set()
        claims: dict[_Claim, set[_Event]] = defaultdict(set)
        for event in self.audit.events(first, last, (ProofAccepted,)):
            if isinstance(event, ProofAccepted) and event.mode is Mode.OPTIMISTIC:
                known = (event.slot, event.holder, event.twin, event.proof)
                events.add(known)
                if known in self._judged:
                    continue
                fact = self.audit.fact_of(event.slot, event.twin, event.holder)
                if fact is not None:
                    claims[event.slot, event.holder, bytes(fact.claim)].add(known)
        return events, claims

    def _dispute(self, moment: Moment, slot: int, holder: Address, twins: tuple[TwinId, ...]) -> list[SlotStep]:
        try:
            receipt = self.audit.dispute(self.account, slot, twins, holder)
        except SyncAuditNotDisputable:
            return []  # another station was faster, or it is too late
        words = f"slot {slot}: the claim of {holder} was false, and is struck"
        return [SlotStep(SlotAction.DISPUTED, moment.slot, words, twins, receipt, {"holder": holder})]


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
