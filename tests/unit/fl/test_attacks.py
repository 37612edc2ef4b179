"""Hostile devices: whatever one sends, the station names it, absorbs nothing, and goes on without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from fl.arrays import from_record, to_record
from fl.client_app import RoundConfig
from fl.errors import EngineError, NonFiniteUpdateError, UpdateRejectedError
from fl.station_trainer import StationTrainer
from fl.strategies import StrategySpec
from fl.strategy import StationStrategy
from tests.unit.fl.world import DOMAIN, SEED, TWIN, Hostile, Memory, account, bits, device, digest_of, genesis, key
from tests.unit.fl.world import trainers as make_trainers
from twins.contribution import Contribution, SigningDomain
from twins.errors import TwinsError
from twins.model import TwinModel
from twins.types import Address, sha256_digest
from twins.updates import DeviceUpdate, RecordedRound, StationUpdate

pytestmark = pytest.mark.unit

BAD = 1
"""The device that lies."""

STATION = account("station 0")
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


@pytest.fixture
def honest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the station makes of rounds 1 to 3 when nobody lies."""
    untouched = World(tmp_path, monkeypatch)
    return bits([untouched.record(number).model for number in (1, 2, 3)])


def aggregated(trainer: StationTrainer) -> list[int]:
    return list(trainer._aggregator.rounds)


def signed(
    request: Message,
    model: TwinModel,
    metrics: dict[str, object],
    examples: object = 12,
    *,
    by: str = f"device {BAD}",
    change: Callable[[RoundConfig], RoundConfig] = lambda config: config,
    record: ArrayRecord | None = None,
) -> RecordDict:
    """Return a reply that its device really signed: a hostile device has a key of its own."""
    config = change(RoundConfig.from_record(request.content.config_records["config"]))
    payload = DeviceUpdate.encode_payload(model, metrics)  # type: ignore[arg-type]
    digest = sha256_digest(payload)
    statement = Contribution(config.twin, config.round, config.station, config.base, digest, int(examples))  # type: ignore[call-overload]
    return RecordDict(
        {
            "arrays": record or to_record(model),
            "metrics": MetricRecord({"num-examples": examples, **metrics}),  # type: ignore[dict-item]
            "contribution": ConfigRecord(
                {"device": account(by), "digest": digest, "signature": statement.sign(config.domain, key(by))}
            ),
        }
    )


def replied(request: Message, content: RecordDict) -> Message:
    return Message(content, reply_to=request)


LOSS: dict[str, object] = {"train_loss": 0.5}


def poisoned(value: float) -> TwinModel:
    tensors = {name: array.copy() for name, array in genesis().tensors.items()}
    tensors["2.bias"][1] = value
    return TwinModel(tensors)


def drop(name: str) -> Callable[[Message, Message], None]:
    def tamper(request: Message, reply: Message) -> None:
        del reply.content[name]

    return tamper


def bent(name: str, change: Callable[[RecordDict], None]) -> tuple[str, Callable[[Message, Message], None]]:
    return name, lambda request, reply: change(reply.content)


def set_weights(content: RecordDict, model: TwinModel) -> None:
    content["arrays"] = to_record(model)


def set_metric(content: RecordDict, name: str, value: object) -> None:
    content.metric_records["metrics"][name] = value  # type: ignore[assignment]


def nudge(content: RecordDict) -> None:
    tensors = {n: a.copy() for n, a in from_record(content.array_records["arrays"]).tensors.items()}
    tensors["0.bias"][0] = np.nextafter(tensors["0.bias"][0], np.float32(9))
    set_weights(content, TwinModel(tensors))


def garbage(content: RecordDict, data: bytes, stype: str = "numpy.ndarray") -> None:
    arrays = content.array_records["arrays"]
    old = arrays["0.bias"]
    arrays["0.bias"] = Array(dtype=old.dtype, shape=old.shape, stype=stype, data=data)


def bit_flipped(content: RecordDict) -> None:
    signature = bytearray(content.config_records["contribution"]["signature"])  # type: ignore[arg-type]
    signature[7] ^= 1
    content.config_records["contribution"]["signature"] = bytes(signature)


