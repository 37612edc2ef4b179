"""What the SyncAudit knows: verdicts, freshness, facts and history. Reads only; `chain.sync_audit` has the writes.

Reads take a block: a number, None for the newest, or ``pending`` for what would be mined now: phases and verdicts
depend on time.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.audit_values import (
    AuditPolicy,
    Beacon,
    Duty,
    Fact,
    KeyRecord,
    Mode,
    Phase,
    TagSet,
    TimeState,
    Timing,
    Verdict,
)
from chain.connection import Block
from chain.contract import Contract
from chain.encoding import interface
from chain.errors import RecordError
from chain.events import AUDIT_EVENTS, Event, decode_events, event_abi, topic_filter
from chain.pdp.challenge import Challenge
from chain.pdp.keys import PublicKey
from twins.types import Address, Digest, TwinId, digest_bytes


class AuditFacts(Contract):
    """The audit at one address, as far as reading goes."""

    interface = interface("SyncAudit")

    @property
    def now_block(self) -> Block:
        """The block on whose state what depends on time is asked: a development node mines none while nobody sends."""
        return None if self.chain.confirmations else "pending"

    # -- what follows ----------------------------------------------------------------------------------------

    def verdict(self, twin: TwinId, holder: Address, slot: int, block: Block = None) -> Verdict:
        """Return what follows for a holder in a slot."""
        (verdict,) = self._read("verdict", twin, holder, slot, block=block)
        return Verdict(verdict)

    def is_fresh(self, twin: TwinId, max_age: int, block: Block = None) -> bool:
        """Tell whether the twin's present model was proven at most ``max_age`` seconds ago."""
        return bool(self._read("isFresh", twin, max_age, block=block)[0])

    def is_fresh_version(self, twin: TwinId, manifest: Digest, max_age: int, block: Block = None) -> bool:
        """As `is_fresh`, for the model that the caller really uses."""
        return bool(self._read("isFreshVersion", twin, manifest, max_age, block=block)[0])

    def time_state(self, twin: TwinId, block: Block = None) -> TimeState:
        """Return the newest slot in which the present model was proven by anybody."""
        ((manifest, version, *rest),) = self._read("timeState", twin, block=block)
        return TimeState(manifest, version, *rest)

    def challenge_of(self, slot: int, twin: TwinId, holder: Address, block: Block = None) -> tuple[Challenge, Digest]:
        """Return what a holder is asked in a slot, and under which key.

        Raises:
            SyncAuditUnexpectedPhase, SyncAuditNoBeacon, SyncAuditNotAssigned, SyncAuditNoTags.
        """
        (tau, sigma, blocks, size), key_id = self._read("challengeOf", slot, twin, holder, block=block)
        return Challenge(digest_bytes(tau), digest_bytes(sigma), blocks, size), key_id

    # -- facts -----------------------------------------------------------------------------------------------

    def genesis_time(self) -> int:
        """Return when slot 0 began, Unix seconds."""
        return int(self._read("genesisTime")[0])

    def timing(self) -> Timing:
        """Return the lengths of the phases."""
        (fields,) = self._read("timing")
        return Timing(*fields)

    def current_slot(self, block: Block = None) -> tuple[int, Phase]:
        """Return the slot of a block, and how far it is."""
        slot, phase = self._read("currentSlot", block=block)
        return int(slot), Phase(phase)

    def registry_address(self) -> Address:
        """Return the registry that this audit believes."""
        return Address(self._read("registry")[0])

    def ledger_address(self) -> Address:
        """Return the ledger that this audit believes."""
        return Address(self._read("ledger")[0])

    def verifier_address(self) -> Address:
        """Return the verifier that this audit believes."""
        return Address(self._read("verifier")[0])

    def key_of(self, key_id: Digest, block: Block = None) -> KeyRecord:
        """Return what is known of a key."""
        (fields,) = self._read("keyOf", key_id, block=block)
        return KeyRecord(*fields)

    def public_key(self, key_id: Digest, block: Block = None) -> PublicKey:
        """Return a key itself, out of the code of its data contract.

        Raises:
            RecordError: it isn't registered, or the code there is no key of this name.
        """
        record = self.key_of(key_id, block)
        code = self.chain.code(record.data, block)
        key = None
        # 0x00, modulus, generator, owner
        if len(code) == 1 + 256 + 256 + 20:
            key = PublicKey(record.exponent_bits, int.from_bytes(code[1:257], "big"))
        if key is None or key.key_id != key_id:
            raise RecordError(f"key {key_id}: expected it registered, got {len(code)} bytes of code at {record.data}")
        return key

    def policy_at(self, twin: TwinId, slot: int, block: Block = None) -> AuditPolicy | None:
        """Return a twin's policy in a slot; None if it had none."""
        (fields,) = self._read("policyAt", twin, slot, block=block)
        policy = AuditPolicy(*fields)
        return policy if policy.modes else None

    def tags_at(self, twin: TwinId, tagger: Address, slot: int, block: Block = None) -> TagSet | None:
        """Return the tags of a lane that are in force in a slot; None if there are none."""
        (fields,) = self._read("tagsAt", twin, tagger, slot, block=block)
        tags = TagSet(*fields)
        return tags if tags.blocks else None

    def holders_of(self, twin: TwinId, block: Block = None) -> tuple[Address, ...]:
        """Return the accounts with a duty that nobody has ended."""
        (holders,) = self._read("holdersOf", twin, block=block)
        return tuple(holders)

    def duty_at(self, twin: TwinId, holder: Address, slot: int, block: Block = None) -> Duty | None:
        """Return a holder's duty in a slot; None if it has none."""
        (fields,) = self._read("dutyAt", twin, holder, slot, block=block)
        duty = Duty(*fields)
        return duty if duty.until else None

    def beacon_of(self, slot: int, block: Block = None) -> Beacon:
        """Return how a slot's seed came about."""
        (fields,) = self._read("beaconOf", slot, block=block)
        return Beacon(*fields)

    def anchor_of(self, station: Address, block: Block = None) -> tuple[bytes, int]:
        """Return the newest value that a station published (zero: none), and the first slot whose value isn't known."""
        anchor, following = self._read("anchorOf", station, block=block)
        return digest_bytes(anchor), int(following)

    def fact_of(self, slot: int, twin: TwinId, holder: Address, block: Block = None) -> Fact | None:
        """Return a holder's accepted proof of a slot; None if there is none."""
        ((accepted_at, mode, claim),) = self._read("factOf", slot, twin, holder, block=block)
        return Fact(accepted_at, Mode(mode), claim) if mode else None

    def claim_of(self, claim: bytes, block: Block = None) -> tuple[bytes, bool]:
        """Return what is kept of a claim: 30 bytes of the product's hash, and whether it was struck."""
        product, struck = self._read("claimOf", claim, block=block)
        return bytes(product), bool(struck)

    def events(
        self,
        from_block: int,
        to_block: int | None = None,
        kinds: Sequence[type[Event]] | None = None,
        *,
        twin: TwinId | None = None,
    ) -> list[Event]:
        """Return what happened, in the order of the chain.

        Args:
            from_block: first block, e.g. the deployment's.
            to_block: last block, inclusive; the newest if None.
            kinds: only these; all of `AUDIT_EVENTS` if None.
            twin: only of this twin. Events that are of none are left out then.
        """
        found: list[Event] = []
        wanted = list(AUDIT_EVENTS if kinds is None else kinds)
        # A twin stands at another place in the events of a slot than in those of its own.
        places = {kind: _twin_place(kind) for kind in wanted}
        for place in sorted(set(places.values()), key=lambda p: -1 if p is None else p):
            some = [kind for kind in wanted if places[kind] == place]
            if twin is not None and place is None:
                continue
            topics: list[object] = [topic_filter(some)]
            if twin is not None and place is not None:
                topics += [*[None] * place, twin]
            found += decode_events(self.chain.logs(self.address, topics, from_block, to_block), some)
        return sorted(found, key=lambda event: (event.block, event.log_index))


def _twin_place(kind: type[Event]) -> int | None:
    abi = event_abi(kind)
    topics = [name for name, indexed in zip(abi.names, abi.indexed, strict=True) if indexed]
    return topics.index("twin") if "twin" in topics else None
