"""The in-process grid, and what of Flower it stands on."""

from __future__ import annotations

import itertools

import flwr
import pytest
from flwr.app import ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from fl._flower_private import SERVER_NODE, identify_server, record_with, reply_with, set_message_id, with_content
from fl.arrays import to_record
from fl.grid import InProcessGrid
from tests.unit.fl.world import genesis

pytestmark = pytest.mark.unit

FLOWER = "1.41.0"
"""Whose private parts `fl._flower_private` was written for."""

NODES = {2: {"name": "two"}, 3: {"name": "three"}, 5: {"name": "five"}}


def echo(message: Message, context: Context) -> Message:
    config = message.content.config_records["config"]
    if config.get("raise") == context.node_id:
        raise ValueError("the disk is full")
    config["seen"] = str(context.node_config["name"])
    metrics = MetricRecord({"node": context.node_id})
    return Message(RecordDict({"metrics": metrics, "config": config}), reply_to=message)


def make_app() -> ClientApp:
    app = ClientApp()
    app.train()(echo)
    return app


def make_grid() -> InProcessGrid:
    return InProcessGrid(make_app(), NODES)


def requests(grid: InProcessGrid, nodes: tuple[int, ...], content: RecordDict | None = None) -> list[Message]:
    shared = content or RecordDict({"config": ConfigRecord({"raise": 0})})
    grid.get_node_ids()
    return [Message(shared, node, MessageType.TRAIN) for node in nodes]


def nodes_of(replies: list[Message]) -> list[int]:
    return [reply.metadata.src_node_id for reply in replies]


def test_flower_is_the_version_that_this_was_written_for() -> None:
    assert flwr.__version__ == FLOWER, (
        f"fl/_flower_private.py uses private parts of Flower {FLOWER}, here is {flwr.__version__}: "
        "read the tests of this file, try them, then raise FLOWER and the version in requirements/"
    )


def test_the_private_parts_of_flower_behave_as_is_relied_on() -> None:
    TaskIdentity.run_id, TaskIdentity.node_id = 0, 0
    identify_server(77)
    message = Message(RecordDict(), 9, MessageType.TRAIN)
    assert (message.metadata.run_id, message.metadata.src_node_id) == (77, SERVER_NODE)
    assert message.metadata.message_id == ""
    set_message_id(message, "m-1")
    assert message.metadata.message_id == "m-1"
    reply = Message(RecordDict(), reply_to=message)
    assert (reply.metadata.reply_to_message_id, reply.metadata.src_node_id) == ("m-1", 9)
    other = with_content(message, RecordDict({"config": ConfigRecord({"a": 1})}))
    assert other.metadata.message_id == "m-1"
    assert "config" not in message.content
    assert Message(RecordDict(), reply_to=other).metadata.reply_to_message_id == "m-1"


def test_what_is_made_past_flowers_checks_is_what_flower_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    identify_server(77)
    message = Message(RecordDict(), 9, MessageType.TRAIN, ttl=60.0, group_id="3", dst_task_id=5)
    set_message_id(message, "m-1")
    monkeypatch.setattr("time.time", lambda: message.metadata.created_at + 1)
    values = {"a": 1, "b": 0.5}
    content = record_with(RecordDict, {"m": record_with(MetricRecord, values), "c": record_with(ConfigRecord, values)})
    expected = RecordDict({"m": MetricRecord(values), "c": ConfigRecord(values)})
    assert content == expected
    assert [type(record) for record in content.values()] == [MetricRecord, ConfigRecord]
    assert (vars(content).keys(), content.object_id) == (vars(expected).keys(), expected.object_id)
    with pytest.raises(TypeError):  # it checks what comes later
        content["c"]["d"] = None  # type: ignore[call-overload, index]
    made, flowers = reply_with(content, message), Message(content, reply_to=message)
    made.metadata.created_at, made.metadata.ttl = flowers.metadata.created_at, flowers.metadata.ttl
    assert made.metadata == flowers.metadata
    assert vars(made).keys() == vars(flowers).keys()
    assert vars(with_content(message, content)).keys() == vars(message).keys()
    assert reply_with(content, message).metadata.ttl == pytest.approx(59.0)


@pytest.mark.parametrize("order", itertools.permutations((2, 3, 5)))
def test_replies_come_sorted_by_node_whatever_the_order_of_the_messages(order: tuple[int, ...]) -> None:
    grid = make_grid()
    assert nodes_of(grid.send_and_receive(requests(grid, order))) == [2, 3, 5]
    ids = grid.push_messages(requests(grid, order))
    assert nodes_of(grid.pull_messages(reversed(ids))) == [2, 3, 5]


def test_a_client_that_raises_becomes_an_error_reply_that_says_what() -> None:
    grid = make_grid()
    content = RecordDict({"config": ConfigRecord({"raise": 3})})
    replies = grid.send_and_receive(requests(grid, (5, 3, 2), content))
    assert [reply.has_error() for reply in replies] == [False, True, False]
    assert replies[1].error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert "ValueError" in str(replies[1].error.reason)
    assert "the disk is full" in str(replies[1].error.reason)
    assert replies[1].metadata.src_node_id == 3


