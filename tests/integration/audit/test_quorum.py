"""A quorum that lies together: the chain makes anything final that two thirds attest to; the audit doesn't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from flwr import __version__ as flower_version

from chain.checks import Finding
from chain.errors import RecordError
from chain.events import UpdateSubmitted
from chain.station import Action
from tests.integration.audit.liar import Liar, refuse_to_go_on, shifted
from tests.integration.audit.world import World, checks_of
from tests.integration.consortium import account
from twins.aggregation import Rule, weighted_mean
from twins.manifest import TwinManifest, TwinModelManifest, UpdateRef
from twins.model import TwinModel
from twins.types import Digest, twin_id

pytestmark = pytest.mark.integration

MERGED = "round 4, merged model"


@pytest.fixture
def honest_updates(liar: Liar) -> Liar:
    """All stations submit honestly; what is attested is the test's."""
    liar.submit(liar.honest().updates)
    return liar


def test_another_valid_model_in_place_of_the_aggregate_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    older = world.archive.model(world.model_manifest(2).model)
    honest_updates.collude(model=older)
    (finding,) = world.findings()
    assert (finding.check, finding.where) == ("tier-2", MERGED)
    assert finding.expected == "the aggregate of the recorded updates, bit for bit (195 parameters)"
    assert finding.got.startswith("another model (195 values differ, by up to ")


def test_one_weight_off_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    honest_updates.others_submit()
    merged = aggregate(world, world.recorded(4))
    refs = tuple(UpdateRef(event.station, event.update) for event in world.recorded(4))
    attest(honest_updates, shifted(merged), refs, sum(event.examples for event in world.recorded(4)))
    expected = "the aggregate of the recorded updates, bit for bit (195 parameters)"
    got = "another model (1 values differ, by up to 0.5)"
    assert world.findings() == [Finding("tier-2", MERGED, expected, got)]


def test_an_outvoted_station_does_not_train_on_a_false_model_and_the_audit_finds_it(
    honest_updates: Liar,
) -> None:
    world = honest_updates.world
    honest_updates.collude(model=world.archive.model(world.model_manifest(1).model))
    refuse_to_go_on(honest_updates)
    assert checks_of(world.findings()) == [("tier-2", MERGED)]


def test_attack_honest_models_on_top_of_a_false_one_do_not_hide_it_from_the_outvoted_station(
    honest_updates: Liar,
) -> None:
    # Two of three made round 4 false. Whatever they make of it in all honesty afterwards descends from it.
    liar, world = honest_updates, honest_updates.world
    liar.collude(model=world.archive.model(world.model_manifest(1).model))
    refuse_to_go_on(liar)
    *colluders, outvoted = liar.session.followers
    for number in (liar.number + 1, liar.number + 2):
        acted = [follower.step(number) for follower in (*colluders, *colluders)]
        with pytest.raises(RecordError, match=f"round {liar.number}: .* doesn't go on from"):
            outvoted.step(number)  # to train
        world.advance(600)
        with pytest.raises(RecordError, match=f"round {liar.number}: .* doesn't go on from"):
            outvoted.step(number)  # to vote
        acted += [follower.step(number) for follower in colluders]
        assert {step.action for step in acted if step} >= {Action.SUBMITTED, Action.ATTESTED}
        assert world.network.ledger.head(world.twin).number == number
    assert checks_of(world.findings()) == [("tier-2", MERGED)]


def test_a_rewritten_parent_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    wanted = world.final(2).model
    honest_updates.collude(parent=wanted)
    expected = Finding("model-manifest", "round 4, parent", world.final(3).model, wanted)
    assert world.findings() == [expected]


def test_a_parent_left_out_is_found(honest_updates: Liar) -> None:
    honest_updates.collude(parent=None)
    world = honest_updates.world
    assert world.findings() == [Finding("model-manifest", "round 4, parent", world.final(3).model, "None")]


def test_a_station_left_out_of_the_merge_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    honest_updates.others_submit()
    events = world.recorded(4)
    kept = events[1:]
    merged = aggregate(world, kept)
    attest(
        honest_updates,
        merged,
        tuple(UpdateRef(event.station, event.update) for event in kept),
        sum(event.examples for event in kept),
    )
    findings = world.findings()
    assert checks_of(findings) == [
        ("model-manifest", "round 4, updates"),
        ("model-manifest", "round 4, examples"),
        ("tier-2", MERGED),
    ]
    assert findings[0].expected == str([(event.station, event.update) for event in events])
    assert findings[0].got == str([(event.station, event.update) for event in kept])


def test_a_station_counted_twice_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    honest_updates.others_submit()
    events = world.recorded(4)
    twice = [*events, events[-1]]
    merged = aggregate(world, twice)
    attest(
        honest_updates,
        merged,
        tuple(UpdateRef(event.station, event.update) for event in twice),
        sum(event.examples for event in twice),
    )
    assert checks_of(world.findings()) == [
        ("model-manifest", "round 4, updates"),
        ("model-manifest", "round 4, examples"),
        ("tier-2", MERGED),
    ]


