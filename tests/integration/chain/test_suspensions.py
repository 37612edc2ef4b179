from __future__ import annotations

import pytest

from chain import errors
from chain.round_ledger import Head
from chain.values import RoundPolicy, RoundStatus
from tests.integration.chain.evidence_cases import domain
from tests.integration.consortium import Consortium, account, digest
from twins.contribution import Attestation
from twins.types import ZERO_DIGEST, TwinId

pytestmark = pytest.mark.integration

EVIDENCE = digest("evidence")
MODEL = digest("model 1")


# -- suspensions ------------------------------------------------------------------------------------------------


def test_no_station_suspends_another_alone(consortium: Consortium) -> None:
    a, b, _ = consortium.stations
    with pytest.raises(errors.AccessControlUnauthorizedAccount):
        consortium.registry.suspend_station(a, b.address, EVIDENCE)
    consortium.registry.vote_suspend(a, b.address, EVIDENCE)
    with pytest.raises(errors.TwinRegistryAlreadyVoted):
        consortium.registry.vote_suspend(a, b.address, digest("other evidence"))
    assert not consortium.registry.station_of(b.address).suspended


def test_two_of_three_suspend_the_third_and_the_registrar_reinstates_it(consortium: Consortium) -> None:
    a, b, c = consortium.stations
    with pytest.raises(errors.TwinRegistryOwnSuspension):
        consortium.registry.vote_suspend(c, c.address, EVIDENCE)
    for station in (a, b):
        consortium.registry.vote_suspend(station, c.address, EVIDENCE)
    assert consortium.registry.station_sets() == (0b011, 0)
    with pytest.raises(errors.TwinRegistrySuspended):
        consortium.registry.set_roster(c, digest("roster"), 1)
    consortium.registry.reinstate_station(consortium.admin, c.address)
    assert consortium.registry.suspension_votes(c.address) == 0


def test_the_guardian_cannot_choose_the_quorum_by_suspending(consortium: Consortium) -> None:
    a, b, _ = consortium.stations
    assert consortium.registry.suspensions_per_epoch() == 1
    consortium.registry.suspend_station(consortium.admin, a.address, EVIDENCE)
    with pytest.raises(errors.TwinRegistrySuspensionCap):
        consortium.registry.suspend_station(consortium.admin, b.address, EVIDENCE)


def test_a_station_suspended_in_mid_round_loses_update_and_vote(consortium: Consortium) -> None:
    twin, (_, _, c) = consortium.new_twin(), consortium.stations
    consortium.open(twin)
    consortium.submit_all(twin)
    consortium.attest(c, twin)
    consortium.registry.suspend_station(consortium.admin, c.address, EVIDENCE)
    state = consortium.ledger.round_of(twin)
    assert (state.live, state.excluded, state.voted) == (0b011, 0b100, 0)
    with pytest.raises(errors.TwinRegistrySuspended):
        consortium.attest(c, twin)


def test_when_the_quorum_shrinks_a_tally_makes_the_model_final(consortium: Consortium) -> None:
    for index in (10, 11):
        consortium.registry.register_station(consortium.admin, account(index).address)
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit_all(twin)
    consortium.advance(60)
    for station in consortium.stations:
        consortium.attest(station, twin)
    with pytest.raises(errors.RoundLedgerNoQuorum) as caught:
        consortium.ledger.tally(consortium.outsider, twin, 1, MODEL)
    assert (caught.value.quorum, caught.value.actual) == (4, 3)
    consortium.registry.suspend_station(consortium.admin, account(10).address, EVIDENCE)
    consortium.ledger.tally(consortium.outsider, twin, 1, MODEL)
    assert consortium.ledger.head(twin) == Head(1, MODEL)


def test_suspensions_hand_no_round_to_a_minority(consortium: Consortium) -> None:
    for index in (10, 11, 12):
        consortium.registry.register_station(consortium.admin, account(index).address)
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit_all(twin)
    consortium.advance(60)
    for station in consortium.stations:
        consortium.attest(station, twin)
    assert consortium.ledger.round_of(twin).quorum == 4
    with pytest.raises(errors.RoundLedgerNoQuorum):
        consortium.ledger.tally(consortium.outsider, twin, 1, MODEL)
    for index in (10, 11):
        consortium.registry.suspend_station(consortium.admin, account(index).address, EVIDENCE)
    # Four of six at least, though two thirds of the live would be three: no minority of the opening decides.
    assert consortium.ledger.round_of(twin).quorum == 4
    with pytest.raises(errors.RoundLedgerNoQuorum):
        consortium.ledger.tally(consortium.outsider, twin, 1, MODEL)


