from __future__ import annotations

from dataclasses import replace

import pytest

from chain import errors
from chain.events import DeviceEquivocated, UpdateRejected
from chain.values import ProvenContribution, Reason
from tests.integration.chain.evidence_cases import DEVICES, ROSTER, Case, domain
from tests.integration.consortium import Consortium, account, digest
from twins.contribution import Receipt, SigningDomain
from twins.merkle import leaf_hash
from twins.types import ZERO_DIGEST, Digest, TwinId, digest_of_bytes, twin_id

pytestmark = pytest.mark.integration

EVIDENCE = digest("evidence")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1, SEC 2 §2.4.1


@pytest.fixture
def twin(consortium: Consortium) -> TwinId:
    """A twin whose first round is open."""
    twin = consortium.new_twin()
    consortium.open(twin)
    return twin


def rejections(consortium: Consortium, twin: TwinId) -> list[tuple[int, str, Reason, bool]]:
    told = consortium.ledger.events(twin, 0, kinds=(UpdateRejected,))
    return [(e.round, e.station, e.reason, e.late) for e in told if isinstance(e, UpdateRejected)]


# -- accusations ------------------------------------------------------------------------------------------------


def test_a_quorum_of_accusers_rejects_an_update_and_voids_the_votes(consortium: Consortium, twin: TwinId) -> None:
    a, b, c = consortium.stations
    consortium.submit_all(twin)
    consortium.attest(c, twin, text="with the wrong one")
    consortium.ledger.dispute(a, twin, 1, c.address, EVIDENCE)
    assert consortium.ledger.votes_for(twin, digest("with the wrong one")) == 0b100
    consortium.ledger.dispute(b, twin, 1, c.address, EVIDENCE)
    state = consortium.ledger.round_of(twin)
    assert (state.excluded, state.voted) == (0b100, 0)
    assert consortium.ledger.votes_for(twin, digest("with the wrong one")) == 0
    assert rejections(consortium, twin) == [(1, c.address, Reason.QUORUM, False)]
    consortium.attest(c, twin, text="with the wrong one")
    assert consortium.ledger.head(twin).number == 0, "one vote since the rejection"


def test_one_station_does_not_reject_by_accusing_twice(consortium: Consortium, twin: TwinId) -> None:
    a, b, _ = consortium.stations
    consortium.submit_all(twin)
    consortium.ledger.dispute(a, twin, 1, b.address, EVIDENCE)
    with pytest.raises(errors.RoundLedgerAlreadyDisputed):
        consortium.ledger.dispute(a, twin, 1, b.address, digest("other evidence"))
    assert consortium.ledger.accusers_of(twin, b.address) == 0b001


def test_an_accusation_needs_an_update_and_evidence(consortium: Consortium, twin: TwinId) -> None:
    a, b, _ = consortium.stations
    with pytest.raises(errors.RoundLedgerNoUpdate):
        consortium.ledger.dispute(a, twin, 1, b.address, EVIDENCE)
    consortium.submit(b, twin)
    with pytest.raises(errors.RoundLedgerZeroValue):
        consortium.ledger.dispute(a, twin, 1, b.address, ZERO_DIGEST)
    with pytest.raises(errors.TwinRegistryUnknownStation):
        consortium.ledger.dispute(consortium.outsider, twin, 1, b.address, EVIDENCE)


# -- forgeries --------------------------------------------------------------------------------------------------


def test_one_forged_leaf_rejects_the_update_without_a_vote(consortium: Consortium, twin: TwinId) -> None:
    a, liar, _ = consortium.stations
    case = Case(consortium, twin, liar, (0, 0, "a"), (1, 2, "made up"))
    consortium.ledger.prove_forgery(a, *case.part(1))
    assert rejections(consortium, twin) == [(1, liar.address, Reason.FORGERY, False)]
    with pytest.raises(errors.RoundLedgerAlreadyRejected):
        consortium.ledger.prove_forgery(a, *case.part(1))


def test_an_honest_leaf_is_no_forgery(consortium: Consortium, twin: TwinId) -> None:
    a, honest, _ = consortium.stations
    case = Case(consortium, twin, honest)
    with pytest.raises(errors.RoundLedgerHonestContribution):
        consortium.ledger.prove_forgery(a, *case.part())
    assert rejections(consortium, twin) == []


