from __future__ import annotations

from dataclasses import replace

import pytest

from chain.audit_values import AuditPolicy, Mode, Phase, Verdict
from chain.deployment import open_audit
from chain.errors import (
    ContractRevertError,
    PDPError,
    PDPLength,
    SyncAuditDuplicateProof,
    SyncAuditKeyRevoked,
    SyncAuditModeNotAllowed,
    SyncAuditNoTags,
    SyncAuditNotAssigned,
    SyncAuditUnexpectedPhase,
)
from chain.pdp.challenge import Challenge
from chain.pdp.proof import prove
from chain.pdp.sources import BytesSource
from chain.pdp.tags import make_tags
from chain.possession_audit import audit_possession
from tests.integration.chain.audit_fixtures import Asked
from tests.integration.consortium import Consortium
from tests.slots import Slots, content, known_key
from twins.types import digest_bytes

pytestmark = pytest.mark.integration


@pytest.fixture
def asked(consortium: Consortium) -> Asked:
    return Asked.of(Slots.of(consortium))


def send(asked: Asked, proof: bytes, index: int = 1, slot: int | None = None) -> None:
    at = asked.slot if slot is None else slot
    asked.slots.audit.prove(asked.slots.world.outsider, at, [asked.twin], asked.holder(index), proof)


# -- when --------------------------------------------------------------------------------------------------------------


def test_anybody_delivers_a_proof_from_the_first_to_the_last_second_of_proving(asked: Asked) -> None:
    slots = asked.slots
    slots.anchor(asked.slot)
    slots.reveal(asked.slot)
    slots.go_to(asked.slot, Phase.PROVING)
    first, second = asked.proof(1), asked.proof(2)
    chain = slots.world.chain
    snapshot = chain.rpc("evm_snapshot")
    slots.next_at(chain.timestamp())
    send(asked, first, 1)
    assert slots.audit.fact_of(asked.slot, asked.twin, asked.holder(1)) is not None
    chain.rpc("evm_revert", (snapshot,))
    slots.go_to(asked.slot, Phase.CLOSED, -2)
    slots.next_at(slots.clock.start_of(asked.slot, Phase.CLOSED) - 1)
    send(asked, second, 2)
    assert slots.audit.verdict(asked.twin, asked.holder(2), asked.slot) is Verdict.PROVEN


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.SEALED, Phase.CLOSED])
def test_a_proof_at_another_time_is_refused(asked: Asked, phase: Phase) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    proof = asked.proof()
    slots.go_to(asked.slot + (phase is not Phase.CLOSED), phase)
    with pytest.raises(SyncAuditUnexpectedPhase) as caught:
        send(asked, proof, slot=asked.slot + (phase is not Phase.CLOSED))
    assert (caught.value.current, caught.value.expected) == (phase, Phase.PROVING)


def test_a_proof_of_a_past_or_future_slot_is_refused(asked: Asked) -> None:
    asked.slots.open_proving(asked.slot)
    proof = asked.proof()
    for slot, phase in ((asked.slot - 1, Phase.CLOSED), (asked.slot + 1, Phase.FUTURE)):
        with pytest.raises(SyncAuditUnexpectedPhase) as caught:
            send(asked, proof, slot=slot)
        assert caught.value.current is phase


def test_a_holder_proves_once_in_a_slot(asked: Asked) -> None:
    asked.slots.open_proving(asked.slot)
    asked.prove()
    with pytest.raises(SyncAuditDuplicateProof):
        asked.prove()


# -- what follows ------------------------------------------------------------------------------------------------------


def test_verdicts_of_a_slot_from_its_beginning_to_its_end(asked: Asked) -> None:
    slots, audit = asked.slots, asked.slots.audit
    assert audit.verdict(asked.twin, asked.holder(), asked.slot) is Verdict.NOT_DUE  # in the future
    slots.open_proving(asked.slot)
    assert audit.verdict(asked.twin, asked.holder(1), asked.slot) is Verdict.PENDING
    asked.prove(1)
    assert audit.verdict(asked.twin, asked.holder(1), asked.slot) is Verdict.PROVEN
    assert audit.verdict(asked.twin, asked.holder(2), asked.slot) is Verdict.PENDING
    slots.go_to(asked.slot, Phase.CLOSED)
    assert audit.verdict(asked.twin, asked.holder(2), asked.slot) is Verdict.FAILED
    assert audit.verdict(asked.twin, asked.slots.world.outsider.address, asked.slot) is Verdict.NOT_DUE
    slots.go_to(asked.slot + 1, Phase.CLOSED)
    assert audit.verdict(asked.twin, asked.holder(1), asked.slot + 1) is Verdict.VOID


