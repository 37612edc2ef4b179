"""Hostile devices: whatever one sends, the station names it and the reason, absorbs nothing, and goes on without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, MetricRecord, RecordDict

from fl.errors import EngineError, StrategyError
from fl.strategies import StrategySpec
from tests.unit.fl.hostile import BAD, CHANGED, LOSS, SIGNED, Tamper, poisoned, replied, signed
from tests.unit.fl.liar import World, fail, require_all_accounted_for
from tests.unit.fl.world import Memory, account, bits, device, digest_of, genesis
from tests.unit.fl.world import trainers as make_trainers
from twins.errors import NonFiniteError
from twins.manifest import TwinPolicy
from twins.model import TwinModel
from twins.updates import RejectionReason as Why
from twins.updates import device_order, update_norm

pytestmark = pytest.mark.unit


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What the station makes of rounds 1 and 2 when nobody lies."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        untouched = World(tmp_path_factory.mktemp("honest"), monkeypatch)
    return bits([untouched.record(number).model for number in (1, 2)])


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> TwinModel:
    """What the station makes of round 2 when the device is away."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(tmp_path_factory.mktemp("away"), monkeypatch)
        world.record(1)
        world.hostile.tamper = fail
        return world.learn(2).model


@pytest.mark.parametrize(("why", "tamper"), [pytest.param(w, t, id=n) for n, w, t in (*CHANGED, *SIGNED)])
def test_attack_a_reply_that_must_not_be_aggregated_is_refused_with_its_reason_and_leaves_no_trace(
    why: Why, tamper: Tamper, world: World, honest: list[bytes], without: TwinModel
) -> None:
    first = world.record(1)
    world.hostile.tamper = tamper
    update = world.learn(2)
    (rejection,) = update.rejections
    assert (rejection.device, rejection.reason) == (device(BAD), why)
    assert rejection.detail
    require_all_accounted_for(update, world.trainer.roster)
    assert update.model == without
    world.hostile.tamper = None
    assert bits([first.model, world.record(2).model]) == honest


def test_every_reason_there_is_but_the_norm_and_the_missing_is_in_the_table_above() -> None:
    assert {why for _, why, _ in (*CHANGED, *SIGNED)} | {Why.NORM, Why.MISSING} == set(Why)


def test_the_hostile_device_is_believed_when_it_says_what_it_signed(world: World) -> None:
    """Or the attacks above could be refused for a reason of the test's own."""
    told = genesis(99)
    world.hostile.tamper = lambda request, reply: replied(request, signed(request, told, LOSS))
    (update,) = [update for update in world.learn(1).updates if update.device == device(BAD)]
    assert update.model() == told
    assert update.examples == 12
    assert update.metrics() == LOSS


def test_attack_nan_names_the_tensor(world: World) -> None:
    world.hostile.tamper = lambda q, r: replied(q, signed(q, poisoned(float("nan")), LOSS))
    assert "1 NaN or infinite values in tensor '2.bias'" in world.rejected(1).detail


def test_attack_a_replayed_reply_of_an_older_round_is_refused(world: World) -> None:
    kept: list[RecordDict] = []
    world.hostile.tamper = lambda request, reply: kept.append(reply.content)
    world.record(1)
    world.hostile.tamper = lambda request, reply: replied(request, kept[0])
    rejection = world.rejected(2)
    assert rejection.reason is Why.BASE
    assert "expected training for round 2" in rejection.detail


def test_attack_a_device_cannot_sign_for_its_neighbour(world: World) -> None:
    """It copies the whole reply of device 0, signature and all."""
    kept: list[RecordDict] = []
    world.hostile.node, mine = world.hostile.node - 1, world.hostile.node
    world.hostile.tamper = lambda request, reply: kept.append(reply.content)
    world.learn(1)
    world.hostile.node = mine
    world.hostile.tamper = lambda request, reply: replied(request, kept[0])
    rejection = world.rejected(1)
    assert (rejection.reason, rejection.detail) == (Why.SIGNATURE, f"it recovers to {device(0)}")


def moved(by: float) -> TwinModel:
    """The base, one weight of it moved."""
    tensors = {name: array.copy() for name, array in genesis().tensors.items()}
    tensors["2.bias"][1] += np.float32(by)
    return TwinModel(tensors)


def test_attack_a_scaled_update_is_refused_beyond_the_norm_of_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, policy=TwinPolicy(50.0, 0, True))
    world.hostile.tamper = lambda q, r: replied(q, signed(q, moved(51.0), LOSS))
    rejection = world.rejected(1)
    assert rejection.reason is Why.NORM
    assert "expected a norm of at most 50, got 50.99999" in rejection.detail
    world.hostile.tamper = lambda q, r: replied(q, signed(q, moved(49.0), LOSS))
    assert world.learn(1).rejections == ()


