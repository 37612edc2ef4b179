"""The possession history of a twin, judged again from the chain's events alone.

Seeds are recomputed from the reveals, challenges from the seeds, proofs are verified from the bytes that were sent, and
what follows is held against the contract's own verdicts. What the contract accepted and this doesn't is a finding.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from eth_utils.crypto import keccak

from chain.audit_values import AuditPolicy, Mode, Verdict
from chain.checks import Finding
from chain.clock import SlotClock
from chain.errors import EncodingError, PDPClaim, PDPError, RecordError
from chain.events import (
    ClaimStruck,
    HolderAssigned,
    HolderUnassigned,
    PolicySet,
    ProofAccepted,
    Revealed,
    TagsRegistered,
)
from chain.pdp.beacon import seed_of
from chain.pdp.challenge import Challenge, batch_transcript
from chain.pdp.keys import PublicKey
from chain.pdp.verification import check_claim, verify
from chain.possession_report import PossessionAudit as PossessionAudit
from chain.possession_report import SlotVerdict as SlotVerdict
from chain.receipts import hex_bytes
from chain.sync_audit import SyncAudit
from twins.types import Address, Digest, TwinId, digest_bytes

COMPARED = 200
"""How many of the newest verdicts are held against the contract's: each costs a call."""

_T = TypeVar("_T")

_FULL = {"prove", "proveBatch"}
_CLAIMS = {"proveOptimistic", "proveBatchOptimistic"}