def malleated(content: RecordDict) -> None:
    """The other valid signature of the same statement (EIP-2)."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    old = bytes(content.config_records["contribution"]["signature"])  # type: ignore[arg-type]
    s = order - int.from_bytes(old[32:64], "big")
    new = old[:32] + s.to_bytes(32, "big") + bytes([55 - old[64]])
    content.config_records["contribution"]["signature"] = new


def shaped(shape: tuple[int, ...]) -> TwinModel:
    return TwinModel({**genesis().tensors, "2.bias": np.zeros(shape, np.float32)})


# After signing: a station, or whoever carries the message, that would change what the device said.
CHANGED = [
    bent("one weight by its last bit", nudge),
    bent("all weights", lambda content: set_weights(content, genesis(99))),
    bent("the loss", lambda content: set_metric(content, "train_loss", 0.25)),
    bent("one more metric", lambda content: set_metric(content, "bonus", 1.0)),
    bent("more examples than signed", lambda content: set_metric(content, "num-examples", 10_000)),
    bent("fewer examples than signed", lambda content: set_metric(content, "num-examples", 1)),
    bent("no examples", lambda content: set_metric(content, "num-examples", 0)),
    bent("a negative number of examples", lambda content: set_metric(content, "num-examples", -12)),
    bent("a fraction of examples", lambda content: set_metric(content, "num-examples", 12.0)),
    bent("a list of examples", lambda content: set_metric(content, "num-examples", [12])),
    bent("the loss gone", lambda content: content.metric_records["metrics"].pop("train_loss")),
    bent("no number of examples", lambda content: content.metric_records["metrics"].pop("num-examples")),
    bent("a NaN loss", lambda content: set_metric(content, "train_loss", float("nan"))),
    bent("a bit of the signature", bit_flipped),
    bent("the signature malleated", malleated),
    bent("no signature", lambda content: content.config_records["contribution"].pop("signature")),
    bent("a short signature", lambda c: c.config_records["contribution"].update(signature=b"\x1b" * 64)),
    bent("a text as signature", lambda c: c.config_records["contribution"].update(signature="0x" + "1b" * 65)),
    bent("a list as signature", lambda c: c.config_records["contribution"].update(signature=[b"\x1b"] * 65)),
    bent("zeros as signature", lambda c: c.config_records["contribution"].update(signature=bytes(64) + b"\x1b")),
    bent("an array that is no array", lambda content: garbage(content, b"garbage")),
    bent("an empty array", lambda content: garbage(content, b"")),
    bent("an array of another kind", lambda content: garbage(content, b"x", "pickle")),
    bent("an array too few", lambda content: content.array_records["arrays"].pop("0.bias")),
    bent("no arrays", lambda content: content.array_records["arrays"].clear()),
    ("no record of arrays", drop("arrays")),
    ("no record of metrics", drop("metrics")),
    ("no record of the contribution", drop("contribution")),
]

# Signed by the device itself, which may sign what it likes.
SIGNED: list[tuple[str, Callable[[Message, Message], Message]]] = [
    ("NaN", lambda q, r: replied(q, signed(q, poisoned(float("nan")), LOSS))),
    ("infinity", lambda q, r: replied(q, signed(q, poisoned(float("-inf")), LOSS))),
    ("another shape", lambda q, r: replied(q, signed(q, shaped((4,)), LOSS))),
    ("a shape that would broadcast", lambda q, r: replied(q, signed(q, shaped((1,)), LOSS))),
    (
        "one tensor too many",
        lambda q, r: replied(q, signed(q, TwinModel({**genesis().tensors, "x": np.ones(1, "f4")}), LOSS)),
    ),
    ("no loss", lambda q, r: replied(q, signed(q, genesis(99), {}))),
    ("no examples", lambda q, r: replied(q, signed(q, genesis(99), LOSS, 0))),
    ("more examples than JSON can count", lambda q, r: replied(q, signed(q, genesis(99), LOSS, 2**60))),
    ("more examples than the chain can count", lambda q, r: replied(q, {**signed(q, genesis(99), LOSS)} and _huge(q))),
    ("a list as loss", lambda q, r: replied(q, signed(q, genesis(99), {"train_loss": [0.5]}))),
    ("another device's key", lambda q, r: replied(q, signed(q, genesis(99), LOSS, by="device 0"))),
    ("a key that nobody enrolled", lambda q, r: replied(q, signed(q, genesis(99), LOSS, by="stranger"))),
    ("an older round", lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_older))),
    ("another twin", lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_twin))),
    ("another station", lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_station))),
    ("another base", lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_base))),
    ("another chain", lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_chain))),
    ("another contract", lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_contract))),
]


def _huge(request: Message) -> RecordDict:
    content = signed(request, genesis(99), LOSS)
    set_metric(content, "num-examples", 2**70)
    return content


def _older(config: RoundConfig) -> RoundConfig:
    return replace(config, round=config.round - 1)


def _other_twin(config: RoundConfig) -> RoundConfig:
    return replace(config, twin=digest_of(genesis(98)))


def _other_station(config: RoundConfig) -> RoundConfig:
    return replace(config, station=account("station 1"))


def _other_base(config: RoundConfig) -> RoundConfig:
    return replace(config, base=digest_of(genesis(98)))


def _other_chain(config: RoundConfig) -> RoundConfig:
    return replace(config, domain=SigningDomain(1, config.domain.contract))


def _other_contract(config: RoundConfig) -> RoundConfig:
    return replace(config, domain=SigningDomain(config.domain.chain_id, account("contract")))


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
    assert aggregated(world.trainer) == [1]
    world.hostile.tamper = None
    assert bits([first.model, world.record(2).model, world.record(3).model]) == honest
    assert world.memory.loads == 0


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
    assert aggregated(world.trainer) == []


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
    assert aggregated(world.trainer) == [1]
    world.hostile.tamper = None
    assert bits([first.model, world.record(2).model, world.record(3).model]) == honest


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
    with np.errstate(over="ignore"), pytest.raises((TwinsError, EngineError, Exception)) as caught:
        world.learn(2)
    assert not isinstance(caught.value, AssertionError)
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
    devices: list[Address] = [u.device for u in update.updates]
    assert devices == sorted(devices, key=str.lower) == list(world.trainer.roster)
    assert update.examples == sum(u.examples for u in update.updates)
    assert isinstance(StationStrategy, type)
    assert (TWIN, SEED, DOMAIN.chain_id) and update.station == STATION
