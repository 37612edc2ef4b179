from __future__ import annotations

import pytest

from chain.audit_values import AuditPolicy, Mode, Phase, Verdict
from chain.errors import (
    PDPClaim,
    PDPLength,
    SyncAuditBadBatch,
    SyncAuditBadClaimSignature,
    SyncAuditClaimHolds,
    SyncAuditDuplicateProof,
    SyncAuditNotDisputable,
)
from chain.pdp.challenge import batch_transcript, claim_digest
from chain.pdp.proof import aggregate, prove_together
from chain.pdp.sources import BytesSource
from chain.pdp.verification import check_claim
from chain.slot_steps import SlotAction
from chain.watcher import ClaimWatcher
from tests.integration.chain.audit_fixtures import Asked, false_claim
from tests.integration.consortium import Consortium
from tests.slots import Slots, known_key
from twins.types import TwinId

pytestmark = pytest.mark.integration

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# A contract that calls the address in the first word of its calldata with what follows, and reverts if that does.
RELAY = (
    "36602090038060206000376000600091600060006000355af1602057600080fd5b00"
    #  n = size - 32; copy n bytes; call(gas, word 0, 0, 0, n, 0, 0); stop if it went well
)
CLAIMS = AuditPolicy(1 << Mode.FULL | 1 << Mode.OPTIMISTIC, 100, 1, 1, False, 0b111)


@pytest.fixture
def asked(consortium: Consortium) -> Asked:
    asked = Asked.of(Slots.of(consortium), policy=CLAIMS)
    asked.slots.open_proving(asked.slot)
    return asked


def honest(asked: Asked) -> bytes:
    made = aggregate(BytesSource(asked.data), asked.tags, asked.key.public, asked.challenge())
    return prove_together([made], asked.key.public, asked.challenge().sigma)


def claim(asked: Asked, claimed: bytes, signature: bytes | None = None) -> None:
    account = asked.slots.stations[1]
    signed = account.sign_hash(claim_digest(asked.challenge().sigma, claimed)) if signature is None else signature
    asked.slots.audit.prove_optimistic(
        asked.slots.world.outsider, asked.slot, [asked.twin], asked.holder(), claimed, signed
    )


def dispute(asked: Asked) -> None:
    asked.slots.audit.dispute(asked.slots.world.outsider, asked.slot, [asked.twin], asked.holder())


def verdict(asked: Asked) -> Verdict:
    return asked.slots.audit.verdict(asked.twin, asked.holder(), asked.slot)


def test_a_claim_is_provisional_until_nobody_can_dispute_it_any_more(asked: Asked) -> None:
    slots = asked.slots
    claim(asked, honest(asked))
    accepted = slots.world.chain.timestamp()
    assert verdict(asked) is Verdict.PROVISIONAL
    assert not slots.audit.is_fresh(asked.twin, 10_000)
    slots.go(accepted + 599)
    assert verdict(asked) is Verdict.PROVISIONAL
    slots.go(accepted + 600)
    assert verdict(asked) is Verdict.PROVEN
    assert slots.audit.is_fresh(asked.twin, 10_000)


def test_a_right_claim_survives_a_dispute(asked: Asked) -> None:
    claim(asked, honest(asked))
    with pytest.raises(SyncAuditClaimHolds):
        dispute(asked)
    assert verdict(asked) is Verdict.PROVISIONAL


def test_a_claim_from_nothing_is_accepted_provisionally_and_struck(asked: Asked) -> None:
    false = false_claim(asked.key, asked.challenge().sigma)
    claim(asked, false)
    assert verdict(asked) is Verdict.PROVISIONAL
    with pytest.raises(PDPClaim):
        check_claim(asked.key.public, [asked.challenge()], asked.challenge().sigma, false)
    dispute(asked)
    assert verdict(asked) is Verdict.FAILED
    with pytest.raises(SyncAuditNotDisputable):
        dispute(asked)  # struck already
    asked.slots.go_to(asked.slot + 2, Phase.OPEN)
    assert verdict(asked) is Verdict.FAILED


def test_every_station_s_watcher_finds_a_false_claim_and_one_strikes_it(asked: Asked) -> None:
    slots = asked.slots
    claim(asked, false_claim(asked.key, asked.challenge().sigma))
    watchers = [ClaimWatcher(account, slots.audit, 0) for account in slots.stations]
    moment = slots.clock.read()
    steps = [step for watcher in watchers for step in watcher.step(moment)]
    assert len(steps) == 1
    assert verdict(asked) is Verdict.FAILED