@pytest.mark.parametrize("change", [{"round": 7}, {"twin": digest("other twin")}, {"station": account(3).address}])
def test_a_signature_for_another_round_twin_or_station_is_a_forgery(
    consortium: Consortium, twin: TwinId, change: dict[str, object]
) -> None:
    a, replayer, _ = consortium.stations
    case = Case(consortium, twin, replayer, (0, 0, "a"), **change)  # type: ignore[arg-type]
    consortium.ledger.prove_forgery(a, *case.part())
    assert rejections(consortium, twin) == [(1, replayer.address, Reason.FORGERY, False)]


def test_a_signature_for_another_chain_is_a_forgery(consortium: Consortium, twin: TwinId) -> None:
    a, replayer, _ = consortium.stations
    case = Case(consortium, twin, replayer, (0, 0, "a"), at=SigningDomain(1, consortium.ledger.address))
    consortium.ledger.prove_forgery(a, *case.part())
    assert rejections(consortium, twin) == [(1, replayer.address, Reason.FORGERY, False)]


def test_a_leaf_of_another_station_proves_nothing(consortium: Consortium, twin: TwinId) -> None:
    a, b, c = consortium.stations
    forged, honest = Case(consortium, twin, b, (0, 2, "forged")), Case(consortium, twin, c)
    with pytest.raises(errors.RoundLedgerBadProof):
        consortium.ledger.prove_forgery(a, honest.recorded, *forged.part()[1:])
    moved = replace(forged.recorded, station=c.address)
    with pytest.raises(errors.RoundLedgerUnknownCommitment):
        consortium.ledger.prove_forgery(a, moved, *forged.part()[1:])
    other = replace(forged.recorded, update=replace(forged.recorded.update, twin=twin_id("gait")))
    with pytest.raises(errors.RoundLedgerUnknownCommitment):
        consortium.ledger.prove_forgery(a, other, *forged.part()[1:])


def test_a_high_s_signature_is_not_the_devices(consortium: Consortium, twin: TwinId) -> None:
    a, b, _ = consortium.stations
    case = Case(consortium, twin, b)
    recorded, shown, proof = case.part()
    s = int.from_bytes(shown.signature[32:64], "big")
    twisted = shown.signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - shown.signature[64]])
    malleated = ProvenContribution(shown.device, shown.digest, shown.examples, twisted)
    with pytest.raises(errors.RoundLedgerBadProof):
        consortium.ledger.prove_forgery(a, recorded, malleated, proof)
    receipt = Receipt(twin, 1, digest("left out")).signing_hash(domain(consortium))
    low = b.sign_hash(receipt)
    high = low[:32] + (ORDER - int.from_bytes(low[32:64], "big")).to_bytes(32, "big") + bytes([55 - low[64]])
    with pytest.raises(errors.RoundLedgerBadSignature):
        consortium.ledger.challenge_omitted(a, recorded, digest("left out"), high)
    assert consortium.ledger.challenge_omitted(a, recorded, digest("left out"), low).status


def test_a_commitment_is_kept_for_eight_rounds_and_then_says_so(consortium: Consortium, twin: TwinId) -> None:
    a, liar, c = consortium.stations
    case = Case(consortium, twin, liar, (0, 2, "forged"))
    for number in range(1, 9):
        if number > 1:
            consortium.open(twin, number)
            consortium.submit(liar, twin, number, f"update {number}")
        consortium.submit(a, twin, number, f"update {number} of a")
        consortium.submit(c, twin, number, f"update {number} of c")
        for station in (a, c):
            consortium.attest(station, twin, number, f"model {number}")
    assert consortium.ledger.commitments() == 8
    assert not consortium.ledger.verify_contribution(*case.part(), ROSTER.proof(0))
    consortium.open(twin, 9)
    with pytest.raises(errors.RoundLedgerCommitmentGone) as caught:
        consortium.ledger.prove_forgery(a, *case.part())
    assert (caught.value.round, caught.value.oldest) == (1, 2)


def test_a_forgery_proven_after_the_round_is_on_the_record_once(consortium: Consortium, twin: TwinId) -> None:
    a, liar, c = consortium.stations
    case = Case(consortium, twin, liar, (0, 2, "forged"))
    for station in (a, c):
        consortium.submit(station, twin)
    for station in (a, c):
        consortium.attest(station, twin)
    head = consortium.ledger.head(twin)
    consortium.ledger.prove_forgery(a, *case.part())
    assert rejections(consortium, twin) == [(1, liar.address, Reason.FORGERY, True)]
    assert consortium.ledger.head(twin) == head
    with pytest.raises(errors.RoundLedgerAlreadyRejected):
        consortium.ledger.prove_forgery(c, *case.part())


# -- double counts ----------------------------------------------------------------------------------------------


