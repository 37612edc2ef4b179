"""A holder: answers each slot for every artifact that it has to hold, from its own copies and nothing else.

What it has to hold, the chain says. New tags are tested before they are served under; a copy that is missing or bad is
fetched anew, but only after the slot in which it showed: a proof says what was here when it was asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.accounts import Account
from chain.audit_values import Mode, Phase, TagSet
from chain.clock import Moment
from chain.errors import ChainError, PDPDataError, RecordError, SyncAuditDuplicateProof, SyncAuditNoBeacon
from chain.events import HolderAssigned, TagsRegistered
from chain.held import Held as Held
from chain.held import check_held
from chain.pdp.challenge import Challenge, batch_transcript, claim_digest
from chain.pdp.keys import PublicKey
from chain.pdp.proof import Aggregate, aggregate, prove_together
from chain.pdp.tags import HEADER_BYTES, Tags
from chain.pdp.verification import PROOF_BYTES, verify
from chain.pdp.words import MODULUS_BYTES
from chain.round_ledger import RoundLedger
from chain.slot_steps import SlotAction, SlotStep
from chain.sync_audit import SyncAudit
from twins.archive import Archive
from twins.errors import StoreError, TwinsError
from twins.holding import Holding
from twins.manifest import TagsManifest, TwinModelManifest
from twins.types import Address, Digest, TwinId, digest_bytes

TOGETHER = 10
"""Twins in one proof: some 3.5 million gas with 16 blocks each."""


@dataclass
class Holder:
    """One account that holds.

    Attributes:
        account: that is asked, and signs claims.
        payer: sends the transactions; anybody may.
        ledger: of the consortium.
        audit: of the consortium.
        since: block of the deployment.
        archive: where everybody's artifacts are.
        holding: its own copies.
        waiting: whether something will be due in this phase when the chain has gone on.
    """

    account: Account
    payer: Account
    ledger: RoundLedger
    audit: SyncAudit
    since: int
    archive: Archive
    holding: Holding
    waiting: bool = False
    _held: dict[bytes, Held] = field(default_factory=dict, repr=False)  # by domain; a cache
    _twins: set[TwinId] = field(default_factory=set, repr=False)
    _scanned: int = field(default=-1, repr=False)
    _tried: dict[TwinId, int] = field(default_factory=dict, repr=False)  # slot in which a proof failed
    _unread: dict[TwinId, int] = field(default_factory=dict, repr=False)  # slot in which the store failed
    _bad: dict[bytes, int] = field(default_factory=dict, repr=False)  # domain to the slot in which a copy was bad

    def twins(self) -> tuple[TwinId, ...]:
        """Return the twins that this account was ever assigned to, ascending."""
        newest = self.audit.chain.block_number()
        if newest > self._scanned:
            # From some blocks back: what was read may have been reorganised.
            first = max(self.since, self._scanned - 64)
            for event in self.audit.events(first, newest, (HolderAssigned,)):
                if isinstance(event, HolderAssigned) and event.holder == self.account.address:
                    self._twins.add(event.twin)
            self._scanned = newest
        return tuple(sorted(self._twins))

    def step(self, moment: Moment) -> list[SlotStep]:
        """Accept new tags, mend copies, and prove what is asked.

        Raises:
            ChainError: the chain can't be asked; what is due is decided anew.
        """
        self.waiting = False
        if moment.phase is Phase.PROVING:
            asked = [twin for twin in self.twins() if self._is_asked(twin, moment)]
            asked.sort(key=lambda twin: self._unread.get(twin) == moment.slot)  # what couldn't be read comes last
            return self._prove(moment, asked) if asked else []
        # What a slot asks for is fixed before it begins: nothing is got ready for the next one.
        steps: list[SlotStep] = []
        in_force: set[bytes] = set()
        for twin in self.twins():
            tag_set = self._tag_set(twin, moment.slot)
            if tag_set is not None:
                in_force.add(digest_bytes(tag_set.tau))
                steps += self._accept(twin, tag_set, moment)
            if steps and steps[-1].action is SlotAction.FAILED:
                return steps  # the others at the next look: a store that hangs takes a while for each of them
        # Tags of past versions are never asked for again.
        self._held = {tau: held for tau, held in self._held.items() if tau in in_force}
        self._bad = {tau: slot for tau, slot in self._bad.items() if tau in in_force}
        return steps

    # -- copies ----------------------------------------------------------------------------------------------

    def _accept(self, twin: TwinId, tag_set: TagSet, moment: Moment) -> list[SlotStep]:
        """Get ready for the tags that are in force."""
        tau = digest_bytes(tag_set.tau)
        bad = self._bad.get(tau)
        if (tau in self._held and bad is None) or (bad is not None and bad >= moment.slot):
            return []
        try:
            held = self._load(twin, tag_set)
            check_held(held, self.holding.open(held.artifact.cid), self.audit, self.ledger, twin, tag_set)
        except (TwinsError, PDPDataError, RecordError) as error:
            self._bad[tau] = moment.slot
            words = f"slot {moment.slot}: round {tag_set.version} of {twin} can't be held: {error}"
            return [SlotStep(SlotAction.FAILED, moment.slot, words, (twin,), None, {"why": str(error)})]
        self._held[tau] = held
        self._bad.pop(tau, None)
        words = f"slot {moment.slot}: holding round {tag_set.version} of {twin}, {tag_set.blocks} blocks"
        values = {"version": tag_set.version, "blocks": tag_set.blocks}
        return [SlotStep(SlotAction.ACCEPTED, moment.slot, words, (twin,), None, values)]

    def look_up(self, twin: TwinId, tag_set: TagSet) -> Held:
        """Fetch the tags and the key that the chain names, and leave the copies as they are."""
        return self._load(twin, tag_set, keep=False)

    def _tag_set(self, twin: TwinId, slot: int) -> TagSet | None:
        duty = self.audit.duty_at(twin, self.account.address, slot)
        return None if duty is None else self.audit.tags_at(twin, duty.tagger, slot)

    def _load(self, twin: TwinId, tag_set: TagSet, *, keep: bool = True) -> Held:
        """Fetch tags and key, and make sure of an own copy."""
        event = self._registration(twin, tag_set)
        manifest = self.archive.manifest(TagsManifest, event.tags)
        model = self.archive.manifest(TwinModelManifest, manifest.model)
        ref = manifest.artifact
        head = self.ledger.model_of(twin, tag_set.version)
        if manifest.model != head or model.model != ref or ref.size != event.length:
            raise RecordError(
                f"tags {event.tags}: expected them of {head}, {model.model.cid} of {event.length} bytes, "
                f"got {manifest.model}, {ref.cid} of {ref.size}; its tagger {event.tagger} is at fault"
            )
        expected = HEADER_BYTES + MODULUS_BYTES * tag_set.blocks
        if manifest.tags.size != expected:  # not fetched: a tagger could name a file that fills this disk
            raise RecordError(
                f"tags {event.tags}: expected a file of {expected} bytes for {tag_set.blocks} blocks, "
                f"got {manifest.tags.size}; its tagger {event.tagger} is at fault"
            )
        if keep:
            self.holding.keep(ref.cid, lambda: self.archive.artifact(ref))
        key = self.audit.public_key(tag_set.key_id)
        return Held(Tags.from_bytes(self.archive.artifact(manifest.tags)), key, ref)

    def _registration(self, twin: TwinId, tag_set: TagSet) -> TagsRegistered:
        for event in reversed(self.audit.events(self.since, None, (TagsRegistered,), twin=twin)):
            if isinstance(event, TagsRegistered) and event.tau == tag_set.tau:
                return event
        raise RecordError(f"tags {tag_set.tau} of {twin}: expected the event of their registration, got none")

    # -- proofs ----------------------------------------------------------------------------------------------

    def _is_asked(self, twin: TwinId, moment: Moment) -> bool:
        if moment.phase is not Phase.PROVING or self._tried.get(twin) == moment.slot:
            return False
        if self._tag_set(twin, moment.slot) is None:
            return False
        return self.audit.fact_of(moment.slot, twin, self.account.address) is None

    def _prove(self, moment: Moment, twins: Sequence[TwinId]) -> list[SlotStep]:
        """Prove these twins, those under one key together."""
        steps: list[SlotStep] = []
        groups: dict[tuple[Digest, Mode], list[tuple[TwinId, Challenge, Aggregate]]] = defaultdict(list)
        settled = bool(self.audit.chain.confirmations)
        block = self.audit.chain.settled_block() if settled else self.audit.now_block
        keys: dict[Digest, PublicKey] = {}
        for twin in twins:
            try:
                # On settled blocks: a reveal that a reorganisation takes away would change what is asked.
                challenge, key_id = self.audit.challenge_of(moment.slot, twin, self.account.address, block)
            except SyncAuditNoBeacon:
                return []  # a void slot: nobody can answer, and nobody fails
            except ChainError:
                if not settled:
                    raise
                self.waiting = True  # for what is asked to be settled: asked again at the next look
                continue
            try:
                made, key = self._aggregate(twin, moment.slot, challenge)
                keys[key_id] = key
                groups[key_id, self._mode(twin, moment.slot)].append((twin, challenge, made))
            except StoreError as error:
                # The store fails, and not the copy: it is asked again while there is time. Once a look: each question
                # to a node that hangs takes a while, and the value of the next slot mustn't be late for all of them.
                self.waiting = True
                steps += self._not_yet(moment, twin, error)
                break
            except (TwinsError, PDPDataError, RecordError) as error:
                steps.append(self._fail(moment, twin, challenge.tau, error))
        for (key_id, mode), asked in groups.items():
            for first in range(0, len(asked), TOGETHER):
                steps += self._send(moment, keys[key_id], mode, asked[first : first + TOGETHER])
        return steps

    def _aggregate(self, twin: TwinId, slot: int, challenge: Challenge) -> tuple[Aggregate, PublicKey]:
        held = self._held.get(challenge.tau)
        if held is None:
            tag_set = self._tag_set(twin, slot)
            if tag_set is None:
                raise RecordError(f"twin {twin}: expected tags in slot {slot}, got none")
            held = self._load(twin, tag_set)
            check_held(held, self.holding.open(held.artifact.cid), self.audit, self.ledger, twin, tag_set)
            self._held[challenge.tau] = held
        source = self.holding.open(held.artifact.cid)
        return aggregate(source, held.tags, held.key, challenge), held.key

    def _mode(self, twin: TwinId, slot: int) -> Mode:
        policy = self.audit.policy_at(twin, slot)
        full = policy is None or policy.allows(Mode.FULL) or not policy.allows(Mode.OPTIMISTIC)
        return Mode.FULL if full else Mode.OPTIMISTIC

    def _send(
        self, moment: Moment, key: PublicKey, mode: Mode, asked: Sequence[tuple[TwinId, Challenge, Aggregate]]
    ) -> list[SlotStep]:
        twins = tuple(twin for twin, _, _ in asked)
        challenges = [challenge for _, challenge, _ in asked]
        transcript = challenges[0].sigma if len(asked) == 1 else batch_transcript(challenges)
        try:
            claimed = prove_together([made for _, _, made in asked], key, transcript)
            verify(key, challenges, transcript, claimed[:PROOF_BYTES])  # before anybody else sees it
        except PDPDataError as error:
            if len(asked) == 1:
                return [self._fail(moment, twins[0], challenges[0].tau, error)]
            return [step for one in asked for step in self._send(moment, key, mode, [one])]
        try:
            if mode is Mode.FULL:
                receipt = self.audit.prove(self.payer, moment.slot, twins, self.account.address, claimed[:PROOF_BYTES])
            else:
                signature = self.account.sign_hash(claim_digest(transcript, claimed))
                receipt = self.audit.prove_optimistic(
                    self.payer, moment.slot, twins, self.account.address, claimed, signature
                )
        except SyncAuditDuplicateProof:
            return []  # sent before this process was killed, or by a relay
        count = "" if len(twins) == 1 else f" of {len(twins)} twins"
        words = f"slot {moment.slot}: possession{count} proven"
        return [SlotStep(SlotAction.PROVEN, moment.slot, words, twins, receipt, {"mode": str(mode)})]

    def _not_yet(self, moment: Moment, twin: TwinId, error: Exception) -> list[SlotStep]:
        told, self._unread[twin] = self._unread.get(twin) == moment.slot, moment.slot
        words = f"slot {moment.slot}: twin {twin} can't be proven yet: {error}. Looking again"
        return [] if told else [SlotStep(SlotAction.FAILED, moment.slot, words, (twin,), None, {"why": str(error)})]

    def _fail(self, moment: Moment, twin: TwinId, tau: bytes, error: Exception) -> SlotStep:
        self._tried[twin], self._bad[tau] = moment.slot, moment.slot
        words = f"slot {moment.slot}: twin {twin} can't be proven: {error}"
        return SlotStep(SlotAction.FAILED, moment.slot, words, (twin,), None, {"why": str(error)})


def stand_in_of(account: Account, address: Address) -> Account:
    """Return the pseudonymous account that holds where a station is alone.

    Args:
        account: the station's.
        address: of the SyncAudit.
    """
    return Account.from_key(account.derive(f"holder/{address}"))
