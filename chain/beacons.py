"""A station's part in the seed of every slot: anchors and reveals.

Values follow from the account's own key, so a restarted station goes on without remembering anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from chain.accounts import Account
from chain.audit_values import Phase
from chain.clock import Moment
from chain.pdp.beacon import MAX_HOPS, BeaconDomain, HashChain
from chain.slot_steps import SlotAction, SlotStep
from chain.sync_audit import SyncAudit

EPOCH = 1024
"""Slots of one hash chain; then a new anchor is set. A week of ten-minute slots."""


@dataclass(frozen=True)
class BeaconPart:
    """One station's.

    Attributes:
        audit: whose slots.
        account: the station's.
    """

    audit: SyncAudit
    account: Account

    def value(self, slot: int) -> bytes:
        """Return the station's value of a slot, 32 bytes."""
        return self._chain(slot // EPOCH).value(slot)

    def step(self, moment: Moment) -> SlotStep | None:
        """Set an anchor or reveal, if that is due.

        Raises:
            ChainError: the transaction failed; what is due is decided anew by looking at the chain.
        """
        if moment.phase is Phase.OPEN:
            return self._anchor(moment.slot)
        if moment.phase is Phase.SEALED:
            return self._reveal(moment.slot)
        return None

    def _anchor(self, slot: int) -> SlotStep | None:
        anchor, following = self.audit.anchor_of(self.account.address)
        if self._leads_to(anchor, following, slot):
            return None
        value = self._domain.link(self.value(slot))
        receipt = self.audit.set_anchor(self.account, value)
        return SlotStep(SlotAction.ANCHORED, slot, f"slot {slot}: anchor of this station's values set", (), receipt)

    def _reveal(self, slot: int) -> SlotStep | None:
        anchor, following = self.audit.anchor_of(self.account.address)
        if following > slot or not self._leads_to(anchor, following, slot):
            return None  # revealed; or without an anchor, which is set in the next opening
        receipt = self.audit.reveal(self.account, self.value(slot))
        return SlotStep(SlotAction.REVEALED, slot, f"slot {slot}: value revealed", (), receipt)

    def _leads_to(self, anchor: bytes, following: int, slot: int) -> bool:
        """Tell whether this slot's value hashes to what the chain knows of this station."""
        if not any(anchor) or following > slot + 1 or slot - following >= MAX_HOPS:
            return False
        if following > slot:
            return anchor == self.value(slot)
        value = self.value(slot)
        for _ in range(slot - following + 1):
            value = self._domain.link(value)
        return anchor == value

    @property
    def _domain(self) -> BeaconDomain:
        return BeaconDomain(self.audit.chain.chain_id, self.audit.address, self.account.address)

    def _chain(self, epoch: int) -> HashChain:
        domain = self._domain
        secret = self.account.derive(f"beacon/{domain.chain_id}/{domain.contract}/{epoch}")
        return _values(domain, epoch, secret)


@lru_cache(maxsize=128)
def _values(domain: BeaconDomain, epoch: int, secret: bytes) -> HashChain:
    return HashChain(domain, epoch * EPOCH - 1, (epoch + 1) * EPOCH - 1, secret)
