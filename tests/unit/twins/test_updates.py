"""A device's update: weights and metrics under one digest, and how far training has moved them."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.unit.twins.strategies import models
from twins.errors import BundleError, FormatError, SchemaError, TwinsError
from twins.model import TwinModel
from twins.types import address_of_bytes, sha256_digest
from twins.updates import DeviceUpdate, update_norm

pytestmark = pytest.mark.unit

DEVICE = address_of_bytes(bytes.fromhex("0aBc" * 10))
MODEL = TwinModel({"w": np.array([1.0, -0.0], np.float32)})


@given(models, st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_weights_and_metrics_come_back_from_a_payload(model: TwinModel, metrics: dict[str, float]) -> None:
    update = DeviceUpdate(DEVICE, 1, DeviceUpdate.encode_payload(model, metrics), b"")
    assert update.model() == model
    assert update.metrics() == metrics
    assert all(type(value) is float for value in update.metrics().values())
    assert update.digest == sha256_digest(update.payload)


@given(models, st.dictionaries(st.text(max_size=3), st.integers(-9, 9) | st.floats(allow_nan=False), max_size=3))
def test_what_is_known_of_an_update_is_what_its_payload_says(model: TwinModel, metrics: dict[str, float]) -> None:
    try:
        made = DeviceUpdate.of(DEVICE, 1, model, metrics, b"")
    except FormatError:  # an infinity, a lone surrogate
        return
    read = DeviceUpdate(DEVICE, 1, made.payload, b"")
    assert (made, made.digest, made.entry) == (read, read.digest, read.entry)
    assert [(k, v.hex()) for k, v in made.metrics().items()] == [(k, v.hex()) for k, v in read.metrics().items()]


@pytest.mark.parametrize("value", [True, "0.5", None, [0.5]])
def test_a_metric_that_is_no_number_is_refused_also_where_it_was_made(value: object) -> None:
    with pytest.raises(BundleError):
        DeviceUpdate.of(DEVICE, 1, MODEL, {"train_loss": value}, b"").metrics()  # type: ignore[dict-item]


def test_the_digest_covers_the_metrics_too() -> None:
    payloads = {DeviceUpdate.encode_payload(MODEL, {"loss": loss}) for loss in (0.5, 0.25)}
    assert len({DeviceUpdate(DEVICE, 1, payload, b"").digest for payload in payloads}) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(FormatError):
        DeviceUpdate.encode_payload(MODEL, {"loss": value})


def header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


NO_METRICS = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "a length and no header": struct.pack("<Q", 2**63),
    "no note": MODEL.to_bytes(),
    "no metadata": header(b"{}"),
    "a list for a header": header(b"[]"),
    "metadata of text": header(b'{"__metadata__":"note"}'),
    "a number for a note": header(b'{"__metadata__":{"note":5}}'),
    "a lone surrogate in the note": header(b'{"__metadata__":{"note":"\\"\\ud800\\""}}'),
    "a header nested without end": header(b'{"__metadata__":' + b"[" * 200_000),
    "a note of no JSON": MODEL.to_bytes(note="loss"),
    "a note that is not canonical": MODEL.to_bytes(note='{"loss": 1}'),
    "a note nested without end": MODEL.to_bytes(note="[" * 100_000),
    "a list of metrics": MODEL.to_bytes(note="[1]"),
    "NaN as text": MODEL.to_bytes(note='{"loss":"nan"}'),
    "a number as text": MODEL.to_bytes(note='{"loss":"1"}'),
    "a truth for a number": MODEL.to_bytes(note='{"loss":true}'),
    "nothing for a number": MODEL.to_bytes(note='{"loss":null}'),
    "a list for a number": MODEL.to_bytes(note='{"loss":[1]}'),
}


@pytest.mark.parametrize("payload", NO_METRICS.values(), ids=NO_METRICS.keys())
def test_a_payload_without_metrics_is_refused_naming_the_device(payload: bytes) -> None:
    with pytest.raises(BundleError, match=DEVICE):
        DeviceUpdate(DEVICE, 1, payload, b"").metrics()


@given(st.binary(max_size=60))
def test_random_payloads_end_in_an_error_of_ours(payload: bytes) -> None:
    update = DeviceUpdate(DEVICE, 1, payload, b"")
    for read in (update.model, update.metrics):
        with pytest.raises(TwinsError):
            read()


# How far training has moved a model: what a twin's policy bounds.

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def two(v: list[float], w: list[float]) -> TwinModel:
    return TwinModel({"v": np.array(v, np.float32), "w": np.array(w, np.float32)})


def test_the_norm_is_over_all_tensors_together() -> None:
    assert update_norm(two([1, 2], [3]), two([1, 0], [1])) == math.sqrt(8)
    assert update_norm(two([4], [3]), two([0], [0])) == 5.0
    assert update_norm(two([], [3]), two([], [0])) == 3.0
    assert update_norm(MODEL, MODEL) == 0.0


@given(arrays(np.float32, 5, elements=finite), arrays(np.float32, 5, elements=finite), st.permutations(range(5)))
def test_the_norm_depends_neither_on_the_order_nor_on_the_direction(
    one: np.ndarray,  # type: ignore[type-arg]
    other: np.ndarray,  # type: ignore[type-arg]
    order: list[int],
) -> None:
    norm = update_norm(TwinModel({"w": one}), TwinModel({"w": other}))
    assert update_norm(TwinModel({"w": other}), TwinModel({"w": one})) == norm
    assert update_norm(TwinModel({"w": one[order]}), TwinModel({"w": other[order]})) == norm
    assert norm == pytest.approx(math.dist(one.tolist(), other.tolist()), rel=1e-12)


def test_many_small_steps_are_not_lost_beside_a_large_one() -> None:
    # Summed one after another in float64, each 1e-16 would vanish beside the 1.
    array = np.full(1 + 10**5, 1e-8, np.float32)
    array[0] = 1
    exact = math.sqrt(1 + 10**5 * float(np.float32(1e-8)) ** 2)
    assert update_norm(TwinModel({"w": array}), TwinModel({"w": np.zeros_like(array)})) == exact > 1


def test_the_largest_step_does_not_overflow() -> None:
    largest = np.full(2, np.finfo(np.float32).max, np.float32)
    assert math.isfinite(update_norm(TwinModel({"w": largest}), TwinModel({"w": -largest})))


def test_the_norm_of_a_model_of_another_shape_is_refused() -> None:
    with pytest.raises(SchemaError, match="update"):
        update_norm(MODEL, two([1], [2]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_step_that_is_not_finite_is_within_no_bound(value: float) -> None:
    step = update_norm(TwinModel({"w": np.array([value], np.float32)}), TwinModel({"w": np.zeros(1, np.float32)}))
    assert not step <= 1e300
