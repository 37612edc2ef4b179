"""Robust rules beside Flower's: two implementations of the same papers, made by different people.

Ours is its own because tier 2 must replay bit for bit with any Flower, or none. Flower's median and trimmed mean are
numpy's, whose order of summation is an implementation's choice; its Krum has distances from one matrix product, which
every processor sums in its own way, and its Multi-Krum weighs with the examples that the senders claim.
"""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.server.strategy.aggregate import aggregate_krum, aggregate_median, aggregate_trimmed_avg
from flwr.serverapp.strategy.fedtrimmedavg import trim_mean
from flwr.serverapp.strategy.multikrum import select_multikrum
from hypothesis import given
from hypothesis import strategies as st

from twins.aggregation import function_of, rule_of
from twins.model import TwinModel

pytestmark = pytest.mark.unit

seeds = st.integers(0, 2**32)
counts = st.integers(3, 9)


def drawn(count: int, seed: int) -> list[TwinModel]:
    random = np.random.default_rng(seed)
    scale = 10.0 ** random.integers(-6, 6)
    return [
        TwinModel(
            {
                "bias": random.normal(scale=scale, size=5).astype(np.float32),
                "weight": random.normal(scale=scale, size=(3, 4)).astype(np.float32),
            }
        )
        for _ in range(count)
    ]


def ours(name: str, models: list[TwinModel], **parameters: float) -> TwinModel:
    return function_of(rule_of(name, parameters))([(model, 10) for model in models])


def as_flower_takes_them(models: list[TwinModel]) -> list[tuple[list[np.ndarray], int]]:  # type: ignore[type-arg]
    return [([array.astype(np.float64) for array in model.tensors.values()], 10) for model in models]


def assert_equal_up_to_rounding(model: TwinModel, theirs: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    for mine, array in zip(model.tensors.values(), theirs, strict=True):
        assert mine.shape == array.shape
        np.testing.assert_allclose(mine, array, rtol=2**-23, atol=2**-23 * float(np.abs(mine).max()))


@given(counts, seeds)
def test_the_median_equals_flowers(count: int, seed: int) -> None:
    models = drawn(count, seed)
    assert_equal_up_to_rounding(ours("median", models), aggregate_median(as_flower_takes_them(models)))


@given(counts, seeds, st.floats(0, 0.5, exclude_max=True))
def test_the_trimmed_mean_equals_flowers(count: int, seed: int, trim: float) -> None:
    models = drawn(count, seed)
    mean = ours("trimmed-mean", models, trim=trim)
    assert_equal_up_to_rounding(mean, aggregate_trimmed_avg(as_flower_takes_them(models), trim))
    stacks = [np.stack([model.tensors[name].astype(np.float64) for model in models]) for name in mean.tensors]
    assert_equal_up_to_rounding(mean, [trim_mean(stack, trim) for stack in stacks])


@given(counts, seeds, st.data())
def test_krum_equals_flowers(count: int, seed: int, data: st.DataObject) -> None:
    models = drawn(count, seed)
    malicious = data.draw(st.integers(0, (count - 3) // 2))
    theirs = aggregate_krum(as_flower_takes_them(models), malicious, 0)
    assert_equal_up_to_rounding(ours("krum", models, malicious=malicious), theirs)


@given(counts, seeds, st.data())
def test_multi_krum_equals_flowers_where_all_claim_as_many_examples(count: int, seed: int, data: st.DataObject) -> None:
    models = drawn(count, seed)
    malicious = data.draw(st.integers(0, (count - 3) // 2))
    select = data.draw(st.integers(1, count - malicious))
    merged = ours("multi-krum", models, malicious=malicious, select=select)
    assert_equal_up_to_rounding(merged, aggregate_krum(as_flower_takes_them(models), malicious, select))

    contents = [
        RecordDict({"arrays": ArrayRecord({name: Array(a.astype(np.float64)) for name, a in model.tensors.items()})})
        for model in models
    ]
    selected = select_multikrum(contents, malicious, select)
    chosen = [models[next(at for at, content in enumerate(contents) if content is one)] for one in selected]
    stacks = [np.stack([model.tensors[name].astype(np.float64) for model in chosen]) for name in merged.tensors]
    assert_equal_up_to_rounding(merged, [stack.mean(axis=0) for stack in stacks])
