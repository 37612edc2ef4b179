"""Stations that lie about the result: alone they are outvoted and named; two of three have their way until an audit."""

from __future__ import annotations

import pytest

from chain.errors import (
    RecordError,
    RoundLedgerAlreadyAttested,
    RoundLedgerNoQuorum,
    RoundLedgerUnexpectedVote,
    RoundLedgerUnsortedSigners,
)
from chain.station import Action
from chain.values import RoundStatus
from tests.integration.attacks.rounds import accepted, finish, incidents
from tests.integration.audit.liar import Liar, refuse_to_go_on, shifted
from tests.integration.audit.world import checks_of
from twins.contribution import Attestation
from twins.types import Digest

pytestmark = pytest.mark.integration

WRONG, OTHER = Digest("0x" + "5a" * 32), Digest("0x" + "5b" * 32)


def submitted(liar: Liar) -> Liar:
    """Everybody has submitted honestly, the crook too."""
    liar.submit(liar.honest().updates)
    liar.others_submit()
    return liar


def test_attack_a_wrong_aggregate_is_outvoted_and_its_station_named(liar: Liar) -> None:
    world = submitted(liar).world
    world.network.ledger.attest(liar.crook, world.twin, liar.number, WRONG)
    assert finish(liar) == [Action.ATTESTED] * 2
    assert world.final(liar.number).model != WRONG
    report = world.audit()
    assert report.verdict == "verified"
    assert incidents(report, liar.crook.address) == {"dissent"}
    assert liar.crook.address not in report.rounds[-1].attesters


def test_attack_equivocation_two_digests_of_one_station_count_once(liar: Liar) -> None:
    world, number = submitted(liar).world, liar.number
    ledger, twin = world.network.ledger, world.twin
    ledger.attest(liar.crook, twin, number, WRONG)
    with pytest.raises(RoundLedgerAlreadyAttested):
        ledger.attest(liar.crook, twin, number, OTHER)
    with pytest.raises(RoundLedgerUnexpectedVote):
        ledger.attest(liar.crook, twin, number, OTHER, OTHER)
    ledger.attest(liar.crook, twin, number, OTHER, WRONG)
    assert (ledger.votes_for(twin, WRONG), ledger.votes_for(twin, OTHER)) == (0, 1)
    finish(liar)
    report = world.audit()
    assert report.verdict == "verified"
    assert incidents(report, liar.crook.address) == {"dissent", "moved-vote"}


def test_attack_equivocation_a_signature_counts_once_however_often_it_is_shown(liar: Liar) -> None:
    world, number = submitted(liar).world, liar.number
    crook, ledger = liar.crook, world.network.ledger
    statement = Attestation(world.twin, number, WRONG, 0)
    signature = crook.sign_hash(statement.signing_hash(world.network.domain))
    where = (crook, world.twin, number, WRONG)
    with pytest.raises(RoundLedgerUnsortedSigners):
        ledger.finalize_signed(*where, [crook.address] * 2, [signature] * 2)
    with pytest.raises(RoundLedgerNoQuorum):
        ledger.finalize_signed(*where, [crook.address], [signature])


def test_two_colluding_stations_of_three_have_their_way_and_the_audit_names_the_round(liar: Liar) -> None:
    # Two of three are a quorum: the chain can't stop them. What holds: the honest one doesn't vote for it, doesn't
    # train on it, and every auditor sees it.
    world = liar.world
    honest = liar.honest()
    liar.submit(honest.updates)
    liar.collude(model=shifted(honest.model))
    assert checks_of(world.findings()) == [("tier-2", f"round {liar.number}, merged model")]
    colluders = {account.address for account in world.stations[:2]}
    assert set(world.audit().rounds[-1].attesters) == colluders
    refuse_to_go_on(liar)


def test_two_colluding_stations_of_seven_decide_nothing_and_are_named(seven: Liar) -> None:
    world, number = submitted(seven).world, seven.number
    ledger, twin, crooks = world.network.ledger, world.twin, world.stations[:2]
    for crook in crooks:
        ledger.attest(crook, twin, number, WRONG)
    assert ledger.round_of(twin).quorum == 5
    assert ledger.round_of(twin).status is RoundStatus.ATTESTING
    finish(seven, seven.session.followers[2:])
    report = world.audit()
    assert report.verdict == "verified"
    assert [incidents(report, crook.address) for crook in crooks] == [{"dissent"}] * 2
    assert len(accepted(seven)) == 7


def test_two_colluding_stations_of_seven_cannot_have_an_honest_update_rejected(seven: Liar) -> None:
    world, number = submitted(seven).world, seven.number
    ledger, victim = world.network.ledger, world.stations[6]
    for crook in world.stations[:2]:
        ledger.dispute(crook, world.twin, number, victim.address, WRONG)
    finish(seven, seven.session.followers[2:])
    assert victim.address in accepted(seven)
    report = world.audit()
    assert report.verdict == "verified"
    assert incidents(report, victim.address) == {"accused"}


def test_three_of_seven_that_stay_away_stop_the_round_but_change_no_model(seven: Liar) -> None:
    # Plainly: more than a third can stall. Five votes of seven are needed; four don't make a model final.
    world, number = seven.world, seven.number
    head = world.network.ledger.head(world.twin)
    for follower in seven.session.followers[3:]:
        step = follower.step(number)
        assert step is not None
        assert step.action is Action.SUBMITTED
    world.advance(600)
    for follower in seven.session.followers[3:]:
        step = follower.step(number)
        assert step is not None
        assert step.action is Action.ATTESTED
    world.advance(600)
    step = seven.session.followers[3].step(number)
    assert step is not None
    assert step.action is Action.ABORTED
    assert world.network.ledger.head(world.twin) == head


def test_an_honest_station_votes_for_nothing_that_it_could_not_fetch(liar: Liar) -> None:
    manifest = liar.submit(liar.honest().updates)
    liar.world.store.path_of(manifest.payloads.cid).unlink()
    liar.others_submit()
    with pytest.raises(RecordError, match="is not as recorded"):
        liar.session.followers[1].step(liar.number)
