from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from chain.audit_values import AuditPolicy, Mode, Phase, Verdict
from chain.errors import (
    PDPBadKey,
    SyncAuditAlreadyAssigned,
    SyncAuditBadLength,
    SyncAuditBadPolicy,
    SyncAuditKeyExists,
    SyncAuditKeyRevoked,
    SyncAuditNoModel,
    SyncAuditNoPolicy,
    SyncAuditNoQuorum,
    SyncAuditNotAssigned,
    SyncAuditNotElector,
    SyncAuditNotKeyOwner,
    SyncAuditNotTagger,
    SyncAuditNotTwinOwner,
    SyncAuditOwnHolder,
    SyncAuditTagsExist,
    SyncAuditTooManyHolders,
    SyncAuditUnknownKey,
    SyncAuditUnsortedSigners,
    SyncAuditZeroValue,
    TwinRegistrySuspended,
    TwinRegistryUnknownStation,
)
from chain.pdp.challenge import quorum_digest
from chain.pdp.sources import BytesSource, inclusion_proof, merkle_root, read_block, verify_inclusion
from tests.integration.chain.audit_fixtures import Asked, trapdoor_proof
from tests.integration.consortium import POLICY, Consortium, account, digest
from tests.slots import Slots, content, known_key
from twins.types import ZERO_DIGEST, Address, twin_id

pytestmark = pytest.mark.integration

TWO = AuditPolicy(1 << Mode.FULL, 100, 2, 2, False, 0b111)


@pytest.fixture
def slots(consortium: Consortium) -> Slots:
    return Slots.of(consortium)


# -- keys and tags -----------------------------------------------------------------------------------------------------


def test_a_key_is_read_back_as_it_was_registered(slots: Slots) -> None:
    for bits in (44_497, 132_049, 756_839):
        key = known_key(0, bits).public
        slots.audit.register_key(slots.stations[0], key)
        assert slots.audit.public_key(key.key_id) == key
        assert slots.audit.key_of(key.key_id).owner == slots.stations[0].address
        with pytest.raises(SyncAuditKeyExists):
            slots.audit.register_key(slots.stations[1], key)


@pytest.mark.parametrize(
    ("what", "modulus", "bits"),
    [
        ("an exponent that is not in the table", known_key(0).public.modulus, 65_537),
        ("an even modulus", known_key(0).public.modulus - 1, 44_497),
        ("a modulus with a clear top bit", known_key(0).public.modulus >> 1 | 1, 44_497),
    ],
)
def test_keys_that_nothing_can_rest_on_are_refused(slots: Slots, what: str, modulus: int, bits: int) -> None:
    with pytest.raises(PDPBadKey):
        slots.audit._transact(slots.stations[0], "registerKey", modulus.to_bytes(256, "big"), bits)


def test_who_may_tag_what(slots: Slots) -> None:
    audit, world = slots.audit, slots.world
    one, two, _ = slots.stations
    twin = slots.twin("watch", AuditPolicy(2, 100, 1, 1, False, 0b011))
    key = known_key(0).public
    audit.register_key(one, key)
    root = bytes(31) + b"\1"

    def register(**changes: object) -> None:
        values = {"account": one, "twin": twin, "key_id": key.key_id, "root": root, "length": 9000, "tags": digest("t")}
        audit.register_tags(**(values | changes))  # type: ignore[arg-type]

    world.registry.register_twin(world.admin, twin_id("bare"), digest("m"), POLICY)
    audit.set_policy(world.admin, twin_id("bare"), AuditPolicy.of(0b111))
    for error, changes in (
        (TwinRegistryUnknownStation, {"account": world.outsider}),
        (SyncAuditNotTagger, {"account": slots.stations[2]}),
        (SyncAuditNotKeyOwner, {"account": two}),
        (SyncAuditUnknownKey, {"key_id": digest("no key")}),
        (SyncAuditNoPolicy, {"twin": world.new_twin("unasked")}),
        (SyncAuditNoModel, {"twin": twin_id("bare")}),
        (SyncAuditBadLength, {"length": 0}),
        (SyncAuditBadLength, {"length": 2**32 * 4096}),
        (SyncAuditZeroValue, {"root": bytes(32)}),
        (SyncAuditZeroValue, {"tags": ZERO_DIGEST}),
    ):
        with pytest.raises(error):
            register(**changes)
    register()
    with pytest.raises(SyncAuditTagsExist):
        register()
    audit.revoke_key(one, key.key_id)
    with pytest.raises(SyncAuditKeyRevoked):
        register()
    world.registry.suspend_station(world.admin, one.address, digest("why"))
    with pytest.raises(TwinRegistrySuspended):
        register()