def audit_possession(
    audit: SyncAudit,
    twin: TwinId,
    since: int,
    stations: Sequence[Address],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PossessionAudit:
    """Judge a twin's whole possession history.

    Args:
        audit: of the consortium.
        twin: whose.
        since: block of the deployment.
        stations: by index.
        progress: told (proofs verified, proofs in all).

    Raises:
        ChainError: the chain can't be read.
    """
    return _History(audit, twin, since, tuple(stations)).judge(progress)


class _History:
    def __init__(self, audit: SyncAudit, twin: TwinId, since: int, stations: tuple[Address, ...]) -> None:
        self.audit, self.twin, self.since, self.stations = audit, twin, since, stations
        self.clock = SlotClock(audit)
        self.moment = self.clock.read()
        self.findings: list[Finding] = []
        self.assigned: dict[Address, list[tuple[int, int, Address]]] = {}
        self.lanes: dict[Address, tuple[list[int], list[TagsRegistered]]] = {}
        self.policies: tuple[list[int], list[AuditPolicy]] = ([], [])
        self.proofs: dict[tuple[int, Address], ProofAccepted] = {}
        self.reveals: dict[int, list[tuple[Address, bytes]]] = defaultdict(list)
        self.struck: set[bytes] = set()
        self.keys: dict[Digest, PublicKey] = {}
        self.others: dict[TwinId, _History] = {}
        self._read()

    # -- reading ---------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for event in self.audit.events(self.since, kinds=(Revealed, ClaimStruck)):
            if isinstance(event, Revealed):
                self.reveals[event.slot].append((event.station, digest_bytes(event.value)))
            elif isinstance(event, ClaimStruck):
                self.struck.add(bytes(event.claim))
        kinds = (HolderAssigned, HolderUnassigned, PolicySet, TagsRegistered, ProofAccepted)
        for event in self.audit.events(self.since, kinds=kinds, twin=self.twin):
            if isinstance(event, HolderAssigned):
                self.assigned.setdefault(event.holder, []).append((event.since, 2**32, event.tagger))
            elif isinstance(event, HolderUnassigned):
                since, _, tagger = self.assigned[event.holder].pop()
                self.assigned[event.holder].append((since, event.until, tagger))
            elif isinstance(event, PolicySet):
                _put(self.policies, event.active_from, event.policy)
            elif isinstance(event, TagsRegistered):
                slot, _, _ = self.clock.at(self.audit.chain.timestamp(event.block))
                _put(self.lanes.setdefault(event.tagger, ([], [])), slot + 1, event)
            elif isinstance(event, ProofAccepted):
                self.proofs[event.slot, event.holder] = event

    def _duty(self, holder: Address, slot: int) -> Address | None:
        for since, until, tagger in self.assigned.get(holder, ()):
            if since <= slot < until:
                return tagger
        return None

    def _tags(self, tagger: Address, slot: int) -> TagsRegistered | None:
        return _at(self.lanes.get(tagger, ([], [])), slot)

    # -- judging ---------------------------------------------------------------------------------------------

    def judge(self, progress: Callable[[int, int], None]) -> PossessionAudit:
        rows = list(self._rows())
        seen: set[str] = set()
        verified = 0
        for done, proof in enumerate(self.proofs.values(), start=1):
            if proof.transaction not in seen:
                seen.add(proof.transaction)
                verified += self._verify(proof)
            progress(done, len(self.proofs))
        for row in rows[-COMPARED:]:
            told = self.audit.verdict(self.twin, row.holder, row.slot, self.audit.now_block)
            # Time goes on between the two: what was pending, or could be disputed, may be over.
            if told is not row.verdict and row.verdict not in (Verdict.PENDING, Verdict.PROVISIONAL):
                where = f"slot {row.slot}, holder {row.holder}"
                self.findings.append(Finding("possession-verdict", where, str(row.verdict), f"{told} by the contract"))
        return PossessionAudit(
            self.twin, self.moment.slot, tuple(rows), self._withheld(rows), verified, tuple(self.findings)
        )

    def _rows(self) -> Iterator[SlotVerdict]:
        starts = [since for duties in self.assigned.values() for since, _, _ in duties]
        for slot in range(min(starts, default=0), self.moment.slot + 1):
            for holder in sorted(self.assigned):
                tagger = self._duty(holder, slot)
                tags = None if tagger is None else self._tags(tagger, slot)
                if tagger is not None and tags is not None:
                    verdict, why = self._verdict(slot, holder)
                    yield SlotVerdict(slot, holder, tagger, tags.version, verdict, why)

    def _verdict(self, slot: int, holder: Address) -> tuple[Verdict, str]:
        proof = self.proofs.get((slot, holder))
        if proof is not None and proof.mode is Mode.OPTIMISTIC:
            accepted = self.audit.chain.timestamp(proof.block)
            fact = self.audit.fact_of(slot, self.twin, holder)
            if fact is not None and bytes(fact.claim) in self.struck:
                return Verdict.FAILED, "its claim was false"
            if self.moment.time < accepted + self.clock.timing.dispute_seconds:
                return Verdict.PROVISIONAL, "its claim can still be disputed"
        if proof is not None:
            return (Verdict.ATTESTED if proof.mode is Mode.QUORUM else Verdict.PROVEN), ""
        phases = self.clock.timing
        ends = self.clock.start_of(slot) + phases.slot_seconds - phases.closed_seconds
        if self.moment.time < ends:
            return Verdict.PENDING, ""
        beacon = self.audit.beacon_of(slot)
        count = len(self.reveals.get(slot, ()))
        if count < beacon.required:
            return Verdict.VOID, f"no seed: {count} of {beacon.required} reveals"
        first = not any(s < slot and h == holder for s, h in self.proofs)
        return Verdict.FAILED, "no proof" + (" (holder or tagger at fault: it has never proven yet)" if first else "")

    def _withheld(self, rows: Sequence[SlotVerdict]) -> dict[int, tuple[Address, ...]]:
        found = {}
        for slot in sorted({row.slot for row in rows if row.slot < self.moment.slot}):
            revealed = {station for station, _ in self.reveals.get(slot, ())}
            if len(revealed) < len(self.stations):
                beacon = self.audit.beacon_of(slot)
                missing = tuple(s for i, s in enumerate(self.stations) if beacon.withheld >> i & 1)
                if missing:
                    found[slot] = missing
        return found

    # -- proofs ----------------------------------------------------------------------------------------------

    def _verify(self, proof: ProofAccepted) -> bool:
        """Verify one proof from the bytes that were sent; False where they aren't to be had."""
        if proof.mode is Mode.QUORUM:
            return False  # its bytes never were on the chain: that is what the verdict says
        where = f"slot {proof.slot}, holder {proof.holder}, transaction {proof.transaction}"
        try:
            sent = self._sent(proof)
            if sent is None:
                return False
            twins, data = sent
            challenges = [self._challenge(twin, proof) for twin in twins]
            transcript = challenges[0].sigma if len(challenges) == 1 else batch_transcript(challenges)
            check = verify if proof.mode is Mode.FULL else check_claim
            check(self._key(twins[0], proof), challenges, transcript, data)
        except PDPClaim:
            if self._verdict(proof.slot, proof.holder)[0] is not Verdict.FAILED:
                self.findings.append(Finding("possession-claim", where, "a product that is right", "a false one"))
        except (PDPError, RecordError) as error:
            self.findings.append(Finding("possession-proof", where, "a proof that holds", str(error)))
        return True

    def _sent(self, proof: ProofAccepted) -> tuple[tuple[TwinId, ...], bytes] | None:
        """Read a proof out of its transaction; None where another contract passed it on, or where it can't be read.

        Anybody may deliver a proof, in an encoding of its own that the contract takes: that must not end an audit. Only
        a call of the audit itself counts, and only the bytes whose hash it announced: another contract's calldata
        may show one proof while it hands in another.
        """
        found = self.audit.chain.rpc("eth_getTransactionByHash", (proof.transaction,))
        if not found or str(found["to"]).lower() != self.audit.address.lower():
            return None
        data = hex_bytes(found["input"])
        for name in _FULL | _CLAIMS:
            function = self.audit.interface.functions[name]
            if data[:4] == function.selector:
                try:
                    _, twins, _, sent, *_ = function.inputs.decode(data[4:], name, strict=False)
                except EncodingError:
                    return None
                if "0x" + keccak(sent).hex() != proof.proof:
                    raise RecordError(f"expected bytes with the hash {proof.proof}, got others in the calldata")
                return (twins if isinstance(twins, tuple) else (twins,)), sent
        raise RecordError("expected a proof in the calldata of a call of the audit, got another call")

    def _challenge(self, twin: TwinId, proof: ProofAccepted) -> Challenge:
        history = self._of(twin)
        tags, policy = history._asked(proof), _at(history.policies, proof.slot)
        if tags is None or policy is None:
            raise RecordError(f"twin {twin}: expected tags and a policy in slot {proof.slot}, got none")
        chain_id, contract = self.audit.chain.chain_id, self.audit.address
        seed = seed_of(chain_id, contract, proof.slot, self.reveals.get(proof.slot, ()))
        blocks = -(-tags.length // self._key_of(tags.key_id).block)
        return Challenge.of(seed, digest_bytes(tags.tau), proof.holder, blocks=blocks, size=policy.size)

    def _key(self, twin: TwinId, proof: ProofAccepted) -> PublicKey:
        tags = self._of(twin)._asked(proof)
        if tags is None:
            raise RecordError(f"twin {twin}: expected tags in slot {proof.slot}, got none")
        return self._key_of(tags.key_id)

    def _asked(self, proof: ProofAccepted) -> TagsRegistered | None:
        tagger = self._duty(proof.holder, proof.slot)
        return None if tagger is None else self._tags(tagger, proof.slot)

    def _of(self, twin: TwinId) -> _History:
        """Return the history of another twin of a batch."""
        if twin == self.twin:
            return self
        if twin not in self.others:
            self.others[twin] = _History(self.audit, twin, self.since, self.stations)
        return self.others[twin]

    def _key_of(self, key_id: Digest) -> PublicKey:
        if key_id not in self.keys:
            self.keys[key_id] = self.audit.public_key(key_id)
        return self.keys[key_id]


def _put(series: tuple[list[int], list[_T]], slot: int, value: _T) -> None:
    """Add what is in force from a slot on; of several in one slot the last."""
    slots, values = series
    if slots and slots[-1] == slot:
        values[-1] = value
        return
    slots.append(slot)
    values.append(value)


def _at(series: tuple[list[int], list[_T]], slot: int) -> _T | None:
    slots, values = series
    place = bisect_right(slots, slot)
    return values[place - 1] if place else None
