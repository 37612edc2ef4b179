"""The weighted mean: arrays small enough for the head, then the laws of federated averaging."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twins.aggregation import WEIGHTED_MEAN, Rule, function_of, weighted_mean
from twins.errors import AggregationError, SchemaError
from twins.model import TwinModel

pytestmark = pytest.mark.unit

LARGEST = float(np.finfo(np.float32).max)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
weights = st.integers(1, 2**53 - 1)


def model(*values: float) -> TwinModel:
    return TwinModel({"w": np.array(values, dtype=np.float32)})


def weighted(size: int, elements: st.SearchStrategy[float] = finite, examples: st.SearchStrategy[int] = weights):  # type: ignore[no-untyped-def]
    """Lists of (model, examples), each of one tensor of ``size`` values."""
    arrays_ = arrays(np.float32, size, elements=elements)
    return st.lists(st.tuples(arrays_.map(lambda a: TwinModel({"w": a})), examples), min_size=1, max_size=8)


def values(of: TwinModel) -> list[float]:
    return [float(value) for value in of.tensors["w"]]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([(model(1, 2), 1), (model(3, 6), 1)], [2, 4]),
        ([(model(1, 2), 3), (model(5, -2), 1)], [2, 1]),
        ([(model(0, 8), 1), (model(4, 0), 2), (model(8, 8), 5)], [6, 6]),
        ([(model(1), 2**53 - 1), (model(0), 1)], [1]),
        ([(model(0), 1), (model(1), 2)], [float(np.float32(2 / 3))]),
    ],
)
def test_small_means_are_those_of_pencil_and_paper(models, expected) -> None:  # type: ignore[no-untyped-def]
    assert values(weighted_mean(models)) == expected


def test_every_tensor_is_averaged_and_keeps_its_shape() -> None:
    def of(value: float) -> TwinModel:
        return TwinModel({"scalar": np.float32(value) * np.ones((), np.float32), "empty": np.zeros((0, 2), np.float32)})

    mean = weighted_mean([(of(1), 1), (of(4), 2)])
    assert mean.schema() == {"empty": [0, 2], "scalar": []}
    assert float(mean.tensors["scalar"]) == 3.0


@given(arrays(np.float32, (3, 2), elements=finite), weights)
def test_the_mean_of_one_is_itself_bit_for_bit(array: np.ndarray, examples: int) -> None:
    one = TwinModel({"w": array})
    assert weighted_mean([(one, examples)]) == one


@given(arrays(np.float32, 4, elements=finite), st.lists(weights, min_size=1, max_size=6))
def test_the_mean_of_equals_is_that_model(array: np.ndarray, examples: list[int]) -> None:
    one = TwinModel({"w": array})
    assert weighted_mean([(one, n) for n in examples]) == one


@given(weighted(3))
def test_bits_are_those_of_float64_sums_in_the_order_given(models) -> None:  # type: ignore[no-untyped-def]
    total = sum(examples for _, examples in models)
    expected = []
    for place in range(3):
        accumulated = float(models[0][0].tensors["w"][place]) * models[0][1]
        for other, examples in models[1:]:
            accumulated += float(other.tensors["w"][place]) * examples
        expected.append(np.float32(accumulated / total))
    assert weighted_mean(models).tensors["w"].tobytes() == np.array(expected).tobytes()


def test_the_order_of_summation_is_the_callers() -> None:
    large, small = 2.0**60, 1.0
    assert values(weighted_mean([(model(large), 1), (model(small), 1), (model(-large), 1)])) == [0.0]
    assert values(weighted_mean([(model(large), 1), (model(-large), 1), (model(small), 1)])) == [
        float(np.float32(1 / 3))
    ]


@given(weighted(2, examples=st.integers(1, 10_000)))
def test_the_mean_is_the_exact_one_up_to_rounding(models) -> None:  # type: ignore[no-untyped-def]
    total = sum(examples for _, examples in models)
    mean = values(weighted_mean(models))
    for place in range(2):
        terms = [Fraction(values(other)[place]) * examples for other, examples in models]
        scale = sum(map(abs, terms)) / total
        error = abs(Fraction(mean[place]) - sum(terms) / total)
        assert error <= scale * Fraction(1, 2**24) * (1 + Fraction(1, 2**20)) + Fraction(1, 2**149)


@given(weighted(2))
def test_the_mean_lies_between_the_smallest_and_the_largest(models) -> None:  # type: ignore[no-untyped-def]
    stacked = np.stack([other.tensors["w"] for other, _ in models])
    mean = weighted_mean(models).tensors["w"]
    # Exactly so: what the float64 sum is off by is lost when it is rounded to float32.
    assert (stacked.min(axis=0) <= mean).all()
    assert (mean <= stacked.max(axis=0)).all()


@given(st.lists(weighted(3, examples=st.integers(1, 10_000)), min_size=1, max_size=4))
def test_two_tiers_equal_one_up_to_rounding(stations) -> None:  # type: ignore[no-untyped-def]
    flat = [device for station in stations for device in station]
    two_tiers = weighted_mean(
        [(weighted_mean(station), sum(examples for _, examples in station)) for station in stations]
    ).tensors["w"]
    scale = np.max([np.abs(other.tensors["w"].astype(np.float64)) for other, _ in flat], axis=0)
    difference = np.abs(two_tiers.astype(np.float64) - weighted_mean(flat).tensors["w"])
    # Three roundings to float32, each of at most half a unit in the last place of the largest value.
    assert (difference <= 3 * (scale * 2.0**-24 + 2.0**-150) * (1 + 2.0**-20)).all()


@given(st.integers(1, 2**53 - 1), st.integers(2, 40))
def test_the_largest_floats_do_not_overflow(examples: int, count: int) -> None:
    with np.errstate(all="raise"):
        assert values(weighted_mean([(model(LARGEST, -LARGEST), examples)] * count)) == [LARGEST, -LARGEST]


def test_inputs_are_left_as_they_were() -> None:
    first, second = model(1, 2), model(3, 4)
    weighted_mean([(first, 1), (second, 1)])
    weighted_mean([(first, 5)])
    assert (values(first), values(second)) == ([1, 2], [3, 4])


@pytest.mark.parametrize("examples", [0, -1])
def test_a_model_without_examples_is_refused(examples: int) -> None:
    with pytest.raises(AggregationError, match=f"model 1: expected at least 1 training example, got {examples}"):
        weighted_mean([(model(1), 5), (model(2), examples)])


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(AggregationError, match="at least one model"):
        weighted_mean([])


@pytest.mark.parametrize(
    "other",
    [
        model(1, 2, 3),
        TwinModel({"w": np.ones((1, 2), np.float32)}),
        TwinModel({"w": np.ones((), np.float32)}),
        TwinModel({"v": np.ones(2, np.float32)}),
        TwinModel({"w": np.ones(2, np.float32), "v": np.ones(2, np.float32)}),
    ],
    ids=["longer", "broadcastable", "scalar", "another name", "one tensor more"],
)
def test_a_model_of_another_shape_is_refused_and_never_broadcast(other: TwinModel) -> None:
    for models in ([(model(1, 2), 1), (other, 1)], [(other, 1), (model(1, 2), 1)]):
        with pytest.raises(SchemaError, match="model 1"):
            weighted_mean(models)


def test_the_recorded_rule_names_its_function() -> None:
    assert function_of(Rule("twinledger/weighted-mean", "1", {})) is weighted_mean
    assert function_of(WEIGHTED_MEAN) is weighted_mean


@pytest.mark.parametrize(
    "rule",
    [
        Rule("twinledger/weighted-mean", "2"),
        Rule("twinledger/median", "1"),
        Rule("twinledger/weighted-mean", "1", {"trim": 0.1}),
        Rule("", ""),
    ],
    ids=str,
)
def test_a_rule_that_cannot_be_computed_is_refused_by_name(rule: Rule) -> None:
    with pytest.raises(AggregationError, match="expected one of twinledger/weighted-mean@1"):
        function_of(rule)
