from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from chain.accounts import Account
from chain.audit_values import AuditPolicy, Mode, Phase, Verdict
from chain.errors import (
    SyncAuditDuplicateProof,
    SyncAuditKeyRevoked,
    SyncAuditModeNotAllowed,
    SyncAuditNotAssigned,
    SyncAuditTagsExist,
    SyncAuditUnexpectedPhase,
)
from chain.pdp.beacon import seed_of
from chain.pdp.challenge import Challenge, claim_digest, quorum_digest
from chain.pdp.proof import aggregate, prove, prove_together
from chain.pdp.sources import BytesSource
from tests.integration.chain.audit_fixtures import Asked
from tests.integration.consortium import Consortium, account
from tests.slots import Slots, content, known_key
from twins.types import Address

pytestmark = pytest.mark.integration

POLICY = AuditPolicy(14, 100, 1, 1, False, 0b111)


@pytest.fixture
def asked(consortium: Consortium) -> Asked:
    return Asked.of(Slots.of(consortium), policy=POLICY)


def prove_as(asked: Asked, holder: Address) -> None:
    """An honest proof of any account's in the lane."""
    slots = asked.slots
    proof = slots.proof(asked.slot, asked.twin, holder, asked.data, asked.tags, asked.key)
    slots.audit.prove(slots.world.outsider, asked.slot, [asked.twin], holder, proof)


def claim_as(asked: Asked, holder: Account) -> None:
    """An honest claim."""
    slots = asked.slots
    challenge = slots.challenge(asked.slot, asked.twin, holder.address)
    made = aggregate(BytesSource(asked.data), asked.tags, asked.key.public, challenge)
    claimed = prove_together([made], asked.key.public, challenge.sigma)
    signature = holder.sign_hash(claim_digest(challenge.sigma, claimed))
    slots.audit.prove_optimistic(slots.world.outsider, asked.slot, [asked.twin], holder.address, claimed, signature)


def attest_for(asked: Asked, holder: Address) -> None:
    """All stations vouch for a proof."""
    slots = asked.slots
    sigma = slots.challenge(asked.slot, asked.twin, holder).sigma
    proof = slots.proof(asked.slot, asked.twin, holder, asked.data, asked.tags, asked.key)
    chain, address = slots.world.chain, slots.audit.address
    digest = quorum_digest(chain.chain_id, address, asked.slot, asked.twin, sigma, keccak(proof))
    signers = sorted(slots.stations, key=lambda station: int(station.address, 16))
    signatures = [station.sign_hash(digest) for station in signers]
    slots.audit.attest(slots.world.outsider, asked.slot, asked.twin, holder, proof, signatures)


# -- early and late ----------------------------------------------------------------------------------------------------


def test_who_can_guess_the_seed_already_still_waits_for_proving_to_begin(asked: Asked) -> None:
    slots, slot = asked.slots, asked.slot
    slots.anchor(slot)
    slots.reveal(slot)
    values = [(station.address, slots.chains[station.address].value(slot)) for station in slots.stations]
    seed = seed_of(slots.world.chain.chain_id, slots.audit.address, slot, values)
    guessed = Challenge.of(seed, asked.tags.tau, asked.holder(), blocks=asked.tags.blocks, size=100)
    proof = prove(BytesSource(asked.data), asked.tags, asked.key.public, guessed)
    begin = slots.clock.start_of(slot, Phase.PROVING)
    with pytest.raises(SyncAuditUnexpectedPhase):
        slots.audit.challenge_of(slot, asked.twin, asked.holder())
    slots.next_at(begin - 1)
    with pytest.raises(SyncAuditUnexpectedPhase) as caught:
        slots.audit.prove(slots.world.outsider, slot, [asked.twin], asked.holder(), proof)
    assert (caught.value.slot, caught.value.current, caught.value.expected) == (slot, Phase.SEALED, Phase.PROVING)
    slots.next_at(begin)
    slots.audit.prove(slots.world.outsider, slot, [asked.twin], asked.holder(), proof)
    fact = slots.audit.fact_of(slot, asked.twin, asked.holder())
    assert fact is not None
    assert (fact.accepted_at, fact.mode) == (begin, Mode.FULL)


def test_one_second_after_proving_a_good_proof_is_refused_and_the_slot_is_failed_for_ever(asked: Asked) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    slots.next_at(slots.clock.start_of(asked.slot, Phase.CLOSED))
    with pytest.raises(SyncAuditUnexpectedPhase) as caught:
        asked.prove()
    assert caught.value.current is Phase.CLOSED
    for slot, phase in ((asked.slot, Phase.CLOSED), (asked.slot + 1, Phase.PROVING), (asked.slot + 70, Phase.OPEN)):
        slots.go_to(slot, phase)
        assert slots.audit.verdict(asked.twin, asked.holder(), asked.slot) is Verdict.FAILED


