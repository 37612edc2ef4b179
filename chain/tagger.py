"""A tagger: tags each new version of a twin in its own lane, and names who has to prove there.

Tags are registered at most twice in a slot, for a set that is replaced before its slot was never of any use: when the
head has rested for a tenth of a slot, and once more in the slot's last quarter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from chain.accounts import Account
from chain.audit_values import AuditPolicy
from chain.clock import Moment, SlotClock
from chain.pdp.keys import PrivateKey
from chain.pdp.sources import BytesSource, merkle_root
from chain.pdp.tags import Progress, TagDomain, make_tags
from chain.round_ledger import RoundLedger
from chain.slot_steps import SlotAction, SlotStep
from chain.sync_audit import SyncAudit
from chain.twin_registry import TwinRegistry
from chain.values import Head
from twins.archive import Archive
from twins.manifest import TagsManifest, TwinModelManifest
from twins.types import Address, Digest, TwinId, digest_of_bytes


class TaggingKeys(Protocol):
    """Where a tagger keeps its key."""

    def current(self) -> PrivateKey:
        """Return the key of now, making one if there is none or the old one has served its time."""

    def used(self) -> None:
        """Take note that one more version was tagged under it."""


@dataclass
class Tagger:
    """One station's lane for one twin.

    Attributes:
        twin: whose versions.
        account: the station's.
        registry: of the consortium.
        ledger: of the consortium.
        audit: of the consortium.
        clock: of the audit.
        archive: where artifacts are.
        keys: the tagger's.
        stand_in: holds in this lane where this is the only station.
        progress: told as blocks are done.
    """

    twin: TwinId
    account: Account
    registry: TwinRegistry
    ledger: RoundLedger
    audit: SyncAudit
    clock: SlotClock
    archive: Archive
    keys: TaggingKeys
    stand_in: Address
    progress: Progress = lambda blocks: None
    now: Callable[[], float] = monotonic
    _settled_slot: int = field(default=-1, repr=False)  # in which policy and duties were looked at
    _tags: bool = field(default=False, repr=False)
    _done: tuple[Digest, int] = field(default=(Digest(""), -1), repr=False)  # head that is tagged, seen in this slot
    _rested: tuple[Digest, float] = field(default=(Digest(""), 0.0), repr=False)

    def step(self, moment: Moment) -> SlotStep | None:
        """Do one thing that is due, if anything.

        Raises:
            ChainError, TwinsError: it failed; what is due is decided anew.
        """
        if self._settled_slot != moment.slot:
            stations = self.registry.stations()
            policy = self.audit.policy_at(self.twin, moment.slot + 1)
            self._tags = (
                policy is not None
                and self.account.address in stations
                and bool(policy.taggers >> stations.index(self.account.address) & 1)
            )
            if policy is not None and self._tags:
                step = self._assign(moment, policy, stations)
                if step is not None:
                    return step
            self._settled_slot = moment.slot
        return self._tag(moment) if self._tags else None

    def _assign(self, moment: Moment, policy: AuditPolicy, stations: tuple[Address, ...]) -> SlotStep | None:
        holder = next_in_ring(policy, stations, self.account.address) or self.stand_in
        if self.audit.duty_at(self.twin, holder, moment.slot + 1) is not None:
            return None
        receipt = self.audit.assign(self.account, self.twin, holder)
        words = f"slot {moment.slot}: {holder} has to prove possession in this lane from the next slot on"
        return SlotStep(SlotAction.ASSIGNED, moment.slot, words, (self.twin,), receipt, {"holder": holder})

    def _tag(self, moment: Moment) -> SlotStep | None:
        head = self.ledger.head(self.twin, self.audit.chain.settled_block())
        if int(head.model, 16) == 0 or not self._is_time(head, moment):
            return None
        if self._done == (head.model, moment.slot):
            return None
        newest = self.audit.tags_at(self.twin, self.account.address, moment.slot + 1)
        if newest is not None and newest.active_from == moment.slot + 1 and not self._is_late(moment):
            return None  # tagged in this slot already; once more at its end, if the head has moved by then
        if newest is not None and newest.version == head.number:
            if not self.audit.key_of(newest.key_id).revoked_at:
                self._done = (head.model, moment.slot)
                return None
        elif self.ledger.head(self.twin) != head:
            return None  # a newer one is on its way: the contract would take the tags for its own
        key = self.keys.current()
        if int(self.audit.key_of(key.public.key_id).owner, 16) == 0:
            receipt = self.audit.register_key(self.account, key.public)
            words = f"slot {moment.slot}: tagging key {key.public.key_id} registered"
            return SlotStep(SlotAction.KEY, moment.slot, words, (), receipt)
        return self._register(moment, head, key)

    def _register(self, moment: Moment, head: Head, key: PrivateKey) -> SlotStep:
        ref = self.archive.manifest(TwinModelManifest, head.model).model
        source = BytesSource(self.archive.artifact(ref))
        public = key.public
        root = merkle_root(source, public.block)
        chain_id, contract = self.audit.chain.chain_id, self.audit.address
        domain = TagDomain(
            chain_id, contract, self.twin, head.number, head.model, public.key_id, root, ref.size, public.block
        )
        tags = make_tags(source, key, domain, progress=self.progress)
        manifest = TagsManifest(
            twin=self.twin,
            model=head.model,
            artifact=ref,
            key=public.key_id,
            block=public.block,
            root=digest_of_bytes(root),
            tags=self.archive.put(tags.to_bytes()),
        )
        digest = self.archive.put_manifest(manifest)  # pinned before it is recorded
        receipt = self.audit.register_tags(self.account, self.twin, public.key_id, root, ref.size, digest)
        self.keys.used()
        words = f"slot {moment.slot}: round {head.number} tagged, {tags.blocks} blocks of {public.block} bytes"
        values = {"version": head.number, "blocks": tags.blocks}
        return SlotStep(SlotAction.TAGGED, moment.slot, words, (self.twin,), receipt, values)

    def _is_time(self, head: Head, moment: Moment) -> bool:
        if self._rested[0] != head.model:
            self._rested = (head.model, self.now())
        rested = self.now() - self._rested[1] >= self.clock.timing.slot_seconds / 10
        return rested or self._is_late(moment)

    def _is_late(self, moment: Moment) -> bool:
        return self.clock.start_of(moment.slot + 1) - moment.time <= self.clock.timing.slot_seconds / 4


def next_in_ring(policy: AuditPolicy, stations: tuple[Address, ...], tagger: Address) -> Address | None:
    """Return who holds in a tagger's lane: the next of the policy's taggers by index, and after the last the first.

    So every tagger holds in another's lane, and none vouches for itself.

    Returns:
        None where there is no other.
    """
    ring = [station for index, station in enumerate(stations) if policy.taggers >> index & 1]
    following = ring[(ring.index(tagger) + 1) % len(ring)]
    return None if following == tagger else following