def test_a_norm_at_the_bound_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = update_norm(moved(2.0), genesis())
    for policy, refused in ((bound, 0), (np.nextafter(bound, 0), 1)):
        world = World(tmp_path, monkeypatch, policy=TwinPolicy(float(policy), 0, True))
        world.hostile.tamper = lambda q, r: replied(q, signed(q, moved(2.0), LOSS))
        assert [r.reason for r in world.learn(1).rejections].count(Why.NORM) >= refused
        assert (device(BAD) in {r.device for r in world.learn(1).rejections}) == bool(refused)


def test_identical_updates_of_two_devices_are_both_used(world: World) -> None:
    """Same weights and examples, each signed by its own device: no copy, as far as anybody can tell."""
    kept: list[RecordDict] = []
    world.hostile.node, mine = world.hostile.node - 1, world.hostile.node
    world.hostile.tamper = lambda request, reply: kept.append(reply.content)
    world.learn(1)
    (twin_of,) = [u for u in world.learn(1).updates if u.device == device(0)]
    world.hostile.node = mine
    world.hostile.tamper = lambda q, r: replied(
        q, signed(q, twin_of.model(), dict(twin_of.metrics()), twin_of.examples)
    )
    update = world.learn(1)
    assert update.rejections == ()
    assert [u.digest for u in update.updates].count(twin_of.digest) == 2


def test_a_truth_value_is_no_number_of_examples() -> None:
    """Flower's record refuses it before the station sees it."""
    with pytest.raises(TypeError, match="bool"):
        MetricRecord({"num-examples": True})


def test_a_device_that_raises_is_missing_with_its_kind_of_error_and_the_station_goes_on(
    world: World, honest: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Its text may tell of the device's files or data: it's for the station's log, not for a public record."""
    first = world.record(1)
    world.hostile.tamper = fail
    rejection = world.rejected(2)
    assert (rejection.reason, rejection.detail) == (Why.MISSING, "did not train: OSError")
    assert f"device {device(BAD)} did not train: OSError: its battery is empty" in caplog.text
    world.hostile.tamper = None
    assert bits([first.model, world.record(2).model]) == honest


def test_attack_a_text_of_many_lines_fits_the_record(world: World) -> None:
    def shout(request: Message, reply: Message) -> None:
        reply.content.metric_records["metrics"]["train_loss"] = [1] * 999
        reply.content.metric_records["metrics"]["no\npower\x00\ud800" * 999] = 1.0

    world.hostile.tamper = shout
    detail = world.rejected(1).detail
    assert len(detail) <= 200
    assert detail.isprintable()


def test_with_no_device_left_all_are_named_with_their_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl.station_trainer.app", lambda message, context: fail(message, message))
    (trainer,) = make_trainers(tmp_path, stations=1, devices=3)
    with pytest.raises(EngineError, match="expected one update that can be used at least, got none") as caught:
        trainer.learn(genesis(), digest_of(genesis()), 1, Memory())
    assert all(f"device {device(index)}: missing" in str(caught.value) for index in range(3))


def test_with_too_few_devices_left_for_krum_the_round_ends_with_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, StrategySpec("Krum", {"num_malicious_nodes": 1}), devices=5)
    world.learn(1)
    world.hostile.tamper = fail
    with pytest.raises(StrategyError, match=r"Krum with 1 malicious devices: expected at least 5 devices.*with 4"):
        world.learn(2)


def test_attack_finite_weights_whose_aggregate_is_not_leave_no_momentum_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite in float32 and signed, so believed; the strategy's own arithmetic overflows after it has changed state."""
    spec = StrategySpec("FedAvgM", {"server_momentum": 0.9, "server_learning_rate": 8.0})
    untouched, world = World(tmp_path, monkeypatch, spec), World(tmp_path, monkeypatch, spec)
    expected = bits([untouched.record(number).model for number in (1, 2, 3)])
    first = world.record(1)
    world.hostile.tamper = lambda q, r: replied(q, signed(q, poisoned(3e38), LOSS, 1_000_000))
    with np.errstate(over="ignore"), pytest.raises(NonFiniteError, match="aggregate of round 2 by FedAvgM"):
        world.learn(2)
    world.hostile.tamper = None
    assert bits([first.model, world.record(2).model, world.record(3).model]) == expected


def test_a_reply_is_held_against_the_device_that_was_enrolled_behind_the_node(world: World) -> None:
    """Not against the account that the reply names: that is the sender's to choose."""

    def claim(request: Message, reply: Message) -> Message:
        content = signed(request, genesis(99), LOSS, by="stranger")
        content.config_records["contribution"]["device"] = device(BAD)
        return replied(request, content)

    world.hostile.tamper = claim
    assert account("stranger") in world.rejected(1).detail


def test_updates_are_in_the_order_of_their_devices_as_the_bundle_wants_them(world: World) -> None:
    update = world.learn(1)
    devices = [u.device for u in update.updates]
    assert devices == sorted(devices, key=device_order) == list(world.trainer.roster)
    assert update.examples == sum(u.examples for u in update.updates)
