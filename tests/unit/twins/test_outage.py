"""Waiting for IPFS nodes that are all gone, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from twins import outage
from twins.errors import ArtifactNotFoundError, NodeUnreachableError, ReplicationError, StoreError
from twins.outage import Outage

pytestmark = pytest.mark.unit

GONE = NodeUnreachableError("fetch it", {"http://127.0.0.1:5001": "Connection refused"})
NOWHERE = ReplicationError("bafk", 2, 0, {"http://127.0.0.1:5001": "Connection refused"})
HALF = ReplicationError("bafk", 2, 1, {"http://127.0.0.1:5001": "no space left on device"})
LACKING = ArtifactNotFoundError("bafk", "not here, and others don't answer", unheard=True)
WITHHELD = ArtifactNotFoundError("bafk", "nowhere")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(outage.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(outage.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def saying(*answers: Exception | bytes) -> Callable[[], bytes]:
    rest: Iterator[Exception | bytes] = iter(answers)

    def ask() -> bytes:
        answer = next(rest)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


def test_nodes_that_come_back_within_the_patience_are_waited_for_and_that_is_said_once() -> None:
    said: list[str] = []
    assert Outage(10, said.append).outlast(saying(GONE, GONE, GONE, b"x")) == b"x"
    assert ["Waiting up to 10 s" in said[0], *said[1:]] == [True, "IPFS nodes answer again"]


def test_the_second_outage_is_said_again() -> None:
    said: list[str] = []
    out = Outage(10, said.append)
    assert [out.outlast(saying(GONE, b"x")), out.outlast(saying(GONE, b"y"))] == [b"x", b"y"]
    assert len(said) == 4


def test_without_patience_nothing_is_waited_for(clock: list[float]) -> None:
    with pytest.raises(NodeUnreachableError):
        Outage(0, print).outlast(saying(GONE, b"x"))
    assert clock == [1000.0]


def test_patience_ends(clock: list[float]) -> None:
    with pytest.raises(NodeUnreachableError):
        Outage(3, lambda _: None).outlast(saying(*[GONE] * 100))
    assert clock == [1003.0]


def test_what_the_first_nodes_back_lack_is_waited_for_as_long_as_others_are_missing() -> None:
    assert Outage(60, lambda _: None).outlast(saying(GONE, LACKING, LACKING, b"x")) == b"x"


def test_a_withheld_artifact_holds_up_nobody(clock: list[float]) -> None:
    out = Outage(600, lambda _: None)
    for answers in ((WITHHELD, b"x"), (LACKING, b"x"), (GONE, WITHHELD, b"x"), (GONE, *[LACKING] * 100)):
        with pytest.raises(ArtifactNotFoundError):
            out.outlast(saying(*answers))
    assert clock[0] <= 1000 + 1 + 1 + 30


def test_what_no_node_took_is_given_again_and_what_too_few_took_is_not() -> None:
    out = Outage(10, lambda _: None)
    assert out.outlast(saying(NOWHERE, b"x")) == b"x"
    with pytest.raises(ReplicationError):
        out.outlast(saying(HALF, b"x"))


def test_an_outage_of_one_read_counts_for_the_next() -> None:
    out = Outage(60, lambda _: None)
    out.outlast(saying(GONE, b"x"))
    assert out.outlast(saying(LACKING, b"y")) == b"y"


@pytest.mark.parametrize("patience", [-1.0, float("nan")])
def test_a_patience_that_makes_no_sense_is_refused(patience: float) -> None:
    with pytest.raises(StoreError, match="patience"):
        Outage(patience, print)
