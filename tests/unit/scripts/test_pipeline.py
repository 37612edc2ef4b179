"""Lanes that store and send: each in its order, few updates in memory, and ended by a failure or by Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chain.connection import Chain
from chain.errors import ChainError
from scripts.pipeline import Pipeline, in_order, side_by_side

pytestmark = pytest.mark.unit

PATIENCE = 20.0  # seconds: a test that waits longer has found a deadlock


def chain(confirmations: int = 0, close: Callable[[], None] = lambda: None) -> Chain:
    return cast(Chain, SimpleNamespace(confirmations=confirmations, close=close))


class WouldWaitError(Exception):
    """There is no place."""


class Places(threading.Semaphore):
    """Places that say so when there is none, where real ones would let their caller wait."""

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not super().acquire(blocking=False):
            raise WouldWaitError
        return True


class Update:
    """Something large."""


def passed(event: threading.Event) -> None:
    assert event.wait(PATIENCE), "a deadlock"


def fail() -> Any:
    raise ChainError("refused")


# -- order ----------------------------------------------------------------------------------------------------------


def test_a_lane_keeps_its_order_and_stores_before_it_sends() -> None:
    done: list[str] = []

    def store(number: int) -> Callable[[], int]:
        done.append(f"store {number}")
        return lambda: (done.append(f"send {number}"), number)[1]

    with Pipeline[int](chain(3)) as pipeline:
        for number in range(4):
            pipeline.start("a", lambda n=number: store(n))  # type: ignore[misc]
        assert pipeline.results() == [0, 1, 2, 3]
    assert done == [f"{what} {number}" for number in range(4) for what in ("store", "send")]


def test_lanes_go_on_beside_each_other_and_results_come_in_the_order_of_starting() -> None:
    second, third = threading.Event(), threading.Event()

    def wait_for(event: threading.Event, value: int) -> Callable[[], int]:
        return lambda: (passed(event), value)[1]

    with Pipeline[int](chain(3)) as pipeline:
        pipeline.send("a", wait_for(second, 1))
        pipeline.send("b", lambda: (passed(third), second.set(), 2)[2])
        pipeline.start("c", lambda: lambda: (third.set(), 3)[1])
        assert pipeline.results() == [1, 2, 3]


def test_transactions_of_a_development_node_are_sent_at_once_and_in_order() -> None:
    done: list[int] = []
    with Pipeline[None](chain()) as pipeline:
        for number in range(5):
            pipeline.send(number, lambda n=number: done.append(n))  # type: ignore[misc]
            assert done[-1] == number


def test_side_by_side_returns_in_the_order_given() -> None:
    for confirmations in (0, 3):
        assert side_by_side(chain(confirmations), [lambda n=n: n for n in range(5)]) == [0, 1, 2, 3, 4]  # type: ignore[misc]


# -- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waiting", [1, 2, 3])
def test_whoever_starts_one_more_than_there_are_places_waits_until_one_is_stored(waiting: int) -> None:
    go, sending, mined = threading.Event(), threading.Event(), threading.Event()

    def store() -> Callable[[], None]:
        passed(go)
        return lambda: (sending.set(), passed(mined))[1]

    with Pipeline[None](chain(3), waiting) as pipeline:
        pipeline._places = Places(waiting)
        for lane in range(waiting):
            pipeline.start(lane, store)
        with pytest.raises(WouldWaitError):
            pipeline.start("one more", store)
        go.set()
        passed(sending)
        # Its block is still waited for, but what it stored is no longer in memory.
        pipeline.start("one more", lambda: lambda: None)
        mined.set()
        assert len(pipeline.results()) == waiting + 1


def test_what_waits_in_one_lane_takes_places_from_all() -> None:
    go = threading.Event()
    with Pipeline[None](chain(3), 2) as pipeline:
        pipeline._places = Places(2)
        pipeline.start("a", lambda: (passed(go), lambda: None)[1])
        pipeline.start("a", lambda: lambda: None)
        with pytest.raises(WouldWaitError):
            pipeline.start("b", lambda: lambda: None)
        pipeline.send("b", lambda: None)  # what is stored takes none
        go.set()


def test_back_pressure_lets_all_through_in_the_end() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def store(number: int) -> Callable[[], int]:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        with lock:
            now[0] -= 1
        return lambda: number

    with Pipeline[int](chain(3), 2) as pipeline:
        for number in range(200):
            pipeline.start(number % 7, lambda n=number: store(n))  # type: ignore[misc]
        assert pipeline.results() == list(range(200))
    assert most[0] <= 2


def test_what_is_stored_is_no_longer_held_while_its_block_is_waited_for() -> None:
    mined, sending = threading.Event(), threading.Event()

    def begin(pipeline: Pipeline[None]) -> weakref.ref[Update]:
        update = Update()

        def store() -> Callable[[], None]:
            assert update is not None
            return lambda: (sending.set(), passed(mined))[1]

        pipeline.start("a", store)
        return weakref.ref(update)

    with Pipeline[None](chain(3)) as pipeline:
        held = begin(pipeline)
        passed(sending)
        assert held() is None
        mined.set()


# -- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["storing", "sending"])
def test_nothing_follows_in_a_lane_on_what_failed_there(when: str) -> None:
    go, sent = threading.Event(), list[int]()
    first: Callable[[], Callable[[], Any]] = (
        (lambda: (passed(go), fail())[1]) if when == "storing" else lambda: lambda: (passed(go), fail())[1]
    )

    def sends(pipeline: Pipeline[None]) -> None:
        with pipeline:
            pipeline.send("a", lambda: sent.append(0))
            pipeline.start("a", first)
            pipeline.start("a", lambda: lambda: sent.append(2))
            pipeline.send("a", lambda: sent.append(3))
            pipeline.send("b", lambda: sent.append(4))
            go.set()
            pipeline.results()

    with pytest.raises(ChainError, match="refused"):
        sends(Pipeline[None](chain(3)))
    assert sorted(sent) == [0, 4]


def test_a_failure_is_told_to_whoever_starts_the_next_and_that_isnt_started() -> None:
    started: list[int] = []

    def sends() -> None:
        with Pipeline[None](chain(3), 1) as pipeline:
            pipeline.start("a", fail)
            pipeline.start("b", lambda: (started.append(2), lambda: None)[1])

    with pytest.raises(ChainError, match="refused"):
        sends()
    assert started == []


def test_a_refused_start_keeps_no_place() -> None:
    with Pipeline[None](chain(3), 1) as pipeline:
        pipeline.start("a", fail)
        for _ in range(3):
            with pytest.raises(ChainError, match="refused"):
                pipeline.start("b", lambda: lambda: None)


def test_a_development_nodes_refusal_comes_at_once() -> None:
    with Pipeline[None](chain()) as pipeline, pytest.raises(ChainError, match="refused"):
        pipeline.send("a", fail)


def test_the_others_end_before_a_failure_is_told() -> None:
    """What a station has begun to record is recorded: whoever runs it again finds it."""
    failed, done = threading.Event(), threading.Event()

    def sends() -> None:
        with Pipeline[None](chain(3)) as pipeline:
            pipeline.start("slow", lambda: lambda: (passed(failed), done.set())[1])
            pipeline.start("bad", lambda: (failed.set(), fail())[1])
            pipeline.results()

    with pytest.raises(ChainError, match="refused"):
        sends()
    assert done.is_set()


def test_the_first_failure_in_the_order_of_starting_is_the_one_that_is_told() -> None:
    later = threading.Event()

    def second() -> Any:
        later.set()
        raise ChainError("second")

    def sends() -> None:
        with Pipeline[None](chain(3)) as pipeline:
            pipeline.send("a", lambda: (passed(later), fail())[1])
            pipeline.send("b", second)
            pipeline.results()

    with pytest.raises(ChainError, match="refused"):
        sends()


def test_a_failure_outside_waits_for_what_was_started() -> None:
    go, done = threading.Event(), threading.Event()

    def sends() -> None:
        with Pipeline[None](chain(3)) as pipeline:
            pipeline.start("a", lambda: lambda: (passed(go), done.set())[1])
            go.set()
            raise ValueError("training failed")

    with pytest.raises(ValueError, match="training failed"):
        sends()
    assert done.is_set()


# -- Ctrl-C ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirmations", [0, 3])
def test_ctrl_c_closes_the_chain_and_doesnt_wait_for_who_never_ends(
    confirmations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.pipeline._FAREWELL", 0.0)
    never, sending, closed, begun = threading.Event(), threading.Event(), threading.Event(), list[int]()

    def interrupted() -> None:
        with Pipeline[None](chain(confirmations, closed.set)) as pipeline:
            pipeline.start("a", lambda: lambda: (sending.set(), passed(never))[1])
            pipeline.start("a", lambda: (begun.append(1), lambda: None)[1])
            passed(sending)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert closed.is_set()
    (lane,) = (thread for thread in threading.enumerate() if thread.name.startswith("lane a"))
    never.set()
    lane.join(PATIENCE)
    assert begun == [], "what hadn't begun isn't begun any more"


def test_ctrl_c_leaves_time_to_finish_a_file() -> None:
    writing, closed, written = threading.Event(), threading.Event(), threading.Event()

    def write() -> Callable[[], None]:
        writing.set()
        passed(closed)
        written.set()
        return lambda: None

    def interrupted() -> None:
        with Pipeline[None](chain(0, closed.set)) as pipeline:
            pipeline.start("a", write)
            passed(writing)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert written.is_set()


@pytest.mark.parametrize("where", ["a place", "results", "the end"])
def test_whoever_waits_hears_ctrl_c(where: str) -> None:
    closed = threading.Event()

    def strike() -> Callable[[], None]:
        os.kill(os.getpid(), signal.SIGINT)
        passed(closed)
        return lambda: None

    def interrupted() -> None:
        with Pipeline[None](chain(3, closed.set), 1) as pipeline:
            pipeline.start("a", strike)
            if where == "a place":
                pipeline.start("b", lambda: lambda: None)
            if where == "results":
                pipeline.results()

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert closed.is_set(), "the chain is left open for who turns to it next"


@pytest.mark.parametrize("at_once", [1, 2, 3, 9])
def test_jobs_are_yielded_in_order_and_few_are_begun_ahead(at_once: int) -> None:
    begun: list[int] = []

    def job(number: int) -> int:
        begun.append(number)
        return number

    for place, number in enumerate(in_order([partial(job, number) for number in range(7)], at_once)):
        assert number == place
        assert len(begun) <= place + at_once
    assert sorted(begun) == list(range(7))


def test_so_many_jobs_run_at_once() -> None:
    meeting = threading.Barrier(2, timeout=20)
    assert list(in_order([meeting.wait] * 4, 2)).count(0) == 2


def test_a_job_that_fails_is_told_in_its_turn_and_none_is_begun_after_it() -> None:
    begun: list[int] = []

    def job(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ChainError("no")
        return number

    jobs = in_order([partial(job, number) for number in range(9)], 2)
    assert next(jobs) == 0
    with pytest.raises(ChainError):
        list(jobs)
    assert set(begun) <= {0, 1, 2}