def test_who_may_revoke_a_key(slots: Slots) -> None:
    audit, key = slots.audit, known_key(0).public
    audit.register_key(slots.stations[0], key)
    with pytest.raises(SyncAuditNotKeyOwner):
        audit.revoke_key(slots.stations[1], key.key_id)
    with pytest.raises(SyncAuditUnknownKey):
        audit.revoke_key(slots.stations[0], digest("no key"))
    audit.revoke_key(slots.world.admin, key.key_id)
    with pytest.raises(SyncAuditKeyRevoked):
        audit.revoke_key(slots.stations[0], key.key_id)


# -- policies and duties -----------------------------------------------------------------------------------------------


def test_a_policy_is_the_owner_s_and_makes_sense(slots: Slots) -> None:
    twin = slots.world.new_twin("watch")
    good = AuditPolicy(2, 100, 1, 1, False, 0b111)
    with pytest.raises(SyncAuditNotTwinOwner):
        slots.audit.set_policy(slots.stations[0], twin, good)
    for change in (
        {"modes": 0},
        {"modes": 1},
        {"modes": 16},
        {"size": 0},
        {"size": 1025},
        {"min_holders": 0},
        {"min_taggers": 0},
        {"taggers": 0},
        {"taggers": 0b1, "min_taggers": 2},
    ):
        with pytest.raises(SyncAuditBadPolicy):
            slots.audit.set_policy(slots.world.admin, twin, replace(good, **change))


def test_policies_and_duties_are_in_force_from_the_next_slot_on(slots: Slots) -> None:
    twin = slots.twin("watch", TWO)
    assert slots.audit.policy_at(twin, slots.slot) is None
    assert slots.audit.policy_at(twin, slots.slot + 1) == TWO
    changed = replace(TWO, size=200)
    slots.audit.set_policy(slots.world.admin, twin, changed)  # in the same slot: the first was never in force
    assert slots.audit.policy_at(twin, slots.slot + 1) == changed
    one, two, _ = slots.stations
    slots.audit.assign(one, twin, two.address)
    assert slots.audit.duty_at(twin, two.address, slots.slot) is None
    duty = slots.audit.duty_at(twin, two.address, slots.slot + 1)
    assert duty is not None
    assert duty.tagger == one.address
    slots.go_to(5, Phase.OPEN)
    slots.audit.unassign(one, twin, two.address)
    assert slots.audit.duty_at(twin, two.address, 5) == replace(duty, until=6)
    assert slots.audit.duty_at(twin, two.address, 6) is None
    assert slots.audit.holders_of(twin) == ()
    with pytest.raises(SyncAuditNotAssigned):
        slots.audit.unassign(one, twin, two.address)
    slots.audit.assign(slots.stations[2], twin, two.address)  # another lane
    again = slots.audit.duty_at(twin, two.address, 6)
    assert again is not None
    assert again.tagger == slots.stations[2].address


def test_a_tagger_is_not_its_own_holder_and_a_holder_has_one_tagger(slots: Slots) -> None:
    twin = slots.twin("watch", TWO)
    one, two, three = slots.stations
    with pytest.raises(SyncAuditOwnHolder):
        slots.audit.assign(one, twin, one.address)
    with pytest.raises(SyncAuditZeroValue):
        slots.audit.assign(one, twin, Address("0x" + "00" * 20))
    slots.audit.assign(one, twin, two.address)
    for tagger in (one, three):
        with pytest.raises(SyncAuditAlreadyAssigned):
            slots.audit.assign(tagger, twin, two.address)
    with pytest.raises(SyncAuditNotAssigned):
        slots.audit.unassign(three, twin, two.address)


def test_one_tagger_cannot_take_all_places_of_a_twin(slots: Slots) -> None:
    twin = slots.twin("watch", TWO)
    one, two, _ = slots.stations
    for index in range(32):
        slots.audit.assign(one, twin, account(10 + index).address)
    with pytest.raises(SyncAuditTooManyHolders):
        slots.audit.assign(one, twin, two.address)
    slots.audit.assign(two, twin, slots.stations[2].address)
    slots.audit.unassign(one, twin, account(10).address)
    slots.audit.assign(one, twin, two.address)


