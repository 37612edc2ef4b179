"""The weighted mean: arrays small enough for the head, then the laws of federated averaging; rules by their names."""

from __future__ import annotations

import math
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twins import canonical
from twins.aggregation import WEIGHTED_MEAN, Rule, function_of, rule_of, weighted_mean
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


# Rules by name, version and parameters.

NAMED: dict[str, dict[str, Any]] = {
    "weighted-mean": {},
    "median": {},
    "trimmed-mean": {"trim": 0.2},
    "krum": {"malicious": 1},
    "multi-krum": {"malicious": 1, "select": 2},
}


def test_the_recorded_rule_names_its_function() -> None:
    assert function_of(Rule("twinledger/weighted-mean", "1", {})) is weighted_mean
    assert function_of(WEIGHTED_MEAN) is weighted_mean


@pytest.mark.parametrize(("name", "parameters"), NAMED.items(), ids=NAMED.keys())
def test_every_rule_has_a_short_name_and_is_recorded_under_its_full_one(name: str, parameters: dict[str, Any]) -> None:
    rule = rule_of(name, parameters)
    assert rule == Rule(f"twinledger/{name}", "1", parameters)
    models = [(model(value), 1) for value in range(7)]
    assert function_of(rule)(models).schema() == {"w": [1]}


def test_a_rule_does_not_change_with_the_mapping_that_it_was_made_of() -> None:
    given = {"malicious": 1}
    rule = rule_of("krum", given)
    given["malicious"] = 2
    assert rule.parameters == {"malicious": 1}


@pytest.mark.parametrize(("name", "parameters"), NAMED.items(), ids=NAMED.keys())
def test_a_rule_read_back_from_a_manifest_gives_the_same_bits(name: str, parameters: dict[str, Any]) -> None:
    recorded = canonical.decode(canonical.encode(asdict(rule_of(name, parameters))))
    models = [(model(value, value**2 / 7), value + 1) for value in range(7)]
    assert function_of(Rule(**recorded))(models) == function_of(rule_of(name, parameters))(models)


def test_nothing_trimmed_is_one_rule_whether_it_was_written_0_or_0_0() -> None:
    for zero in (0, 0.0):
        assert values(function_of(rule_of("trimmed-mean", {"trim": zero}))([(model(1), 1), (model(3), 1)])) == [2]
    assert rule_of("trimmed-mean", {"trim": 0}) == rule_of("trimmed-mean", {"trim": 0.0})


@pytest.mark.parametrize("name", ["", "mean", "Median", "twinledger/median", "flwr/Krum", "median@1"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    known = "expected one of weighted-mean, median, trimmed-mean, krum, multi-krum"
    with pytest.raises(AggregationError, match=known):
        rule_of(name, {})


@pytest.mark.parametrize(
    "rule",
    [
        Rule("twinledger/weighted-mean", "2"),
        Rule("twinledger/krum", "0", {"malicious": 1}),
        Rule("median", "1"),
        Rule("flwr/Krum", "1", {"malicious": 1}),
        Rule("", ""),
    ],
    ids=str,
)
def test_a_rule_that_cannot_be_computed_is_refused_by_name(rule: Rule) -> None:
    with pytest.raises(
        AggregationError, match=f"cannot compute rule {rule}: expected one of twinledger/weighted-mean@1"
    ):
        function_of(rule)


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("weighted-mean", {"trim": 0.1}, r"\(none\), got trim"),
        ("median", {"malicious": 1}, r"\(none\), got malicious"),
        ("trimmed-mean", {}, r"trim, got \(none\)"),
        ("trimmed-mean", {"beta": 0.1}, "trim, got beta"),
        ("krum", {}, r"malicious, got \(none\)"),
        ("krum", {"malicious": 1, "select": 2}, "malicious, got malicious, select"),
        ("multi-krum", {"malicious": 1}, "malicious, select, got malicious"),
    ],
)
def test_parameters_missing_or_unknown_are_refused(name: str, parameters: dict[str, Any], expected: str) -> None:
    with pytest.raises(AggregationError, match=f"rule twinledger/{name}@1: expected the parameters {expected}; give"):
        rule_of(name, parameters)


WRONG: list[Any] = [True, False, None, "0.2", "1", [1], {}, -1, -0.1, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize(
    ("name", "parameter", "wrong", "expected"),
    [
        *(("trimmed-mean", "trim", value, "a number from 0 to below 0.5") for value in [*WRONG, 0.5, 1, 20]),
        *(("krum", "malicious", value, "a whole number from 0") for value in [*WRONG, 1.0, 0.5]),
        *(("multi-krum", "malicious", value, "a whole number from 0") for value in [*WRONG, 1.0]),
        *(("multi-krum", "select", value, "a whole number from 1") for value in [*WRONG, 0, 2.0]),
    ],
)
def test_a_parameter_of_another_type_or_out_of_range_is_refused(
    name: str, parameter: str, wrong: Any, expected: str
) -> None:
    with pytest.raises(AggregationError) as refused:
        rule_of(name, NAMED[name] | {parameter: wrong})
    assert str(refused.value) == f"rule twinledger/{name}@1: parameter {parameter}: expected {expected}, got {wrong!r}"