def test_a_client_that_returns_no_message_becomes_an_error_reply() -> None:
    app = ClientApp()

    @app.train()
    def forgetful(message: Message, context: Context) -> Message:
        Message(RecordDict(), reply_to=message)  # and no return

    (reply,) = InProcessGrid(app, NODES).send_and_receive(requests(make_grid(), (2,)))
    assert "expected the ClientApp to return a Message, got NoneType" in str(reply.error.reason)


def test_an_unknown_node_becomes_an_error_reply() -> None:
    grid = make_grid()
    unknown, known = sorted(grid.send_and_receive(requests(grid, (4, 2))), key=lambda m: not m.has_error())
    assert unknown.error.code == ErrorCode.NODE_UNAVAILABLE
    assert unknown.metadata.src_node_id == 4
    assert not known.has_error()


def test_a_message_of_a_kind_that_the_app_does_not_know_is_an_error_reply() -> None:
    grid = make_grid()
    grid.get_node_ids()
    (reply,) = grid.send_and_receive([Message(RecordDict(), 2, MessageType.EVALUATE)])
    assert reply.has_error()


def test_replies_are_a_list_even_when_there_are_none() -> None:
    grid = make_grid()
    assert grid.send_and_receive([]) == []
    assert isinstance(grid.send_and_receive(iter(requests(grid, (2,))), timeout=0.0), list)


def test_a_reply_is_pulled_once() -> None:
    grid = make_grid()
    ids = grid.push_messages(requests(grid, (3, 2)))
    assert len(grid.pull_messages(ids)) == 2
    assert grid.pull_messages(ids) == []
    assert grid.pull_messages(["never sent"]) == []


def test_a_reply_refers_to_its_message() -> None:
    grid = make_grid()
    messages = requests(grid, (5, 2, 4))
    ids = grid.push_messages(messages)
    assert len(set(ids)) == 3
    assert [message.metadata.message_id for message in messages] == ids
    for message, identity in zip(messages, ids, strict=True):
        (reply,) = grid.pull_messages([identity])
        assert reply.metadata.reply_to_message_id == identity
        assert reply.metadata.src_node_id == message.metadata.dst_node_id


def test_a_client_that_changes_its_content_changes_nobody_elses() -> None:
    """FedAvg puts one RecordDict into all messages."""
    grid = make_grid()
    shared = RecordDict({"config": ConfigRecord({"raise": 0}), "arrays": to_record(genesis())})

    seen = [
        str(reply.content.config_records["config"]["seen"])
        for reply in grid.send_and_receive(requests(grid, (2, 3, 5), shared))
    ]
    assert seen == ["two", "three", "five"]
    assert "seen" not in shared.config_records["config"]


def test_a_client_that_throws_its_arrays_away_throws_nobody_elses_away() -> None:
    app = ClientApp()

    @app.train()
    def greedy(message: Message, context: Context) -> Message:
        arrays = message.content.array_records["arrays"]
        count = len(arrays)
        arrays.clear()
        del message.content["config"]
        return Message(RecordDict({"metrics": MetricRecord({"count": count})}), reply_to=message)

    grid = InProcessGrid(app, NODES)
    shared = RecordDict({"config": ConfigRecord({"raise": 0}), "arrays": to_record(genesis())})
    replies = grid.send_and_receive(requests(grid, (2, 3, 5), shared))
    assert [reply.content.metric_records["metrics"]["count"] for reply in replies] == [len(genesis().tensors)] * 3
    assert len(shared.array_records["arrays"]) == len(genesis().tensors)


def test_state_stays_with_its_node_from_message_to_message() -> None:
    app = ClientApp()

    @app.train()
    def count(message: Message, context: Context) -> Message:
        if "count" not in context.state.metric_records:
            context.state["count"] = MetricRecord({"n": 0})
        context.state.metric_records["count"]["n"] += 1  # type: ignore[operator]
        metrics = MetricRecord({"n": context.state.metric_records["count"]["n"]})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    grid = InProcessGrid(app, NODES)
    grid.send_and_receive(requests(grid, (2, 3)))
    replies = grid.send_and_receive(requests(grid, (2, 3, 5)))
    assert [reply.content.metric_records["metrics"]["n"] for reply in replies] == [2, 2, 1]


def test_progress_is_told_of_every_node_that_has_replied() -> None:
    told: list[int] = []
    grid = InProcessGrid(make_app(), NODES, progress=told.append)
    grid.send_and_receive(requests(grid, (5, 4, 2), RecordDict({"config": ConfigRecord({"raise": 0})})))
    assert told == [5, 2]


def test_the_run_is_the_one_that_was_set() -> None:
    grid = make_grid()
    assert grid.run.run_id == 1
    grid.set_run(Run.create_empty(8))
    assert grid.run.run_id == 8


def test_messages_can_be_created_through_the_grid() -> None:
    grid = make_grid()
    content = RecordDict({"config": ConfigRecord({"raise": 0})})
    message = grid.create_message(content, MessageType.TRAIN, 3, "group")
    assert message.metadata.group_id == "group"
    (reply,) = grid.send_and_receive([message])
    assert reply.content.config_records["config"]["seen"] == "three"