def test_the_challenge_is_still_told_after_the_slot_and_is_the_same(asked: Asked) -> None:
    asked.slots.open_proving(asked.slot)
    before = asked.challenge()
    asked.slots.go_to(asked.slot + 3, Phase.OPEN)
    assert asked.challenge() == before
    with pytest.raises(SyncAuditUnexpectedPhase) as caught:
        asked.slots.challenge(asked.slot + 4, asked.twin, asked.holder())
    assert caught.value.current is Phase.FUTURE


@pytest.mark.parametrize("first", [Mode.FULL, Mode.OPTIMISTIC, Mode.QUORUM])
def test_after_a_proof_of_any_mode_no_other_is_accepted(asked: Asked, first: Mode) -> None:
    slots, holder = asked.slots, account(40)
    slots.audit.assign(slots.stations[0], asked.twin, holder.address)
    slots.open_proving(asked.slot)
    steps = {
        Mode.FULL: lambda: prove_as(asked, holder.address),
        Mode.OPTIMISTIC: lambda: claim_as(asked, holder),
        Mode.QUORUM: lambda: attest_for(asked, holder.address),
    }
    steps[first]()
    fact = slots.audit.fact_of(asked.slot, asked.twin, holder.address)
    for step in steps.values():
        with pytest.raises(SyncAuditDuplicateProof) as caught:
            step()
        assert (caught.value.slot, caught.value.twin, caught.value.holder) == (asked.slot, asked.twin, holder.address)
    assert slots.audit.fact_of(asked.slot, asked.twin, holder.address) == fact


# -- verdicts ----------------------------------------------------------------------------------------------------------


def test_all_seven_verdicts_are_given_on_two_slots_of_one_lane(asked: Asked) -> None:
    slots, stranger = asked.slots, account(60)
    full, claiming = slots.stations[1:]
    attested, absent = account(40), account(41)
    for holder in (attested, absent):
        slots.audit.assign(slots.stations[0], asked.twin, holder.address)
    everybody = (full, claiming, attested, absent, stranger)

    def verdicts(slot: int) -> list[Verdict]:
        return [slots.audit.verdict(asked.twin, holder.address, slot) for holder in everybody]

    slots.open_proving(asked.slot)
    assert verdicts(asked.slot) == [Verdict.PENDING] * 4 + [Verdict.NOT_DUE]
    prove_as(asked, full.address)
    claim_as(asked, claiming)
    accepted = slots.world.chain.timestamp()
    attest_for(asked, attested.address)
    told = [Verdict.PROVEN, Verdict.PROVISIONAL, Verdict.ATTESTED, Verdict.PENDING, Verdict.NOT_DUE]
    assert verdicts(asked.slot) == told
    slots.go_to(asked.slot, Phase.CLOSED)
    assert verdicts(asked.slot) == [*told[:3], Verdict.FAILED, Verdict.NOT_DUE]
    slots.go(accepted + slots.clock.timing.dispute_seconds)
    assert verdicts(asked.slot) == [Verdict.PROVEN, Verdict.PROVEN, *told[2:3], Verdict.FAILED, Verdict.NOT_DUE]
    assert verdicts(asked.slot + 1) == [Verdict.PENDING] * 4 + [Verdict.NOT_DUE]
    slots.go_to(asked.slot + 1, Phase.CLOSED)
    assert verdicts(asked.slot + 1) == [Verdict.VOID] * 4 + [Verdict.NOT_DUE]
    assert verdicts(asked.slot + 2) == [Verdict.NOT_DUE] * 5


def test_of_a_lane_without_tags_nothing_is_due(asked: Asked) -> None:
    slots = asked.slots
    other = slots.stations[1]
    slots.audit.assign(other, asked.twin, account(40).address)  # this tagger has tagged nothing
    slots.open_proving(asked.slot)
    for phase in (Phase.PROVING, Phase.CLOSED):
        slots.go_to(asked.slot, phase)
        assert slots.audit.verdict(asked.twin, account(40).address, asked.slot) is Verdict.NOT_DUE


def test_no_word_of_what_is_stored_changes_when_time_passes(asked: Asked) -> None:
    slots, audit, slot = asked.slots, asked.slots.audit, asked.slot
    slots.open_proving(slot)
    asked.prove(1)
    claim_as(asked, slots.stations[2])

    def stored() -> list[object]:
        facts = [audit.fact_of(slot, asked.twin, asked.holder(index)) for index in (1, 2)]
        assert facts[1] is not None
        return [
            facts,
            audit.claim_of(facts[1].claim),
            audit.beacon_of(slot),
            [audit.anchor_of(station.address) for station in slots.stations],
            audit.policy_at(asked.twin, slot),
            audit.tags_at(asked.twin, asked.holder(0), slot),
            [audit.duty_at(asked.twin, asked.holder(index), slot) for index in (1, 2)],
            audit.holders_of(asked.twin),
            audit.key_of(asked.key.public.key_id),
            asked.challenge(1),
        ]

    before = stored()
    for later, phase in (
        (slot, Phase.CLOSED),
        (slot + 1, Phase.SEALED),
        (slot + 2, Phase.OPEN),
        (slot + 300, Phase.OPEN),
    ):
        slots.go_to(later, phase)
        assert stored() == before