def test_a_relay_that_shows_one_claim_and_hands_in_another_deceives_no_watcher(asked: Asked) -> None:
    slots, transcript = asked.slots, asked.challenge().sigma
    chain, outsider = slots.world.chain, slots.world.outsider
    code = bytes.fromhex(RELAY)
    relay = chain.deploy(outsider, bytes.fromhex(f"60{len(code):02x}600c60003960{len(code):02x}6000f3") + code)
    function = slots.audit.interface.functions["proveOptimistic"]
    calls = []
    for claimed in (false_claim(asked.key, transcript), honest(asked)):
        signature = slots.stations[1].sign_hash(claim_digest(transcript, claimed))
        calls.append(function.encode(asked.slot, asked.twin, asked.holder(), claimed, signature))
    assert relay.contract_address is not None
    # The false claim is what is called, the right one lies behind it for whoever reads calldata from its end.
    data = bytes(12) + bytes.fromhex(slots.audit.address[2:]) + calls[0] + calls[1]
    chain.transact(outsider, relay.contract_address, data)
    assert verdict(asked) is Verdict.PROVISIONAL
    (step,) = ClaimWatcher(slots.stations[0], slots.audit, 0).step(slots.clock.read())
    assert step.action is SlotAction.DISPUTED
    assert verdict(asked) is Verdict.FAILED


def test_a_watcher_leaves_a_right_claim_alone(asked: Asked) -> None:
    claim(asked, honest(asked))
    assert ClaimWatcher(asked.slots.stations[0], asked.slots.audit, 0).step(asked.slots.clock.read()) == []
    assert verdict(asked) is Verdict.PROVISIONAL


def test_a_claim_in_a_block_that_replaced_one_already_looked_at_is_struck_all_the_same(asked: Asked) -> None:
    slots = asked.slots
    chain = slots.world.chain
    watcher = ClaimWatcher(slots.stations[0], slots.audit, 0)
    snapshot = chain.rpc("evm_snapshot")
    for _ in range(3):
        chain.rpc("evm_mine")
    assert watcher.step(slots.clock.read()) == []
    chain.rpc("evm_revert", (snapshot,))
    claim(asked, false_claim(asked.key, asked.challenge().sigma))
    for _ in range(3):
        chain.rpc("evm_mine")
    (step,) = watcher.step(slots.clock.read())
    assert step.action is SlotAction.DISPUTED
    assert verdict(asked) is Verdict.FAILED


def test_a_dispute_that_a_reorganisation_takes_away_is_made_again(asked: Asked) -> None:
    slots = asked.slots
    chain = slots.world.chain
    watcher = ClaimWatcher(slots.stations[0], slots.audit, 0)
    claim(asked, false_claim(asked.key, asked.challenge().sigma))
    snapshot = chain.rpc("evm_snapshot")
    assert len(watcher.step(slots.clock.read())) == 1
    chain.rpc("evm_revert", (snapshot,))
    assert verdict(asked) is Verdict.PROVISIONAL
    for _ in range(2):
        chain.rpc("evm_mine")
    assert len(watcher.step(slots.clock.read())) == 1
    assert verdict(asked) is Verdict.FAILED
    chain.rpc("evm_mine")
    assert watcher.step(slots.clock.read()) == []


def test_a_dispute_one_second_late_is_refused(asked: Asked) -> None:
    claim(asked, false_claim(asked.key, asked.challenge().sigma))
    asked.slots.next_at(asked.slots.world.chain.timestamp() + 600)
    with pytest.raises(SyncAuditNotDisputable):
        dispute(asked)


def test_a_full_proof_cannot_be_disputed(asked: Asked) -> None:
    asked.prove()
    with pytest.raises(SyncAuditNotDisputable):
        dispute(asked)


def test_only_the_holder_claims(asked: Asked) -> None:
    claimed, transcript = honest(asked), asked.challenge().sigma
    digest = claim_digest(transcript, claimed)
    right = asked.slots.stations[1].sign_hash(digest)
    s = ORDER - int.from_bytes(right[32:64], "big")
    malleated = right[:32] + s.to_bytes(32, "big") + bytes([27 + (28 - right[64])])
    others = asked.slots.stations[2].sign_hash(digest)
    for signature in (others, malleated, b"", right[:64], right[:64] + b"\0", bytes(65)):
        with pytest.raises(SyncAuditBadClaimSignature):
            claim(asked, claimed, signature)
    claim(asked, claimed)
    with pytest.raises(SyncAuditDuplicateProof):
        asked.prove()