def test_time_changes_nothing_that_is_stored(asked: Asked) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    asked.prove()
    before = slots.audit.fact_of(asked.slot, asked.twin, asked.holder())
    slots.go_to(asked.slot + 50, Phase.OPEN)
    assert slots.audit.fact_of(asked.slot, asked.twin, asked.holder()) == before
    assert slots.audit.verdict(asked.twin, asked.holder(), asked.slot) is Verdict.PROVEN
    assert slots.audit.verdict(asked.twin, asked.holder(2), asked.slot) is Verdict.FAILED


# -- replay ------------------------------------------------------------------------------------------------------------


def test_a_proof_of_another_slot_is_refused(asked: Asked) -> None:
    asked.slots.open_proving(asked.slot)
    old = asked.proof()
    asked.slots.reveal(asked.slot + 1)
    asked.slots.go_to(asked.slot + 1, Phase.PROVING)
    with pytest.raises(PDPError):
        send(asked, old, slot=asked.slot + 1)
    asked.prove(slot=asked.slot + 1)


def test_a_proof_of_another_holder_is_refused(asked: Asked) -> None:
    asked.slots.open_proving(asked.slot)
    with pytest.raises(PDPError):
        send(asked, asked.proof(1), 2)


def test_a_proof_of_another_twin_is_refused(asked: Asked) -> None:
    slots = asked.slots
    other = Asked.of(slots, "other")
    slots.open_proving(asked.slot)
    with pytest.raises(PDPError):
        send(asked, other.proof())
    # The very same bytes under another twin's tags are another artifact, too.
    same = replace(other, data=asked.data)
    assert same.tags.tau != asked.tags.tau


def test_a_proof_of_an_older_version_is_refused(asked: Asked) -> None:
    slots = asked.slots
    slots.world.finish(asked.twin)
    new = content("round 1", 9000)
    tags = slots.tag(0, asked.twin, new, asked.key)
    slot = slots.slot
    slots.open_proving(slot + 1)
    fresh = replace(asked, data=new, tags=tags, slot=slot + 1)
    old = Challenge(asked.tags.tau, fresh.challenge().sigma, asked.tags.blocks, 100)
    with pytest.raises(PDPError):
        send(fresh, prove(BytesSource(asked.data), asked.tags, asked.key.public, old))
    fresh.prove()


def test_a_new_version_is_asked_for_from_the_next_slot_on(asked: Asked) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    slots.world.finish(asked.twin)
    slots.tag(0, asked.twin, content("round 1", 9000), asked.key)
    assert slots.slot == asked.slot
    asked.prove()  # this slot still asks for the version that was in force at its start
    current = slots.audit.tags_at(asked.twin, asked.holder(0), asked.slot)
    following = slots.audit.tags_at(asked.twin, asked.holder(0), asked.slot + 1)
    assert current is not None
    assert following is not None
    assert (current.version, following.version) == (0, 1)


@pytest.mark.parametrize("what", ["chain", "contract"])
def test_a_proof_made_for_another_chain_or_contract_is_refused(asked: Asked, what: str) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    domain = slots.domain(asked.twin, asked.data, asked.key)
    change = {"chain_id": 1} if what == "chain" else {"contract": slots.world.ledger.address}
    elsewhere = replace(domain, **change)
    tags = make_tags(BytesSource(asked.data), asked.key, elsewhere, workers=1)
    here = asked.challenge()
    there = Challenge(elsewhere.tau, here.sigma, here.blocks, here.size)
    with pytest.raises(PDPError):
        send(asked, prove(BytesSource(asked.data), tags, asked.key.public, there))


