"""Looks at a chain: one block for all that is decided at a moment, asked once, and nothing of a block that is gone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.connection import Chain, Read
from chain.errors import RpcError, UnknownRevertError
from chain.event_classes import StationReinstated, StationSuspended
from chain.event_log import EventLog
from chain.events import event_abi, topic_filter
from twins.types import Address

pytestmark = pytest.mark.unit

CONTRACT = Address("0x" + "11" * 20)
KINDS = (StationReinstated, StationSuspended)


class Node(Chain):
    """A node whose blocks come when a test says so, and go as well. A call answers the hash of its block."""

    def __init__(self, confirmations: int = 0) -> None:
        super().__init__("http://127.0.0.1:8545", confirmations=confirmations)
        self.blocks: list[tuple[str, int]] = [("0x00", 0)]  # hash, logs of one station each
        self.time = 1_000
        self.asked: list[tuple[str, Any]] = []
        self.refusing = False
        self.made = 0

    def mine(self, logs: int = 0) -> None:
        self.made += 1
        self.blocks.append((f"0x{self.made:02x}", logs))

    def undo(self, blocks: int) -> None:
        del self.blocks[max(1, len(self.blocks) - blocks) :]

    def rpc(self, method: str, params: Sequence[object] = ()) -> Any:
        self.asked.append((method, tuple(params)))
        return self._answer(method, params)

    def batch(self, requests_: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        self.asked.append(("batch", tuple(method for method, _ in requests_)))
        return [self._answer(method, params) for method, params in requests_]

    def _answer(self, method: str, params: Sequence[Any]) -> Any:
        if method == "eth_getBlockByNumber":
            return self._tagged(params[0])
        if method == "eth_blockNumber":
            return hex(len(self.blocks) - 1)
        if method == "eth_getLogs":
            last = len(self.blocks) - 1 if params[0]["toBlock"] == "latest" else int(params[0]["toBlock"], 16)
            return [log for number in range(int(params[0]["fromBlock"], 16), last + 1) for log in self._logs(number)]
        if self.refusing:
            raise UnknownRevertError(b"")
        block = params[1]["blockHash"] if isinstance(params[1], dict) else self.blocks[-1][0]
        if block not in [hash_ for hash_, _ in self.blocks]:
            raise RpcError(method, -32000, "header not found")
        return block

    def _tagged(self, tag: str) -> dict[str, str] | None:
        if tag == "pending":
            return {"parentHash": self.blocks[-1][0], "timestamp": hex(self.time)}
        number = len(self.blocks) - 1 if tag == "latest" else int(tag, 16)
        if number >= len(self.blocks):
            return None
        return {"number": hex(number), "hash": self.blocks[number][0], "timestamp": hex(self.time)}

    def _logs(self, number: int) -> list[dict[str, Any]]:
        hash_, count = self.blocks[number]
        abi = event_abi(StationReinstated)
        station = "0x" + hash_[2:].rjust(64, "0")
        return [
            {
                "address": CONTRACT,
                "topics": ["0x" + abi.topic.hex(), station, station],
                "data": "0x",
                "blockNumber": hex(number),
                "logIndex": hex(index),
                "transactionHash": hash_,
            }
            for index in range(count)
        ]


def read(data: bytes = b"\x01", block: int | str | None = None) -> Read:
    return Read(CONTRACT, data, block)


# -- reads ----------------------------------------------------------------------------------------------------------


def test_what_is_read_twice_of_a_block_is_asked_once_whoever_asks() -> None:
    node = Node()
    with node.look():
        first = node.ask([read()])
    with node.look():
        assert node.ask([read(), read()]) == first * 2
    calls = [params for method, params in node.asked if method == "eth_call"]
    assert [params[1] for params in calls] == [{"blockHash": "0x00"}]


def test_only_what_is_missing_is_asked_in_one_round_trip() -> None:
    node = Node()
    with node.look():
        node.ask([read(b"\x01")])
        node.asked.clear()
        node.ask([read(b"\x01"), read(b"\x02"), read(b"\x03")])
    assert node.asked == [("batch", ("eth_call", "eth_call"))]


def test_a_new_block_is_read_anew_and_so_is_one_in_the_place_of_another() -> None:
    node = Node()
    answers = []
    for undone in (0, 0, 1):
        node.undo(undone)
        node.mine()
        with node.look():
            answers += node.ask([read()])
    assert answers == [b"\x01", b"\x02", b"\x03"]


def test_a_look_keeps_to_its_block_whatever_comes_meanwhile() -> None:
    node = Node()
    with node.look() as look:
        node.mine()
        assert node.ask([read()]) == [b"\x00"]
        with node.look() as inner:
            assert inner is look
        assert node.looking is look, "an inner look ends nothing"
    assert node.looking is None
    with node.look():
        assert node.ask([read()]) == [b"\x01"]


def test_what_would_be_mined_now_depends_on_the_time() -> None:
    node = Node()
    for _ in range(2):
        with node.look():
            node.ask([read(block="pending")])
            assert node.timestamp("pending") == node.time
    node.time += 1
    with node.look():
        node.ask([read(block="pending")])
    assert len([method for method, _ in node.asked if method == "eth_call"]) == 2


def test_the_newest_block_by_its_number_is_the_same_block() -> None:
    node = Node()
    with node.look() as look:
        node.ask([read()])
        node.asked.clear()
        node.ask([read(block=look.number)])
    assert node.asked == []


def test_what_is_settled_is_counted_from_the_block_of_the_look() -> None:
    node = Node(confirmations=3)
    for _ in range(5):
        node.mine()
    with node.look():
        node.mine()
        assert node.settled_block() == 2
    assert node.settled_block() == 3


def test_a_refusal_isnt_kept() -> None:
    node = Node()
    node.refusing = True
    with node.look():
        with pytest.raises(UnknownRevertError):
            node.ask([read()])
        node.refusing = False
        assert node.ask([read()]) == [b"\x00"]


def test_a_node_that_takes_over_without_the_block_of_the_look_is_asked_what_it_knows() -> None:
    node = Node(confirmations=3)
    node.mine()
    with node.look():
        node.undo(1)
        assert node.ask([read(), read(b"\x02")]) == [b"\x00"] * 2
        node.mine()
        assert node.ask([read()]) == [b"\x02"], "and that isn't kept"


def test_another_thread_isnt_in_the_look() -> None:
    node, seen = Node(), []
    with node.look():
        thread = threading.Thread(target=lambda: seen.append(node.looking))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_look_that_fails_isnt_one() -> None:
    class Away(Node):
        def rpc(self, method: str, params: Sequence[object] = ()) -> Any:
            raise RpcError(method, 0, "away")

    node = Away(confirmations=3)
    with pytest.raises(RpcError), node.look():
        pass
    assert node.looking is None


# -- events ---------------------------------------------------------------------------------------------------------


def events_of(node: Node, log: EventLog) -> list[str]:
    with node.look() as look:
        found = log.events(look, [topic_filter(KINDS)], KINDS, look.number)
    return [event.transaction for event in found]


def expected_of(node: Node) -> list[str]:
    return [hash_ for hash_, logs in node.blocks for _ in range(logs)]


@settings(max_examples=40)
@given(
    confirmations=st.sampled_from([0, 1, 3]),
    steps=st.lists(
        st.one_of(st.tuples(st.integers(0, 20), st.integers(0, 2)), st.integers(1, 25).map(lambda n: (-n, 0))),
        max_size=25,
    ),
)
def test_the_kept_events_are_those_of_the_chain_whatever_was_undone(
    confirmations: int, steps: list[tuple[int, int]]
) -> None:
    node = Node(confirmations)
    log = EventLog(node, CONTRACT, [topic_filter(KINDS)], 0)
    for blocks, logs in steps:
        for _ in range(blocks):
            node.mine(logs)
        node.undo(max(0, -blocks))
        assert events_of(node, log) == expected_of(node)


def test_old_events_arent_asked_for_again() -> None:
    node = Node()
    log = EventLog(node, CONTRACT, [topic_filter(KINDS)], 0)
    for _ in range(30):
        node.mine(1)
    events_of(node, log)
    node.mine(1)
    node.asked.clear()
    assert events_of(node, log) == expected_of(node)
    assert events_of(node, log) == expected_of(node)
    assert [what for _, what in node.asked if "eth_getLogs" in what] == [("eth_getBlockByNumber", "eth_getLogs")]


def test_a_thread_whose_look_is_older_than_anothers_has_nothing_asked_again() -> None:
    node = Node()
    log = EventLog(node, CONTRACT, [topic_filter(KINDS)], 0)
    for _ in range(3):
        node.mine(1)
    with node.look() as look:

        def older() -> list[int]:
            return [event.block for event in log.events(look, [topic_filter(KINDS)], KINDS, look.number)]

        assert older() == [1, 2, 3]
        for _ in range(2):
            node.mine(1)
            thread = threading.Thread(target=lambda: events_of(node, log))
            thread.start()
            thread.join()
        node.asked.clear()
        assert older() == [1, 2, 3]
    assert node.asked == []
    assert events_of(node, log) == expected_of(node)


def test_events_are_filtered_as_a_node_does() -> None:
    node = Node()
    node.mine(1)
    node.mine(1)
    log = EventLog(node, CONTRACT, [topic_filter(KINDS)], 0)
    second = "0x" + "2".rjust(64, "0")
    with node.look() as look:

        def found(*topics: object, to: int = 2) -> list[int]:
            return [event.block for event in log.events(look, topics, KINDS, to)]

        assert found(topic_filter(KINDS), None, [second]) == [2]
        assert found(topic_filter([StationSuspended])) == []
        assert found(topic_filter(KINDS), to=1) == [1]
        assert found(topic_filter(KINDS), None, None, second) == [], "there are no four topics"
