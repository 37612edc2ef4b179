"""Devices elsewhere: the same update as in one process, whoever is missing, late or started anew."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from fl import deployed
from fl._flower_private import set_message_id
from fl.client_app import app
from fl.deployed import Connected, DeployedEngine, Patience, SuperLink
from fl.errors import EngineError
from fl.tier1 import FIRST_NODE
from tests.unit.fl import tiny
from tests.unit.fl.world import Memory, digest_of, genesis, key_files, trainers
from twins.updates import RejectionReason, StationUpdate

pytestmark = pytest.mark.unit

DEVICES = 3
RUN = 4711


def over_the_wire(message: Message) -> Message:
    """What arrives of a message: Flower's own bytes of it, read again."""
    objects = {name: part.deflate() for name, part in get_all_nested_objects(message).items()}
    arrived = inflate_object_from_contents(message.object_id, objects)
    assert isinstance(arrived, Message)
    set_message_id(arrived, message.metadata.message_id)
    return arrived


class Elsewhere(Grid):
    """A SuperLink with SuperNodes, without the network: messages are serialised, replies come back last first.

    Attributes:
        online: places whose SuperNodes are connected.
        silent: places that take a message and never answer.
        starts: how often each place's SuperNode was started.
    """

    def __init__(self, folder: Path) -> None:
        files = key_files(folder, DEVICES)
        self.nodes = {FIRST_NODE + i: Connected(10**18 + 7 * (DEVICES - i), "first") for i in range(DEVICES)}
        self.contexts = {
            place: Context(
                run_id=RUN,
                node_id=at.node,
                node_config={
                    "dataset": tiny.NAME,
                    "split": "plain",
                    "partition-id": place - FIRST_NODE,
                    "num-partitions": DEVICES,
                    "key-file": str(files[place - FIRST_NODE]),
                },
                state=RecordDict(),
                run_config={},
            )
            for place, at in self.nodes.items()
        }
        self.online, self.silent, self.pushed = set(self.nodes), set[int](), 0
        self._ids, self._replies = itertools.count(1), dict[str, Message]()

    def locate(self) -> dict[int, Connected]:
        return {place: at for place, at in self.nodes.items() if place in self.online}

    def restart(self, place: int) -> None:
        self.nodes[place] = Connected(self.nodes[place].node, "again")
        self.silent.discard(place)

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        return Run.create_empty(RUN)

    def create_message(self, *arguments: object, **named: object) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> list[int]:
        return [at.node for at in self.locate().values()]

    def get_nodes(self) -> list[NodeInfo]:
        return [
            NodeInfo(node_id=at.node, public_key=b"key %d" % place, last_activated_at=at.since)
            for place, at in self.locate().items()
        ]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            self.pushed += 1
            assert message.metadata.run_id == RUN
            place = next(p for p, at in self.nodes.items() if at.node == message.metadata.dst_node_id)
            identity = f"id {next(self._ids)}"
            set_message_id(message, identity)
            ids.append(identity)
            if place not in self.silent:
                TaskIdentity.node_id = message.metadata.dst_node_id
                self._replies[identity] = over_the_wire(app(over_the_wire(message), self.contexts[place]))
                TaskIdentity.node_id = 1
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return [self._replies.pop(identity) for identity in list(message_ids)[::-1] if identity in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        raise NotImplementedError


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed, "_POLL", 0.001)
    monkeypatch.setattr(deployed, "_LOOK", 0.01)


def learn(folder: Path, engine: DeployedEngine | None) -> StationUpdate:
    (trainer,) = trainers(folder, stations=1, devices=DEVICES, engine=engine)
    base = genesis()
    return trainer.learn(base, digest_of(base), 1, Memory())


def missing(update: StationUpdate) -> list[tuple[str, RejectionReason, str]]:
    return [(one.device, one.reason, one.detail) for one in update.rejections]


def test_the_update_is_bit_for_bit_that_of_one_process(elsewhere: Elsewhere, tmp_path: Path) -> None:
    apart = learn(tmp_path, DeployedEngine(elsewhere, elsewhere.locate))
    together = learn(tmp_path, None)
    assert apart.model.to_bytes() == together.model.to_bytes()
    assert [(u.device, u.payload, u.signature) for u in apart.updates] == [
        (u.device, u.payload, u.signature) for u in together.updates
    ]
    assert apart == together