def test_a_device_twice_in_one_tree_blames_the_station(consortium: Consortium, twin: TwinId) -> None:
    a, liar, _ = consortium.stations
    case = Case(consortium, twin, liar, (0, 0, "first"), (0, 0, "second"))
    with pytest.raises(errors.RoundLedgerNoDoubleCount):
        consortium.ledger.prove_double_count(a, *case.part(0), *case.part(0))
    consortium.ledger.prove_double_count(a, *case.part(0), *case.part(1))
    assert rejections(consortium, twin) == [(1, liar.address, Reason.DOUBLE_COUNT, False)]


def test_a_device_at_two_stations_blames_the_device_alone(consortium: Consortium, twin: TwinId) -> None:
    a, b, c = consortium.stations
    one, two = Case(consortium, twin, b, (0, 0, "first")), Case(consortium, twin, c, (0, 0, "second"))
    consortium.ledger.prove_double_count(a, *one.part(), *two.part())
    (event,) = consortium.ledger.events(twin, 0, kinds=(DeviceEquivocated,))
    assert isinstance(event, DeviceEquivocated)
    assert (event.device, event.station_a, event.station_b) == (DEVICES[0], b.address, c.address)
    assert rejections(consortium, twin) == []


def test_a_station_frames_no_device_with_a_leaf_it_never_signed(consortium: Consortium, twin: TwinId) -> None:
    a, honest, liar = consortium.stations
    one, two = Case(consortium, twin, honest, (0, 0, "hers")), Case(consortium, twin, liar, (0, 2, "forged"))
    with pytest.raises(errors.RoundLedgerBadSignature):
        consortium.ledger.prove_double_count(a, *one.part(), *two.part())


# -- challenges -------------------------------------------------------------------------------------------------


def roster_leaf(device: int) -> Digest:
    return digest_of_bytes(leaf_hash(("address",), (DEVICES[device],)))


def test_an_invented_device_that_nobody_can_show_rejects_the_update(consortium: Consortium, twin: TwinId) -> None:
    a, liar, c = consortium.stations
    case = Case(consortium, twin, liar, (2, 2, "invented"))
    consortium.ledger.challenge_invented(a, *case.part())
    where = (twin, 1, liar.address, ROSTER.root, roster_leaf(2))
    with pytest.raises(errors.RoundLedgerChallengeExists):
        consortium.ledger.challenge_invented(c, *case.part())
    with pytest.raises(errors.RoundLedgerChallengeOpen):
        consortium.ledger.settle_challenge(c, *where)
    with pytest.raises(errors.RoundLedgerBadProof):
        consortium.ledger.answer_challenge(liar, *where, ROSTER.proof(0))
    consortium.advance(30)
    consortium.ledger.settle_challenge(consortium.outsider, *where)
    assert rejections(consortium, twin) == [(1, liar.address, Reason.CHALLENGE, False)]


def test_an_honest_station_answers_with_its_roster_and_keeps_its_update(consortium: Consortium, twin: TwinId) -> None:
    a, honest, _ = consortium.stations
    case = Case(consortium, twin, honest)
    consortium.ledger.challenge_invented(a, *case.part())
    where = (twin, 1, honest.address, ROSTER.root, roster_leaf(0))
    consortium.registry.set_roster(honest, digest("a later roster"), 1)  # doesn't rewrite the past
    consortium.ledger.answer_challenge(consortium.outsider, *where, ROSTER.proof(0))
    consortium.advance(30)
    with pytest.raises(errors.RoundLedgerNoChallenge):
        consortium.ledger.settle_challenge(a, *where)
    assert rejections(consortium, twin) == []
    assert consortium.ledger.verify_contribution(*case.part(), ROSTER.proof(0))


def test_a_receipt_for_what_was_left_out_rejects_the_update(consortium: Consortium, twin: TwinId) -> None:
    a, liar, _ = consortium.stations
    case, left_out = Case(consortium, twin, liar), digest("left out")
    statement = Receipt(twin, 1, left_out).signing_hash(domain(consortium))
    with pytest.raises(errors.RoundLedgerBadSignature):
        consortium.ledger.challenge_omitted(a, case.recorded, left_out, a.sign_hash(statement))
    consortium.ledger.challenge_omitted(a, case.recorded, left_out, liar.sign_hash(statement))
    consortium.advance(30)
    consortium.ledger.settle_challenge(a, twin, 1, liar.address, case.tree.root, left_out)
    assert rejections(consortium, twin) == [(1, liar.address, Reason.CHALLENGE, False)]
