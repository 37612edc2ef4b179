"""Hostile devices: whatever one sends, the station names it, absorbs nothing, and goes on without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, MetricRecord, RecordDict

from fl.errors import EngineError, NonFiniteUpdateError, UpdateRejectedError
from fl.strategies import StrategySpec
from tests.unit.fl.hostile import BAD, CHANGED, LOSS, SIGNED, poisoned, replied, signed
from tests.unit.fl.world import Hostile, Memory, account, bits, device, digest_of, genesis
from tests.unit.fl.world import trainers as make_trainers
from twins.errors import NonFiniteError
from twins.updates import RecordedRound, StationUpdate, device_order

pytestmark = pytest.mark.unit

MEMORY = StrategySpec("FedAvgM", {"server_momentum": 0.9})
"""A strategy with a memory: what it must not absorb would show in every later round."""


class World:
    """One station of three devices, one of which lies when it is told how."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, spec: StrategySpec = MEMORY) -> None:
        self.hostile = Hostile(BAD)
        monkeypatch.setattr("fl.station_trainer.app", self.hostile)
        (self.trainer,) = make_trainers(folder, stations=1, devices=3, spec=spec)
        self.memory = Memory()

    def learn(self, number: int) -> StationUpdate:
        return self.trainer.learn(genesis(), digest_of(genesis()), number, self.memory)

    def record(self, number: int) -> StationUpdate:
        update = self.learn(number)
        self.memory.recorded.append(RecordedRound(number, genesis(), update.updates, update.rule))
        return update


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What the station makes of rounds 1 and 2 when nobody lies."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        untouched = World(tmp_path_factory.mktemp("honest"), monkeypatch)
    return bits([untouched.record(number).model for number in (1, 2)])


@pytest.mark.parametrize("tamper", [pytest.param(t, id=n) for n, t in (*CHANGED, *SIGNED)])
def test_attack_a_reply_that_must_not_be_aggregated_is_refused_and_leaves_no_trace(
    tamper: Callable[[Message, Message], Message | None], world: World, honest: list[bytes]
) -> None:
    first = world.record(1)
    world.hostile.tamper = tamper
    with pytest.raises(UpdateRejectedError) as caught:
        world.learn(2)
    assert caught.value.device == device(BAD)
    assert device(BAD) in str(caught.value)
    world.hostile.tamper = None
    assert bits([first.model, world.record(2).model]) == honest


def test_the_hostile_device_is_believed_when_it_says_what_it_signed(world: World) -> None:
    """Or the attacks above could be refused for a reason of the test's own."""
    told = genesis(99)
    world.hostile.tamper = lambda request, reply: replied(request, signed(request, told, LOSS))
    (update,) = [update for update in world.learn(1).updates if update.device == device(BAD)]
    assert update.model() == told
    assert update.examples == 12
    assert update.metrics() == LOSS


def test_attack_nan_names_the_device_and_the_tensor(world: World) -> None:
    world.hostile.tamper = lambda q, r: replied(q, signed(q, poisoned(float("nan")), LOSS))
    with pytest.raises(NonFiniteUpdateError, match=rf"{device(BAD)}.*1 NaN or infinite values in tensor '2\.bias'"):
        world.learn(1)


def test_attack_a_replayed_reply_of_an_older_round_is_refused(world: World) -> None:
    kept: list[RecordDict] = []
    world.hostile.tamper = lambda request, reply: kept.append(reply.content)
    world.record(1)
    world.hostile.tamper = lambda request, reply: replied(request, kept[0])
    with pytest.raises(UpdateRejectedError, match="its signature"):
        world.learn(2)


def test_attack_a_device_cannot_sign_for_its_neighbour(world: World) -> None:
    """It copies the whole reply of device 0, signature and all."""
    kept: list[RecordDict] = []
    world.hostile.node, mine = world.hostile.node - 1, world.hostile.node
    world.hostile.tamper = lambda request, reply: kept.append(reply.content)
    world.learn(1)
    world.hostile.node = mine
    world.hostile.tamper = lambda request, reply: replied(request, kept[0])
    with pytest.raises(UpdateRejectedError, match=rf"{device(BAD)}.*recovers to {device(0)}"):
        world.learn(1)


def test_a_truth_value_is_no_number_of_examples() -> None:
    """Flower's record refuses it before the station sees it."""
    with pytest.raises(TypeError, match="bool"):
        MetricRecord({"num-examples": True})


def test_a_device_that_raises_is_named_with_its_error_and_the_station_goes_on(
    world: World, honest: list[bytes]
) -> None:
    def fail(request: Message, reply: Message) -> None:
        raise OSError("its battery is empty")

    first = world.record(1)
    world.hostile.tamper = fail
    with pytest.raises(EngineError, match=rf"device {device(BAD)} did not train: OSError: its battery is empty"):
        world.learn(2)
    world.hostile.tamper = None
    assert bits([first.model, world.record(2).model]) == honest


def test_a_device_that_raises_in_a_test_is_named(world: World) -> None:
    def fail(request: Message, reply: Message) -> None:
        raise OSError("its battery is empty")

    world.hostile.tamper = fail
    with pytest.raises(EngineError, match=rf"device {device(BAD)} did not evaluate: OSError"):
        world.trainer.evaluate(genesis())


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
    with pytest.raises(UpdateRejectedError, match=account("stranger")):
        world.learn(1)


def test_updates_are_in_the_order_of_their_devices_as_the_bundle_wants_them(world: World) -> None:
    update = world.learn(1)
    devices = [u.device for u in update.updates]
    assert devices == sorted(devices, key=device_order) == list(world.trainer.roster)
    assert update.examples == sum(u.examples for u in update.updates)