def test_a_claim_of_another_length_is_refused(asked: Asked) -> None:
    for claimed in (honest(asked)[:546], honest(asked)[:801], honest(asked) + b"\0"):
        with pytest.raises(PDPLength):
            claim(asked, claimed)


# -- several twins at once ---------------------------------------------------------------------------------------------


@pytest.fixture
def three(consortium: Consortium) -> list[Asked]:
    slots = Slots.of(consortium)
    made = sorted((Asked.of(slots, name, CLAIMS) for name in ("a", "b", "c")), key=lambda asked: asked.twin)
    slots.open_proving(made[0].slot)
    return made


def together(asked: list[Asked]) -> tuple[list[TwinId], bytes, bytes]:
    """Twins, transcript and claimed proof of a batch."""
    challenges = [one.challenge() for one in asked]
    transcript = batch_transcript(challenges)
    made = [
        aggregate(BytesSource(one.data), one.tags, one.key.public, c) for one, c in zip(asked, challenges, strict=True)
    ]
    return [one.twin for one in asked], transcript, prove_together(made, asked[0].key.public, transcript)


def test_a_batch_proves_every_twin_in_it(three: list[Asked]) -> None:
    twins, _, claimed = together(three)
    first = three[0]
    first.slots.audit.prove(first.slots.world.outsider, first.slot, twins, first.holder(), claimed[:546])
    assert [verdict(one) for one in three] == [Verdict.PROVEN] * 3


def test_a_batch_out_of_order_doubled_or_of_one_is_refused(three: list[Asked]) -> None:
    twins, _, claimed = together(three)
    audit, payer, slot, holder = three[0].slots.audit, three[0].slots.world.outsider, three[0].slot, three[0].holder()
    for wrong in (twins[::-1], [twins[0], twins[0], twins[1]]):
        with pytest.raises(SyncAuditBadBatch):
            audit.prove(payer, slot, wrong, holder, claimed[:546])
    with pytest.raises(SyncAuditBadBatch):
        audit._transact(payer, "proveBatch", slot, twins[:1], holder, claimed[:546])


def test_a_batch_of_two_keys_is_refused(consortium: Consortium) -> None:
    slots = Slots.of(consortium)
    one = Asked.of(slots, "one", CLAIMS)
    twin = slots.twin("two", CLAIMS)
    slots.tag(0, twin, one.data, known_key(1))
    slots.audit.assign(slots.stations[0], twin, one.holder())
    slots.open_proving(one.slot)
    with pytest.raises(SyncAuditBadBatch):
        slots.audit.prove(slots.world.outsider, one.slot, sorted([one.twin, twin]), one.holder(), bytes(546))


def test_a_batch_that_lacks_one_twin_s_data_proves_none(three: list[Asked]) -> None:
    twins, _, claimed = together(three[:2])
    first = three[0]
    every = [one.twin for one in three]
    with pytest.raises(Exception, match=r"."):
        first.slots.audit.prove(first.slots.world.outsider, first.slot, every, first.holder(), claimed[:546])
    assert {verdict(one) for one in three} == {Verdict.PENDING}
    first.slots.audit.prove(first.slots.world.outsider, first.slot, twins, first.holder(), claimed[:546])


def test_one_strike_marks_every_twin_of_a_claimed_batch_and_a_wrong_list_none(three: list[Asked]) -> None:
    first = three[0]
    twins, transcript, _ = together(three)
    false = false_claim(first.key, transcript)
    signature = first.slots.stations[1].sign_hash(claim_digest(transcript, false))
    audit, payer = first.slots.audit, first.slots.world.outsider
    audit.prove_optimistic(payer, first.slot, twins, first.holder(), false, signature)
    assert {verdict(one) for one in three} == {Verdict.PROVISIONAL}
    for wrong in (twins[:2], twins[1:], twins[:1]):
        with pytest.raises(SyncAuditNotDisputable):
            audit.dispute(payer, first.slot, wrong, first.holder())
    audit.dispute(payer, first.slot, twins, first.holder())
    assert {verdict(one) for one in three} == {Verdict.FAILED}