# -- freshness ---------------------------------------------------------------------------------------------------------


def two_lanes(slots: Slots, policy: AuditPolicy = TWO) -> tuple[Asked, Asked]:
    """Station 1 holds in the lane of station 0, station 0 in that of station 1; up to the first slot's proofs."""
    twin, data = slots.twin("watch", policy), content("watch", 9000)
    lanes = []
    for tagger, holder in ((0, 1), (1, 0)):
        tags = slots.tag(tagger, twin, data, known_key(tagger))
        slots.audit.assign(slots.stations[tagger], twin, slots.stations[holder].address)
        lanes.append(Asked(slots, twin, data, known_key(tagger), tags, slots.slot + 1))
    slots.open_proving(lanes[0].slot)
    return lanes[0], lanes[1]


def test_a_twin_is_fresh_when_enough_holders_have_proven_in_enough_lanes_of_one_slot(slots: Slots) -> None:
    first, second = two_lanes(slots)
    audit, twin = slots.audit, first.twin
    first.prove(1)
    assert not audit.is_fresh(twin, 10_000)
    second.prove(0)
    assert audit.is_fresh(twin, 10_000)
    state = audit.time_state(twin)
    sealed_at = slots.clock.start_of(first.slot, Phase.SEALED)
    assert (state.proven, state.slot, state.holders, state.taggers) == (True, first.slot, 2, 2)
    assert state.sealed_at == sealed_at
    head = slots.world.ledger.head(twin)
    assert audit.is_fresh_version(twin, head.model, 10_000)
    assert not audit.is_fresh_version(twin, digest("another"), 10_000)
    slots.go(sealed_at + 1000)
    assert audit.is_fresh(twin, 1000)
    assert not audit.is_fresh(twin, 999)


def test_proofs_of_two_slots_do_not_add_up(slots: Slots) -> None:
    first, second = two_lanes(slots)
    first.prove(1)
    slots.reveal(first.slot + 1)
    slots.go_to(first.slot + 1, Phase.PROVING)
    second.prove(0, first.slot + 1)
    assert not slots.audit.is_fresh(first.twin, 10_000)


def test_a_tagger_forges_in_its_own_lane_and_the_twin_is_not_fresh_all_the_same(slots: Slots) -> None:
    first, second = two_lanes(slots)
    challenge = first.challenge(1)
    forged = trapdoor_proof(first.key, challenge)
    slots.audit.prove(slots.world.outsider, first.slot, [first.twin], first.holder(1), forged)
    assert slots.audit.verdict(first.twin, first.holder(1), first.slot) is Verdict.PROVEN
    assert not slots.audit.is_fresh(first.twin, 10_000)
    # And who asks for some blocks with their inclusion proofs finds out: without the data there are none.
    source, root = BytesSource(first.data), merkle_root(BytesSource(first.data), 4096)
    for index in challenge.witnesses(8):
        path = inclusion_proof(source, 4096, index)
        assert verify_inclusion(root, read_block(source, index, 4096), index, 3, path)
        assert not verify_inclusion(root, bytes(4096), index, 3, path)
    second.prove(0)
    assert slots.audit.is_fresh(first.twin, 10_000)


@pytest.mark.parametrize("what", ["key", "tagger", "policy", "head"])
def test_what_a_lane_vouched_for_counts_no_more_when(slots: Slots, what: str) -> None:
    first, second = two_lanes(slots)
    first.prove(1)
    second.prove(0)
    assert slots.audit.is_fresh(first.twin, 10_000)
    world = slots.world
    if what == "key":
        slots.audit.revoke_key(slots.stations[0], first.key.public.key_id)
    elif what == "tagger":
        world.registry.suspend_station(world.admin, slots.stations[0].address, digest("why"))
    elif what == "policy":
        slots.audit.set_policy(world.admin, first.twin, replace(TWO, taggers=0b110))
    else:
        world.finish(first.twin)
    assert not slots.audit.is_fresh(first.twin, 10_000)
    assert slots.audit.verdict(first.twin, first.holder(1), first.slot) is Verdict.PROVEN  # the past stays readable


def test_after_too_many_slots_without_proof_nothing_is_looked_at_any_more(slots: Slots) -> None:
    first, second = two_lanes(slots)
    first.prove(1)
    second.prove(0)
    slots.go_to(first.slot + 63, Phase.OPEN)
    assert slots.audit.is_fresh(first.twin, 100_000)
    slots.go_to(first.slot + 64, Phase.OPEN)
    assert not slots.audit.is_fresh(first.twin, 100_000)


