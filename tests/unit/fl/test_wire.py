"""What travels between processes: the messages themselves, with what they share, and of a verified reply the update."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fl._flower_private import identify_server, set_message_id
from fl.arrays import from_record, to_record
from fl.checked import CheckAll, CheckedReply, checked_update
from fl.client_app import RoundConfig, app
from fl.engines import Call, LocalEngine
from fl.errors import UpdateRejectedError
from fl.verification import Verifier
from fl.wire import pack_calls, pack_replies, unpack_calls, unpack_replies
from tests.unit.fl.world import DOMAIN, TWIN, device, digest_of, genesis, trainers
from twins.types import Address
from twins.updates import DeviceUpdate

pytestmark = pytest.mark.unit


def calls_of(folder: Path, devices: int = 3) -> tuple[list[Call], RoundConfig, dict[int, Address]]:
    """Messages to a station's devices, as its strategy makes them."""
    trainer = trainers(folder, stations=1, devices=devices)[0]
    grid = trainer._grid
    config = RoundConfig(1, 1, TWIN, trainer._station, digest_of(genesis()), DOMAIN)
    content = RecordDict({"arrays": to_record(genesis()), "config": config.to_record()})
    identify_server(1)
    messages = [Message(content, node, MessageType.TRAIN, group_id="1") for node in grid.get_node_ids()]
    for number, message in enumerate(messages):
        set_message_id(message, f"m-{number}")
    return [(message, grid._contexts[message.metadata.dst_node_id]) for message in messages], config, trainer._accounts


def test_messages_and_contexts_come_as_they_were_sent(tmp_path: Path) -> None:
    calls, _, _ = calls_of(tmp_path)
    calls[1][1].state["kept"] = MetricRecord({"a": [1, 2]})
    arrived = unpack_calls(pickle.loads(pickle.dumps(pack_calls(calls))))
    for (message, context), (same, there) in zip(calls, arrived, strict=True):
        assert vars(same.metadata) == vars(message.metadata)
        assert same.content.config_records == message.content.config_records
        assert from_record(same.content["arrays"]) == genesis()  # type: ignore[arg-type]
        assert there == context
    bases = {id(from_record(message.content["arrays"])) for message, _ in arrived}  # type: ignore[arg-type]
    assert len(bases) == 1, "the model must travel once"


def test_a_verified_reply_comes_as_its_update(tmp_path: Path) -> None:
    calls, config, accounts = calls_of(tmp_path)
    verifier = Verifier(config, genesis())
    replies = LocalEngine().run(app, calls, lambda node: None)
    packed = pickle.loads(pickle.dumps(pack_replies(replies, calls, CheckAll(verifier, accounts))))
    for reply, (message, _), (got, _) in zip(replies, calls, unpack_replies(packed), strict=True):
        account = accounts[message.metadata.dst_node_id]
        expected = verifier.verified(account, reply)
        assert isinstance(got, CheckedReply)
        update = checked_update(verifier, account, got)
        assert update == expected
        assert (update.digest, update.entry, update.metrics()) == (expected.digest, expected.entry, expected.metrics())
        assert update.entry.leaf_digest == expected.entry.leaf_digest
        assert (got.has_content(), got.has_error()) == (True, False)
        assert vars(got.metadata) == vars(reply.metadata)
        assert from_record(got.content["arrays"]) == expected.model()  # type: ignore[arg-type]
        assert got.content["metrics"] == reply.content["metrics"]
        assert checked_update(verifier, device(99), got) is None, "another device's update"


def test_what_is_not_verified_comes_as_it_was_said(tmp_path: Path) -> None:
    calls, config, accounts = calls_of(tmp_path)
    replies = LocalEngine().run(app, calls, lambda node: None)
    stated = replies[0].content["contribution"]
    stated["signature"] = bytes(65)  # type: ignore[index]
    replies[1] = Message(Error(7, "no data"), reply_to=calls[1][0])
    other = Verifier(replace(config, base=digest_of(genesis(7))), genesis())
    for check in (CheckAll(Verifier(config, genesis()), accounts), CheckAll(other, accounts), None):
        packed = pickle.loads(pickle.dumps(pack_replies(replies[:2], calls[:2], check)))
        (forged, _), (failed, _) = unpack_replies(packed)
        assert type(forged) is Message
        assert forged.content["contribution"] == stated
        assert checked_update(Verifier(config, genesis()), accounts[calls[0][0].metadata.dst_node_id], forged) is None
        assert failed.has_error()
        assert failed.error.reason == "no data"


def test_what_an_app_keeps_in_its_state_comes_back(tmp_path: Path) -> None:
    calls, _, _ = calls_of(tmp_path, devices=1)
    ((message, context),) = calls
    context = Context(1, context.node_id, {}, RecordDict({"seen": ConfigRecord({"rounds": [1, 2]})}), {})
    reply = Message(RecordDict(), reply_to=message)
    ((_, state),) = unpack_replies(pickle.loads(pickle.dumps(pack_replies([reply], [(message, context)], None))))
    assert state == context.state


def test_attack_a_device_cannot_say_that_its_reply_is_verified_already(tmp_path: Path) -> None:
    calls, config, accounts = calls_of(tmp_path, devices=1)
    ((message, context),) = calls
    account = accounts[context.node_id]
    forged = DeviceUpdate.of(account, 5, genesis(8), {"train_loss": 0.1}, bytes(65))
    hostile = ClientApp()

    @hostile.train()
    def lie(message: Message, context: Context) -> Message:
        return CheckedReply(Message(RecordDict(), reply_to=message).metadata, forged)

    verifier = Verifier(config, genesis())
    (reply,) = LocalEngine().run(hostile, calls, lambda node: None)
    assert reply.has_error()
    assert checked_update(verifier, account, reply) is None
    lying = CheckedReply(Message(RecordDict(), reply_to=message).metadata, forged)
    ((arrived, _),) = unpack_replies(
        pickle.loads(pickle.dumps(pack_replies([lying], calls, CheckAll(verifier, accounts))))
    )
    assert checked_update(verifier, account, arrived) is None
    with pytest.raises(UpdateRejectedError):
        verifier.verified(account, arrived)