def test_another_update_of_a_station_than_the_recorded_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    old = {event.station: event.update for event in world.recorded(3)}
    honest_updates.others_submit()
    events = world.recorded(4)
    merged = aggregate(world, events)
    refs = tuple(UpdateRef(event.station, old[event.station]) for event in events)
    attest(honest_updates, merged, refs, sum(event.examples for event in events))
    assert checks_of(world.findings()) == [("model-manifest", "round 4, updates")]


@pytest.mark.parametrize(
    "rule", [Rule("flwr/FedMedian", flower_version), Rule("acme/mine", "1")], ids=["of tier 1", "unknown"]
)
def test_another_merge_rule_than_the_twins_is_found(honest_updates: Liar, rule: Rule) -> None:
    honest_updates.collude(rule=rule)
    findings = honest_updates.world.findings()
    assert checks_of(findings) == [("model-manifest", f"{MERGED}, rule"), ("tier-2", MERGED)]
    assert findings[0].got == str(rule)
    assert findings[1].got.startswith(f"cannot compute rule {rule}: expected one of ")


def test_another_twins_round_and_number_are_found(honest_updates: Liar) -> None:
    honest_updates.collude(twin=twin_id("gait"), round=7, examples=1)
    checks = [("model-manifest", f"round 4, {key}") for key in ("twin", "round", "examples")]
    assert checks_of(honest_updates.world.findings()) == checks


def test_a_digest_with_nothing_behind_it_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    honest_updates.others_submit()
    nothing = Digest("0x" + "5a" * 32)
    for station in world.stations[:2]:
        world.network.ledger.attest(station, world.twin, 4, nothing)
    findings = world.findings()
    assert checks_of(findings) == [("artifact", f"{MERGED}, manifest {nothing}")]


def test_a_manifest_of_another_kind_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    honest_updates.others_submit()
    wrong = world.recorded(4)[0].update
    for station in world.stations[:2]:
        world.network.ledger.attest(station, world.twin, 4, wrong)
    (finding,) = world.findings()
    assert (finding.check, finding.where) == ("format", f"{MERGED}, manifest {wrong}")
    assert finding.got == "expected a twin-model manifest of schema 2, got station-update of 2"


def test_a_reference_whose_size_is_not_its_bytes_is_found(honest_updates: Liar) -> None:
    world = honest_updates.world
    ref = world.model_manifest(3).model
    honest_updates.collude(artifact=replace(ref, size=ref.size + 1))
    (finding,) = world.findings()
    assert (finding.check, finding.where) == ("format", MERGED)
    assert f"expected {ref.size + 1} bytes" in finding.got


def test_a_genesis_that_descends_from_another_twin_is_found(world: World) -> None:
    # The owner registers a second twin and names the first one's model, parents and all, as its genesis.
    registry, ledger, owner = world.network.registry, world.network.ledger, account(0)
    record = registry.twin_of(world.twin)
    name = "copy"
    manifest = TwinManifest(
        name,
        world.archive.manifest(TwinManifest, record.manifest).model_schema,
        world.model_manifest(3).rule,
        world.settings.policy,
        {},
    )
    registry.register_twin(owner, twin_id(name), world.archive.put_manifest(manifest), record.policy)
    head = world.model_manifest(3)
    ledger.genesis(owner, twin_id(name), head.digest)
    copy = World(world.network, world.path, world.keys, world.deployment, replace(world.settings, twin=name))
    expected = [
        Finding("model-manifest", "genesis, twin", copy.twin, world.twin),
        Finding("model-manifest", "genesis, round", "0", "3"),
        Finding("model-manifest", "genesis, parent", "None", world.final(2).model),
        Finding("model-manifest", "genesis, updates", "()", str(head.updates)),
        Finding("model-manifest", "genesis, examples", "0", str(head.examples)),
    ]
    assert copy.findings() == expected
    assert world.findings() == []


def aggregate(world: World, events: Sequence[UpdateSubmitted]) -> TwinModel:
    return weighted_mean([(world.archive.model(world.update_manifest(e).model), e.examples) for e in events])


def attest(liar: Liar, model: TwinModel, updates: tuple[UpdateRef, ...], examples: int) -> None:
    world = liar.world
    manifest = TwinModelManifest(
        twin=world.twin,
        round=liar.number,
        parent=liar.head,
        updates=updates,
        rule=world.model_manifest(3).rule,
        model=world.archive.put(model.to_bytes()),
        examples=examples,
        origin={},
    )
    digest = world.archive.put_manifest(manifest)
    for station in world.stations[:2]:
        world.network.ledger.attest(station, world.twin, liar.number, digest)
