"""How good a model is on the devices' own data: nobody's failure and nobody's lie stops the station."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.app import Message

from fl.errors import EngineError
from tests.unit.fl.hostile import BAD
from tests.unit.fl.liar import World, fail
from tests.unit.fl.world import device, genesis
from tests.unit.fl.world import trainers as make_trainers

pytestmark = pytest.mark.unit


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_device_that_raises_in_a_test_is_left_out_and_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    whole = world.trainer.evaluate(genesis())
    world.hostile.tamper = fail
    assert world.trainer.evaluate(genesis()).examples == whole.examples - 5
    assert f"device {device(BAD)} did not evaluate: OSError: its battery is empty" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [("correct", 6), ("correct", -1), ("correct", 1.0), ("num-examples", 2**40), ("loss", float("nan")), ("loss", 1)],
)
def test_attack_a_lie_about_a_test_that_no_record_could_hold_is_left_out(
    name: str, value: float, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def lie(request: Message, reply: Message) -> None:
        reply.content.metric_records["metrics"][name] = value

    world.hostile.tamper = lie
    assert world.trainer.evaluate(genesis()).examples == 10
    assert device(BAD) in caplog.text


def test_attack_a_test_without_its_numbers_is_left_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def tamper(request: Message, reply: Message) -> None:
        del reply.content["metrics"]

    world.hostile.tamper = tamper
    assert world.trainer.evaluate(genesis()).examples == 10
    assert f"device {device(BAD)} did not evaluate: KeyError" in caplog.text


def test_when_no_device_can_test_all_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl.station_trainer.app", lambda message, context: fail(message, message))
    (trainer,) = make_trainers(tmp_path, stations=1, devices=2)
    with pytest.raises(EngineError, match="expected one device at least") as caught:
        trainer.evaluate(genesis())
    assert all(f"device {device(index)} did not evaluate" in str(caught.value) for index in range(2))