# -- what changes in mid-slot ------------------------------------------------------------------------------------------


def next_slot(asked: Asked) -> Asked:
    """The same, up to the next slot's proofs."""
    following = replace(asked, slot=asked.slot + 1)
    following.slots.open_proving(following.slot)
    return following


def test_a_policy_set_in_mid_slot_changes_neither_size_nor_modes_of_it(asked: Asked) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    before = asked.challenge()
    stricter = AuditPolicy(1 << Mode.OPTIMISTIC, 2, 1, 1, False, 0b111)
    slots.audit.set_policy(slots.world.admin, asked.twin, stricter)
    assert asked.challenge() == before
    asked.prove()
    following = next_slot(asked)
    assert (before.size, following.challenge().size) == (100, 2)
    with pytest.raises(SyncAuditModeNotAllowed) as caught:
        following.prove()
    assert (caught.value.twin, caught.value.mode) == (asked.twin, Mode.FULL)


def test_a_duty_that_is_ended_in_mid_slot_lasts_until_its_end(asked: Asked) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    slots.audit.unassign(slots.stations[0], asked.twin, asked.holder(1))
    asked.prove(1)
    following = next_slot(asked)
    assert slots.audit.verdict(asked.twin, asked.holder(1), asked.slot) is Verdict.PROVEN
    assert slots.audit.verdict(asked.twin, asked.holder(1), following.slot) is Verdict.NOT_DUE
    with pytest.raises(SyncAuditNotAssigned) as caught:
        following.prove(1)
    assert (caught.value.holder, caught.value.slot) == (asked.holder(1), following.slot)


def test_a_duty_given_in_mid_slot_begins_with_the_next_and_one_ended_at_once_never(asked: Asked) -> None:
    slots, tagger = asked.slots, asked.slots.stations[0]
    late, never = account(40).address, account(41).address
    slots.open_proving(asked.slot)
    for holder in (late, never):
        slots.audit.assign(tagger, asked.twin, holder)
    slots.audit.unassign(tagger, asked.twin, never)
    with pytest.raises(SyncAuditNotAssigned):
        prove_as(asked, late)
    assert slots.audit.verdict(asked.twin, late, asked.slot) is Verdict.NOT_DUE
    following = next_slot(asked)
    assert slots.audit.verdict(asked.twin, never, following.slot) is Verdict.NOT_DUE
    prove_as(following, late)
    assert slots.audit.verdict(asked.twin, late, asked.slot) is Verdict.NOT_DUE


def test_of_several_tags_in_one_slot_the_last_are_in_force_from_the_next(asked: Asked) -> None:
    slots, tagger = asked.slots, asked.slots.stations[0].address
    slots.open_proving(asked.slot)
    slots.tag(0, asked.twin, content("another", 5000), known_key(1))
    last = slots.tag(0, asked.twin, asked.data, known_key(2))
    following = replace(next_slot(asked), tags=last, key=known_key(2))
    now, then = (slots.audit.tags_at(asked.twin, tagger, slot) for slot in (asked.slot, following.slot))
    assert now is not None
    assert then is not None
    assert (now.key_id, then.key_id) == (asked.key.public.key_id, known_key(2).public.key_id)
    following.prove()


def test_a_lane_s_newest_version_is_tagged_once_under_a_key_also_in_later_slots(asked: Asked) -> None:
    asked.slots.go_to(asked.slot + 2, Phase.CLOSED)
    with pytest.raises(SyncAuditTagsExist) as caught:
        asked.slots.tag(0, asked.twin, content("another", 5000), asked.key)
    assert (caught.value.version, caught.value.key_id) == (0, asked.key.public.key_id)


def test_a_key_revoked_in_mid_slot_fails_its_holders_until_the_version_is_tagged_anew(asked: Asked) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    asked.prove(1)
    slots.audit.revoke_key(slots.stations[0], asked.key.public.key_id)
    with pytest.raises(SyncAuditKeyRevoked) as caught:
        asked.prove(2)
    assert caught.value.key_id == asked.key.public.key_id
    tags = slots.tag(0, asked.twin, asked.data, known_key(1))
    slots.go_to(asked.slot, Phase.CLOSED)
    verdicts = [slots.audit.verdict(asked.twin, asked.holder(index), asked.slot) for index in (1, 2)]
    assert verdicts == [Verdict.PROVEN, Verdict.FAILED]
    assert not slots.audit.is_fresh(asked.twin, 10_000)
    following = replace(next_slot(asked), tags=tags, key=known_key(1))
    following.prove(2)
    assert slots.audit.is_fresh(asked.twin, 10_000)