def test_a_test_of_a_model_counts_as_in_one_process(elsewhere: Elsewhere, tmp_path: Path) -> None:
    options = {"stations": 1, "devices": DEVICES}
    (apart,) = trainers(tmp_path, engine=DeployedEngine(elsewhere, elsewhere.locate), **options)  # type: ignore[arg-type]
    (together,) = trainers(tmp_path, **options)  # type: ignore[arg-type]
    assert apart.evaluate(genesis()) == together.evaluate(genesis())


def test_who_is_not_connected_is_waited_for_once_and_recorded(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.online.discard(FIRST_NODE + 1)
    engine = DeployedEngine(elsewhere, elsewhere.locate, Patience(gather=0.05))
    update = learn(tmp_path, engine)
    assert len(update.updates) == DEVICES - 1
    ((_, reason, detail),) = missing(update)
    assert (reason, detail) == (RejectionReason.MISSING, f"did not train: error {ErrorCode.NODE_UNAVAILABLE}")
    waits: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployed, "time", SimpleNamespace(sleep=waits.append, monotonic=deployed.time.monotonic))
        assert learn(tmp_path, engine).rejections == update.rejections
    assert 0.005 not in waits, "waited for it again"
    elsewhere.online.add(FIRST_NODE + 1)  # it comes late
    assert learn(tmp_path, engine).rejections == ()


def test_who_does_not_answer_in_time_is_recorded(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.silent.add(FIRST_NODE)
    update = learn(tmp_path, DeployedEngine(elsewhere, elsewhere.locate, Patience(deadline=0.2)))
    ((_, reason, detail),) = missing(update)
    assert (reason, detail) == (RejectionReason.MISSING, f"did not train: error {ErrorCode.MESSAGE_UNAVAILABLE}")


def test_who_was_started_anew_is_sent_its_message_again(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.silent.add(FIRST_NODE)
    calls = itertools.count()

    def locate() -> dict[int, Connected]:
        if next(calls) == 2:
            elsewhere.restart(FIRST_NODE)
        return elsewhere.locate()

    update = learn(tmp_path, DeployedEngine(elsewhere, locate, Patience(deadline=20.0)))
    assert (len(update.updates), elsewhere.pushed) == (DEVICES, DEVICES + 1)


def test_an_error_of_the_superlink_stands_for_the_devices_reply(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest: Callable[..., list[Message]] = elsewhere.pull_messages

    def broken(ids: Iterable[str]) -> list[Message]:
        first, *others = honest(ids)
        return [Message(Error(ErrorCode.CLIENT_APP_CRASHED, "/a/path"), reply_to=first), *others] if others else [first]

    def with_first_id(ids: Iterable[str]) -> list[Message]:
        replies = broken(ids)
        for reply in replies:
            if reply.has_error():
                reply.metadata.__dict__["_reply_to_message_id"] = list(ids)[-1]
        return replies

    monkeypatch.setattr(elsewhere, "pull_messages", with_first_id)
    ((_, reason, detail),) = missing(learn(tmp_path, DeployedEngine(elsewhere, elsewhere.locate)))
    assert (reason, detail) == (RejectionReason.MISSING, f"did not train: error {ErrorCode.CLIENT_APP_CRASHED}")


@pytest.mark.parametrize("array", [Array(np.zeros(8, np.uint8)), Array("uint8", (8,), "numpy.ndarray", b"nonsense")])
def test_attack_a_model_that_cannot_be_unpacked_is_refused_by_name_and_the_round_goes_on(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, array: Array
) -> None:
    honest: Callable[..., list[Message]] = elsewhere.pull_messages

    def tampered(ids: Iterable[str]) -> list[Message]:
        replies = honest(ids)
        for reply in replies[:1]:
            assert list(reply.content["arrays"]) == ["safetensors"], "a model is one object on the wire"
            reply.content["arrays"] = ArrayRecord({"safetensors": array})
        return replies

    monkeypatch.setattr(elsewhere, "pull_messages", tampered)
    update = learn(tmp_path, DeployedEngine(elsewhere, elsewhere.locate))
    assert len(update.updates) == DEVICES - 1
    ((_, reason, _),) = missing(update)
    assert reason in (RejectionReason.MALFORMED, RejectionReason.SIGNATURE)


def test_a_superlink_that_takes_nothing_is_an_error(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.push_messages = lambda messages: [None for _ in messages]  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(EngineError, match="none of them"):
        learn(tmp_path, DeployedEngine(elsewhere, elsewhere.locate))


def test_nodes_are_known_by_their_keys(elsewhere: Elsewhere) -> None:
    elsewhere.online.discard(FIRST_NODE)
    link = SuperLink(elsewhere)
    assert link.connected() == {b"key %d" % place: at for place, at in elsewhere.locate().items()}
