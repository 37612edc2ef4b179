"""The chain's clock, over a node whose blocks a test lays down."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import clock as clocks
from chain.audit_values import Phase, Timing
from chain.clock import SlotClock
from chain.connection import Chain
from chain.errors import ChainStalledError
from chain.sync_audit import SyncAudit
from twins.types import Address

pytestmark = pytest.mark.unit

GENESIS = 1_800_000_000
TIMING = Timing.of(600)


class Time:
    """This machine's time, which only goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.now = float(GENESIS)
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Node(Chain):
    """A chain with a block every five seconds, until it stands still."""

    def __init__(self, time: Time, *, ahead: int = 0, until: float = float("inf"), **options: Any) -> None:
        super().__init__("http://127.0.0.1:1", **{"confirmations": 3, "patience": 90} | options)
        self.time, self.ahead, self.until = time, ahead, until

    def rpc(self, method: str, params: Any = (), *args: Any, **kwargs: Any) -> Any:
        newest = int(min(self.time.now, self.until) - GENESIS) // 5
        if method == "eth_blockNumber":
            return hex(newest)
        if method == "eth_getBlockByNumber":
            return {"timestamp": hex(GENESIS + 5 * newest + self.ahead)}
        function = next(
            f for f in SyncAudit.interface.functions.values() if params[0]["data"] == "0x" + f.selector.hex()
        )
        value: Any = GENESIS if function.name == "genesisTime" else tuple(vars(TIMING).values())
        return "0x" + function.outputs.encode([value], function.name).hex()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(clocks, "time", time)
    return time


def clock_of(node: Node) -> SlotClock:
    return SlotClock(SyncAudit(node, Address("0x" + 39 * "0" + "1")), now=node.time.time)


def test_phases_are_half_open_intervals_of_the_chains_seconds(time: Time) -> None:
    clock = clock_of(Node(time))
    begins = [(Phase.OPEN, 0), (Phase.SEALED, 60), (Phase.PROVING, 180), (Phase.CLOSED, 480)]
    for slot in (0, 1, 7_000_000):
        for (phase, start), end in zip(begins, [60, 180, 480, 600], strict=True):
            first = GENESIS + 600 * slot + start
            assert clock.start_of(slot, phase) == first
            assert clock.at(first) == (slot, phase, end - start)
            assert clock.at(GENESIS + 600 * slot + end - 1) == (slot, phase, 1)
    with pytest.raises(ValueError, match="or later"):
        clock.at(GENESIS - 1)


@given(seconds=st.integers(0, 2**40))
def test_the_seconds_that_are_left_lead_to_the_next_phase(seconds: int) -> None:
    clock = clock_of(Node(Time()))
    slot, phase, left = clock.at(GENESIS + seconds)
    after = clock.at(GENESIS + seconds + left)
    assert after[:2] == ((slot, Phase(phase + 1)) if phase is not Phase.CLOSED else (slot + 1, Phase.OPEN))


def test_skew_is_how_far_the_chain_is_behind_this_machine(time: Time) -> None:
    time.now += 12
    assert clock_of(Node(time)).read().skew == 2.0  # its newest block is of the tenth second
    assert clock_of(Node(time, ahead=30)).read().skew == -28.0


def test_waiting_ends_with_the_first_block_of_that_time_whatever_this_machines_clock_says(time: Time) -> None:
    for ahead in (0, 300):
        clock = clock_of(Node(time, ahead=ahead))
        stamp = clock.read().time + 60
        seen: list[int] = []
        moment = clock.wait_until(stamp, lambda moment, seen=seen: seen.append(moment.time))
        assert stamp <= moment.time <= stamp + 5
        assert seen == sorted(seen)
        assert clock.wait_until(stamp) == clock.read()  # it has come already


def test_a_wait_looks_often_enough_and_not_all_the_time(time: Time) -> None:
    clock = clock_of(Node(time))
    clock.wait_until(GENESIS + 120)
    assert max(time.slept) <= 2.0
    assert min(time.slept) >= 0.1
    assert len(time.slept) < 150


def test_a_chain_that_stands_still_is_named_when_patience_is_over(time: Time) -> None:
    clock = clock_of(Node(time, until=GENESIS + 40))
    with pytest.raises(ChainStalledError) as caught:
        clock.wait_until(GENESIS + 600)
    assert "8" in str(caught.value)  # its newest block
    assert 130 <= time.now - GENESIS <= 140  # 40 seconds of blocks, 90 of patience


def test_a_pause_shorter_than_patience_is_waited_out(time: Time) -> None:
    node = Node(time, until=GENESIS + 40)
    clock = clock_of(node)

    def wake(moment: clocks.Moment) -> None:
        if time.now > GENESIS + 100:
            node.until = float("inf")

    assert clock.wait_until(GENESIS + 300, wake).time >= GENESIS + 300


def test_a_development_node_mines_nothing_while_nobody_sends_and_isnt_called_stalled(time: Time) -> None:
    node = Node(time, until=GENESIS + 40, confirmations=0)

    def wake(moment: clocks.Moment) -> None:
        if time.now > GENESIS + 1000:
            node.until = float("inf")

    assert clock_of(node).wait_until(GENESIS + 1200, wake).time >= GENESIS + 1200