def test_a_proof_for_another_size_or_key_is_refused(asked: Asked) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    seed = digest_bytes(slots.audit.beacon_of(asked.slot).seed)
    smaller = Challenge.of(seed, asked.tags.tau, asked.holder(), blocks=asked.tags.blocks, size=99)
    with pytest.raises(PDPError):
        send(asked, prove(BytesSource(asked.data), asked.tags, asked.key.public, smaller))
    other = known_key(1)
    domain = replace(slots.domain(asked.twin, asked.data, asked.key), key_id=other.public.key_id)
    tags = make_tags(BytesSource(asked.data), other, domain, workers=1)
    challenge = Challenge.of(seed, domain.tau, asked.holder(), blocks=tags.blocks, size=100)
    with pytest.raises(PDPError):
        send(asked, prove(BytesSource(asked.data), tags, other.public, challenge))


def test_a_proof_accepted_by_one_contract_is_worth_nothing_at_another(consortium: Consortium) -> None:
    from chain.deployment import deploy_contracts, open_contracts

    first = Asked.of(Slots.of(consortium))
    chain = consortium.chain
    deployment, _ = deploy_contracts(chain, consortium.admin)
    registry, ledger = open_contracts(chain, deployment)
    for station in consortium.stations:
        registry.register_station(consortium.admin, station.address)
    twin_world = replace(consortium, deployment=deployment, registry=registry, ledger=ledger)
    second = Asked.of(Slots(twin_world, open_audit(chain, deployment)))
    first.slots.open_proving(first.slot)
    proof = first.proof()
    first.prove()
    second.slots.open_proving(second.slots.slot + 1)
    with pytest.raises(ContractRevertError):
        send(second, proof, slot=second.slots.slot)


# -- how it is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["padded with ones", "with bytes behind it", "moved away from its place"])
def test_a_proof_in_its_sender_s_own_encoding_is_taken_and_ends_no_audit(asked: Asked, what: str) -> None:
    slots = asked.slots
    slots.open_proving(asked.slot)
    data = slots.audit.interface.functions["prove"].encode(asked.slot, asked.twin, asked.holder(), asked.proof())
    if what == "padded with ones":
        data = data[:-30] + b"\xff" * 30
    elif what == "with bytes behind it":
        data += bytes(7) + b"\xff" * 90
    else:
        data = data[: 4 + 96] + (128 + 64).to_bytes(32, "big") + b"\xee" * 64 + data[4 + 128 :]
    slots.world.chain.transact(slots.world.outsider, slots.audit.address, data)
    assert slots.audit.verdict(asked.twin, asked.holder(), asked.slot) is Verdict.PROVEN
    found = audit_possession(slots.audit, asked.twin, 0, [station.address for station in slots.stations])
    assert (found.verified, found.findings) == (1, ())


# -- what is refused besides -------------------------------------------------------------------------------------------


def test_each_refusal_has_its_name(asked: Asked) -> None:
    slots = asked.slots
    fresh = slots.twin("untagged", AuditPolicy(2, 100, 1, 1, False, 0b111))
    slots.audit.assign(slots.stations[0], fresh, asked.holder())
    optimistic = Asked.of(slots, "claims", AuditPolicy(1 << Mode.OPTIMISTIC, 100, 1, 1, False, 0b111))
    slots.open_proving(asked.slot)
    audit, payer = slots.audit, slots.world.outsider
    with pytest.raises(SyncAuditNotAssigned):
        audit.prove(payer, asked.slot, [asked.twin], payer.address, bytes(546))
    with pytest.raises(SyncAuditNoTags):
        audit.prove(payer, asked.slot, [fresh], asked.holder(), bytes(546))
    with pytest.raises(SyncAuditModeNotAllowed):
        audit.prove(payer, asked.slot, [optimistic.twin], asked.holder(), optimistic.proof())
    for length in (0, 545, 547, 802):
        with pytest.raises(PDPLength):
            send(asked, (asked.proof() + bytes(256))[:length])
    proof = asked.proof()
    audit.revoke_key(slots.stations[0], asked.key.public.key_id)
    with pytest.raises(SyncAuditKeyRevoked):
        send(asked, proof)
