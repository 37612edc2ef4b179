"""What the chain alone can show or hide: rollbacks, rosters, late and aborted rounds, rules with a memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.checks import Finding
from chain.errors import RoundLedgerGenesisExists, TwinRegistryUnknownTwin
from chain.station import Action
from chain.values import RoundStatus
from fl.replay import Replayer
from scripts.federation_run import run_rounds
from tests.integration.audit.liar import Liar
from tests.integration.audit.world import World, checks_of
from tests.integration.consortium import account
from twins.contribution import address_of_key
from twins.types import Digest, twin_id
from twins.updates import roster_tree

pytestmark = pytest.mark.integration


def missing(world: World, digest: Digest) -> Finding:
    head = world.network.ledger.head(world.twin)
    return Finding(
        "expected-head",
        "lineage",
        f"to contain model {digest}",
        f"a lineage of {head.number + 1} models that ends in {head.model}: "
        "the chain was rolled back or replaced, or this is another twin",
    )


def test_every_model_of_the_lineage_may_be_expected(history: World) -> None:
    models = [history.network.ledger.model_of(history.twin, number) for number in range(4)]
    assert history.findings(expected=models) == []


def test_an_expected_head_that_is_not_there_is_found(history: World) -> None:
    never = Digest("0x" + "12" * 32)
    assert history.findings(expected=(history.final(1).model, never)) == [missing(history, never)]


def test_a_station_update_is_no_head(history: World) -> None:
    update = history.recorded(1)[0].update
    assert history.findings(expected=(update,)) == [missing(history, update)]


def test_a_rolled_back_chain_looks_whole_from_inside_and_is_found_by_the_head_seen_before(world: World) -> None:
    snapshot = world.network.chain.rpc("evm_snapshot")
    seen = world.run(5)
    assert world.findings(expected=(seen,)) == []
    assert world.network.chain.rpc("evm_revert", (snapshot,))
    assert world.findings() == []  # nothing in the record itself betrays it
    assert world.findings(expected=(seen,)) == [missing(world, seen)]


def test_a_chain_rolled_back_and_rewritten_is_found_by_the_head_seen_before(world: World) -> None:
    snapshot = world.network.chain.rpc("evm_snapshot")
    seen = world.run(4)
    assert world.network.chain.rpc("evm_revert", (snapshot,))
    liar = Liar.of(world)
    liar.submit(liar.honest().updates[:1])  # valid, and not what was there before
    liar.collude()
    assert world.findings() == []
    assert world.findings(expected=(seen,)) == [missing(world, seen)]


def test_a_genesis_cannot_be_replaced_on_the_chain(world: World) -> None:
    with pytest.raises(RoundLedgerGenesisExists):
        world.network.ledger.genesis(account(0), world.twin, world.final(1).model)


def test_a_twin_that_is_not_registered_cannot_be_audited(history: World) -> None:
    nobody = replace(history, settings=replace(history.settings, twin="nobody"))
    with pytest.raises(TwinRegistryUnknownTwin) as caught:
        nobody.audit()
    assert caught.value.twin == twin_id("nobody")


def test_a_roster_that_changes_later_does_not_rewrite_the_past(world: World) -> None:
    station = world.stations[0]
    root = roster_tree((address_of_key(bytes([9]) * 32),)).root
    world.network.registry.set_roster(station, root, 1)
    assert world.findings() == []


def test_a_device_enrolled_after_it_was_counted_stays_invented(liar: Liar) -> None:
    key = bytes([7]) * 32
    invented = address_of_key(key)
    wider = (*liar.roster, invented)
    honest = liar.honest().updates
    liar.submit([*honest, liar.signed(invented, honest[0].model(), key=key)], roster=wider)
    liar.collude()
    root = roster_tree(wider).root
    liar.world.network.registry.set_roster(liar.crook, root, len(wider))
    expected = Finding(
        "roster", liar.where, f"devices under root {roster_tree(liar.roster).root}", f"devices under root {root}"
    )
    assert liar.world.findings() == [expected]


def test_a_device_enrolled_before_it_was_counted_is_one(liar: Liar) -> None:
    key = bytes([7]) * 32
    new = address_of_key(key)
    wider = (*liar.roster, new)
    liar.world.network.registry.set_roster(liar.crook, roster_tree(wider).root, len(wider))
    honest = liar.honest().updates
    liar.submit([*honest, liar.signed(new, honest[0].model(), key=key)], roster=wider)
    liar.collude()
    assert liar.world.findings() == []
    assert [s.devices for s in liar.world.audit().rounds[-1].stations if s.station == liar.crook.address] == [3]


@pytest.fixture
def late(liar: Liar) -> Liar:
    """The crook submits after the window; the two others make the round final without it."""
    updates = liar.honest().updates
    liar.others_submit()
    liar.world.advance(600)
    liar.submit(updates)
    for follower in liar.session.followers[1:]:
        step = follower.step(liar.number)
        assert step is not None
        assert step.action is Action.ATTESTED
    return liar


def test_a_late_update_is_audited_and_not_counted(late: Liar) -> None:
    report = late.world.audit()
    assert report.ok
    assert [station.station for station in report.rounds[-1].stations] == [
        event.station for event in late.world.recorded(4) if event.station != late.crook.address
    ]
    (uncounted,) = report.uncounted
    assert (uncounted.station, uncounted.round, uncounted.late) == (late.crook.address, 4, True)
    assert report.to_json()["checked"]["station_updates"] == 12


def test_a_late_update_that_is_wrong_is_found(late: Liar) -> None:
    world = late.world
    event = next(e for e in world.recorded(4) if e.station == late.crook.address)
    world.store.path_of(world.update_manifest(event).payloads.cid).unlink()
    assert checks_of(world.findings()) == [("artifact", f"{late.where}, device updates")]


def test_an_update_for_a_round_that_is_over_is_audited_and_not_counted(liar: Liar) -> None:
    liar.submit(liar.honest().updates)
    liar.collude()
    world = liar.world
    old = next(e for e in world.recorded(2) if e.station == liar.crook.address)
    updates = world.device_updates(old)
    # Signed for round 2 on the base of round 1, and submitted again: recorded, late, worth nothing.
    liar.submit(updates, round=2, trained_round=2, base_round=1, base=old.base, told={"round": 2})
    report = world.audit()
    assert report.ok
    assert [(s.round, s.late, s.staleness) for s in report.uncounted] == [(2, True, 3)]


def test_the_updates_of_an_aborted_round_are_audited(world: World) -> None:
    abort_a_round(world)
    head = world.run(5)
    report = world.audit(expected=(head,))
    assert report.ok
    assert [number.number for number in report.rounds] == [0, 1, 2, 3, 5]
    assert [(s.station, s.round, s.late) for s in report.uncounted] == [(world.stations[0].address, 4, False)]
    world.overwrite(report.uncounted[0].update, b"{}")
    place = f"round 4, station {world.stations[0].address}, manifest {report.uncounted[0].update}"
    assert checks_of(world.findings()) == [("artifact", place)]


def test_a_round_under_way_is_audited_as_far_as_it_is(liar: Liar) -> None:
    liar.submit(liar.honest().updates)
    report = liar.world.audit()
    assert report.ok
    assert report.head.number == 3
    assert [station.round for station in report.uncounted] == [4]


def abort_a_round(world: World) -> None:
    """One station submits, then nobody comes."""
    session, ledger = world.session(), world.network.ledger
    number = ledger.round_of(world.twin).number + 1
    assert next(filter(None, (follower.step(number) for follower in session.followers))).action is Action.OPENED
    step = session.followers[0].step(number)
    assert step is not None
    assert step.action is Action.SUBMITTED
    assert ledger.round_of(world.twin).submitted.bit_count() == 1
    world.advance(1200)
    assert ledger.round_of(world.twin).status is RoundStatus.EXPIRED


# -- rules that carry state from round to round -------------------------------------------------------------------


@pytest.fixture(params=[("FedAdam", ()), ("FedAvgM", ("server_momentum=0.9",))], ids=lambda param: param[0])
def stateful(world: World, request: pytest.FixtureRequest) -> World:
    """Another twin on the same chain, whose stations learn with a rule that remembers."""
    name, arguments = request.param
    return replace(
        world, settings=replace(world.settings, twin="stateful", strategy=name, strategy_arguments=arguments)
    )


def test_a_history_of_a_stateful_rule_is_verified(stateful: World) -> None:
    stateful.run(3)
    report = stateful.audit()
    assert list(report.all_findings()) == []
    assert {s.rule.partition("@")[0] for r in report.rounds for s in r.stations if s.rule} == {
        f"flwr/{stateful.settings.strategy}"
    }


def test_a_history_of_a_stateful_rule_with_an_aborted_round_is_verified(stateful: World) -> None:
    # One station's rule has learnt from the aborted round, the others' have not.
    list(run_rounds(stateful.session(), 1))
    abort_a_round(stateful)
    list(run_rounds(stateful.session(), 4))
    report = stateful.audit()
    assert list(report.all_findings()) == []
    assert [number.number for number in report.rounds] == [0, 1, 3, 4]
    assert [station.round for station in report.uncounted] == [2]


def test_a_stateful_rule_remembers_so_the_order_of_replay_matters(stateful: World) -> None:
    # Else the two tests above would prove nothing.
    stateful.run(2)
    event = stateful.recorded(2)[0]
    manifest = stateful.update_manifest(event)
    updates = stateful.device_updates(event)
    base = stateful.archive.model(stateful.model_manifest(1).model)
    alone = Replayer()(station=event.station, round=2, rule=manifest.rule, base=base, updates=updates, noise=b"")
    assert alone != stateful.archive.model(manifest.model)


def test_a_missing_round_of_a_stateful_rule_spoils_what_follows_and_is_found(stateful: World) -> None:
    stateful.run(2)
    event = stateful.recorded(1)[0]
    stateful.store.path_of(stateful.update_manifest(event).payloads.cid).unlink()
    assert checks_of(stateful.findings()) == [
        ("artifact", f"round 1, station {event.station}, device updates"),
        ("tier-1", f"round 2, station {event.station}, station model"),
    ]
