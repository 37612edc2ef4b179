"""Replies that this process's grid never brings, but a Grid over a network may; and models beyond evaluation."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, Error, Message, RecordDict

from fl.client_app import RoundConfig
from fl.errors import EngineError
from fl.grid import InProcessGrid
from fl.strategies import StrategySpec
from fl.strategy import StationStrategy
from fl.tier1 import FIRST_NODE, Aggregator
from fl.verification import Verifier
from tests.unit.fl.world import DOMAIN, SEED, TWIN, Hostile, Memory, account, device, digest_of, genesis, trainers
from twins.model import TwinModel
from twins.types import Address
from twins.updates import Rejection, RejectionReason

pytestmark = pytest.mark.unit

DEVICES = 3
ROSTER = {FIRST_NODE + index: device(index) for index in range(DEVICES)}


class Spy(Hostile):
    """Keeps the honest replies of all devices."""

    def __init__(self) -> None:
        super().__init__(0)
        self.replies: list[Message] = []

    def __call__(self, message, context):  # type: ignore[no-untyped-def]
        reply = super().__call__(message, context)
        self.replies.append(reply)
        return reply


@pytest.fixture
def replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Honest replies of all devices to round 1."""
    spy = Spy()
    monkeypatch.setattr("fl.station_trainer.app", spy)
    (trainer,) = trainers(tmp_path, stations=1, devices=DEVICES)
    trainer.learn(genesis(), digest_of(genesis()), 1, Memory())
    assert len(spy.replies) == DEVICES
    return spy.replies


def strategy(roster: dict[int, Address]) -> StationStrategy:
    config = RoundConfig(1, SEED, TWIN, account("station 0"), digest_of(genesis()), DOMAIN)
    spec = StrategySpec()
    return StationStrategy(spec.build(1), Aggregator(spec), Verifier(config, genesis()), roster)


def after(replies: list[Message], roster: dict[int, Address] = ROSTER) -> StationStrategy:
    """Return the strategy as it is when these have come."""
    which = strategy(roster)
    which.aggregate_train(1, replies)
    return which


def test_honest_replies_are_aggregated_whatever_their_order(replies: list[Message]) -> None:
    """Or the refusals below could have another reason."""
    records = [strategy(ROSTER).aggregate_train(1, order)[0] for order in (replies, replies[::-1])]
    assert records[0] is not None
    assert records[1] is not None
    assert {n: a.data for n, a in records[0].items()} == {n: a.data for n, a in records[1].items()}


def test_attack_a_reply_of_a_node_that_is_not_enrolled_here_is_ignored(
    replies: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither used nor named: a record names devices of the roster."""
    enrolled = {node: who for node, who in ROSTER.items() if node != FIRST_NODE + 1}
    sorted_out = after(replies, enrolled)
    assert [update.device for update in sorted_out.updates] == sorted(enrolled.values(), key=str.lower)
    assert sorted_out.rejections == ()
    assert f"node {FIRST_NODE + 1}, which isn't enrolled here" in caplog.text


def test_attack_one_reply_sent_twice_counts_not_even_once(replies: list[Message]) -> None:
    sorted_out = after([*replies, replies[1]])
    (rejection,) = sorted_out.rejections
    assert rejection.device == ROSTER[replies[1].metadata.src_node_id]
    assert (rejection.reason, rejection.detail) == (RejectionReason.MALFORMED, "expected one reply, got 2")
    assert len(sorted_out.updates) == DEVICES - 1


def test_a_round_without_a_reply_is_an_error_that_names_all_devices() -> None:
    with pytest.raises(EngineError, match="got none") as caught:
        strategy(ROSTER).aggregate_train(1, [])
    assert all(f"{device(index)}: missing: did not answer" in str(caught.value) for index in range(DEVICES))


def test_a_device_that_never_answers_is_missing(replies: list[Message]) -> None:
    by_node = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
    assert after(by_node[:2]).rejections == (Rejection(device(2), RejectionReason.MISSING, "did not answer"),)


def test_an_error_reply_is_recorded_with_its_reason(replies: list[Message]) -> None:
    lost = Message(Error(5, "Alice's watch: no time"), reply_to=_request(FIRST_NODE + 2))
    by_node = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
    expected = Rejection(device(2), RejectionReason.MISSING, "did not train: error 5")
    assert after([*by_node[:2], lost]).rejections == (expected,)


class Bomb:
    """Runs code when it is unpickled."""

    ran = False

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (_explode, ())


def _explode() -> None:
    Bomb.ran = True


def test_attack_a_pickle_for_an_array_is_refused_and_never_opened(replies: list[Message]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    bad = next(reply for reply in replies if reply.metadata.src_node_id == FIRST_NODE + 1)
    arrays = bad.content.array_records["arrays"]
    arrays[next(iter(arrays))] = Array("object", (1,), "numpy.ndarray", buffer.getvalue())
    (rejection,) = after(replies).rejections
    assert (rejection.device, rejection.reason) == (device(1), RejectionReason.MALFORMED)
    assert not Bomb.ran


def test_a_model_that_has_diverged_is_said_instead_of_a_loss_that_no_manifest_holds(tmp_path: Path) -> None:
    (trainer,) = trainers(tmp_path, stations=1, devices=DEVICES)
    huge = TwinModel({name: np.full_like(array, 3e38) for name, array in genesis().tensors.items()})
    with pytest.raises(EngineError, match="the model has diverged"):
        trainer.evaluate(huge)


def _request(node: int) -> Message:
    return InProcessGrid(Spy(), {node: {}}).create_message(RecordDict(), "train", node, "")  # type: ignore[arg-type]