def test_the_first_vote_closes_submissions_for_who_is_reinstated_later(consortium: Consortium) -> None:
    twin, (a, b, c) = consortium.new_twin(), consortium.stations
    consortium.open(twin)
    consortium.registry.suspend_station(consortium.admin, c.address, EVIDENCE)
    for station in (a, b):
        consortium.submit(station, twin)
    consortium.attest(a, twin)
    consortium.registry.reinstate_station(consortium.admin, c.address)
    consortium.submit(c, twin)
    state = consortium.ledger.round_of(twin)
    assert (state.status, state.submitted, state.voted) == (RoundStatus.ATTESTING, 0b011, 0b001)


# -- final by signatures ----------------------------------------------------------------------------------------


def attesting(consortium: Consortium) -> TwinId:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit_all(twin)
    return twin


def test_signatures_of_a_quorum_make_a_model_final(consortium: Consortium) -> None:
    twin = attesting(consortium)
    signers = sorted(consortium.stations[:2], key=lambda station: station.address.lower())
    statement = Attestation(twin, 1, MODEL, 0).signing_hash(domain(consortium))
    names, signatures = [s.address for s in signers], [s.sign_hash(statement) for s in signers]
    finalize, payer = consortium.ledger.finalize_signed, consortium.outsider
    with pytest.raises(errors.RoundLedgerUnsortedSigners):
        finalize(payer, twin, 1, MODEL, names[::-1], signatures[::-1])
    with pytest.raises(errors.RoundLedgerUnsortedSigners):
        finalize(payer, twin, 1, MODEL, [names[0]] * 2, [signatures[0]] * 2)
    with pytest.raises(errors.RoundLedgerNoQuorum):
        finalize(payer, twin, 1, MODEL, names[:1], signatures[:1])
    with pytest.raises(errors.RoundLedgerNoQuorum):
        finalize(payer, twin, 1, MODEL, names, signatures[:1])
    with pytest.raises(errors.RoundLedgerBadSignature):
        finalize(payer, twin, 1, digest("another model"), names, signatures)
    with pytest.raises(errors.RoundLedgerBadSignature):
        finalize(payer, twin, 1, MODEL, names, signatures[::-1])
    with pytest.raises(errors.RoundLedgerZeroValue):
        finalize(payer, twin, 1, ZERO_DIGEST, names, signatures)
    finalize(payer, twin, 1, MODEL, names, signatures)
    assert consortium.ledger.head(twin) == Head(1, MODEL)


def test_a_foreign_signer_is_none(consortium: Consortium) -> None:
    twin = attesting(consortium)
    signers = sorted([consortium.stations[0], consortium.outsider], key=lambda one: one.address.lower())
    statement = Attestation(twin, 1, MODEL, 0).signing_hash(domain(consortium))
    with pytest.raises(errors.TwinRegistryUnknownStation):
        consortium.ledger.finalize_signed(
            consortium.outsider, twin, 1, MODEL, [s.address for s in signers], [s.sign_hash(statement) for s in signers]
        )


# -- producers and turns ----------------------------------------------------------------------------------------


def test_elected_producers_are_the_electorate_once_in_an_epoch(consortium: Consortium) -> None:
    a, b, c = consortium.stations
    for station, weight in ((a, 1), (b, 5), (c, 3)):
        consortium.registry.set_weight(consortium.admin, station.address, weight)
    consortium.registry.cast_ballot(a, 0b001)
    consortium.registry.cast_ballot(b, 0b100)
    consortium.registry.cast_ballot(c, 0b010)
    with pytest.raises(errors.TwinRegistryUnknownCandidates):
        consortium.registry.cast_ballot(a, 0b1000)
    with pytest.raises(errors.TwinRegistryBadSeats):
        consortium.registry.elect(a, 4)
    consortium.registry.elect(a, 2)
    assert consortium.registry.station_sets() == (0b111, 0b110)
    with pytest.raises(errors.TwinRegistryTooEarly):
        consortium.registry.elect(a, 3)
    twin = consortium.new_twin()
    consortium.open(twin)
    assert consortium.ledger.round_of(twin).electorate == 0b110
    with pytest.raises(errors.RoundLedgerNotElector):
        consortium.submit(a, twin)


def test_the_next_station_opens_and_after_the_grace_any(consortium: Consortium) -> None:
    twin = consortium.new_twin(policy=RoundPolicy(60, 60, 1, 40))
    consortium.finish(twin, 1)
    with pytest.raises(errors.RoundLedgerNotTurn) as caught:
        consortium.open(twin, 2)
    assert caught.value.turn == 2
    consortium.advance(40)
    consortium.open(twin, 2)
    assert consortium.ledger.round_of(twin).status is RoundStatus.SUBMITTING