# -- quorum ------------------------------------------------------------------------------------------------------------


def signatures(asked: Asked, proof_hash: bytes, *indices: int, slot: int | None = None) -> list[bytes]:
    chain, audit = asked.slots.world.chain, asked.slots.audit
    at = asked.slot if slot is None else slot
    digest_ = quorum_digest(chain.chain_id, audit.address, at, asked.twin, asked.challenge().sigma, proof_hash)
    signers = sorted((asked.slots.stations[i] for i in indices), key=lambda s: int(s.address, 16))
    return [signer.sign_hash(digest_) for signer in signers]


@pytest.fixture
def four(consortium: Consortium) -> Asked:
    """Four stations, of which three have to vouch for the holder."""
    consortium.registry.register_station(consortium.admin, account(4).address)
    world = replace(consortium, stations=(*consortium.stations, account(4)))
    slots = Slots.of(world)
    asked = Asked.of(slots, policy=AuditPolicy(1 << Mode.QUORUM, 100, 1, 1, True, 0b1111))
    slots.open_proving(asked.slot)
    return asked


def test_stations_vouch_for_a_proof_that_they_have_seen(four: Asked) -> None:
    audit, payer, proof = four.slots.audit, four.slots.world.outsider, four.proof()
    hashed = keccak(proof)
    good = signatures(four, hashed, 0, 2, 3)
    s = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - int.from_bytes(good[0][32:64], "big")
    high = good[0][:32] + s.to_bytes(32, "big") + bytes([55 - good[0][64]])
    for error, wrong in (
        (SyncAuditNoQuorum, good[:2]),
        (SyncAuditNoQuorum, []),
        (SyncAuditUnsortedSigners, [good[0], good[0], good[1]]),
        (SyncAuditUnsortedSigners, [good[1], good[0], good[2]]),
        (SyncAuditNotElector, [high, *good[1:]]),
        (SyncAuditNotElector, [good[0][:64] + b"\0", *good[1:]]),
        (SyncAuditNotElector, signatures(four, hashed, 0, 1, 2)),  # the holder's own
        (SyncAuditNotElector, signatures(four, hashed, 0, 2, 3, slot=four.slot + 1)),
    ):
        with pytest.raises((error, TwinRegistryUnknownStation, SyncAuditUnsortedSigners)):
            audit.attest(payer, four.slot, four.twin, four.holder(), proof, wrong)
    chain, sigma = four.slots.world.chain, four.challenge().sigma
    digest_ = quorum_digest(chain.chain_id, audit.address, four.slot, four.twin, sigma, hashed)
    outsiders = sorted((four.slots.world.outsider, account(30), account(31)), key=lambda a: int(a.address, 16))
    made = [outsider.sign_hash(digest_) for outsider in outsiders]
    with pytest.raises(TwinRegistryUnknownStation):
        audit.attest(payer, four.slot, four.twin, four.holder(), proof, made)
    audit.attest(payer, four.slot, four.twin, four.holder(), proof, good)
    assert audit.verdict(four.twin, four.holder(), four.slot) is Verdict.ATTESTED
    assert audit.is_fresh(four.twin, 10_000)


def test_stations_word_makes_nothing_fresh_unless_the_policy_says_so(four: Asked) -> None:
    slots, proof = four.slots, four.proof()
    slots.audit.attest(
        slots.world.outsider, four.slot, four.twin, four.holder(), proof, signatures(four, keccak(proof), 0, 2, 3)
    )
    slots.audit.set_policy(slots.world.admin, four.twin, AuditPolicy(1 << Mode.QUORUM, 100, 1, 1, False, 0b1111))
    assert slots.audit.is_fresh(four.twin, 10_000)  # that slot's policy said so
    slots.reveal(four.slot + 1)
    slots.go_to(four.slot + 1, Phase.PROVING)
    later = replace(four, slot=four.slot + 1)
    proof = later.proof()
    made = signatures(later, keccak(proof), 0, 2, 3)
    slots.audit.attest(slots.world.outsider, later.slot, four.twin, four.holder(), proof, made)
    assert slots.audit.verdict(four.twin, four.holder(), later.slot) is Verdict.ATTESTED
    assert not slots.audit.is_fresh(four.twin, 500)
