"""Robust rules: by pencil and paper, then their laws."""

from __future__ import annotations

import statistics
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.unit.twins.robust_rules import (
    KRUM,
    LARGEST,
    MEDIAN,
    MULTI_KRUM,
    RULES,
    SMALLEST,
    TRIMMED,
    by_coordinate,
    every_rule,
    finite,
    gaussian,
    krum,
    model,
    multi_krum,
    of,
    several,
    trimmed,
    values,
)
from twins.aggregation import Merge, weighted_mean
from twins.model import TwinModel

pytestmark = pytest.mark.unit


# By pencil and paper.


@pytest.mark.parametrize(
    ("rule", "models", "expected"),
    [
        (MEDIAN, [model(5, -1)], [5, -1]),
        (MEDIAN, [model(1), model(4)], [2.5]),
        (MEDIAN, [model(9, 0), model(1, 5), model(2, -5)], [2, 0]),
        (MEDIAN, [model(1), model(1000), model(3), model(2)], [2.5]),
        (trimmed(0), [model(0), model(1), model(5)], [2]),
        (trimmed(0.25), [model(100), model(1), model(3), model(-100)], [2]),
        (trimmed(0.25), [model(100), model(1), model(3)], [float(np.float32(104 / 3))]),
        (trimmed(0.4), [model(5), model(4), model(300), model(3), model(-9)], [4]),
        (krum(1), [model(0), model(1), model(2), model(3.5), model(90)], [1]),
        (krum(0), [model(0), model(4), model(5)], [4]),
        (multi_krum(1, 3), [model(0), model(1), model(2), model(3.5), model(90)], [1]),
        (multi_krum(0, 2), [model(0), model(4), model(5)], [4.5]),
        (multi_krum(0, 3), [model(0), model(4), model(5)], [3]),
    ],
)
def test_small_cases_are_those_of_pencil_and_paper(rule: Merge, models: list[TwinModel], expected: list[float]) -> None:
    assert values(rule(of(*models))) == expected


def test_krum_sums_the_squares_of_the_nearest_and_leaves_out_the_model_itself() -> None:
    # n = 6, f = 1: three neighbours count. Scores: 0+1+16=17, 0+1+16=17, 1+1+9=11, 9+16+16=41, …
    models = of(model(0), model(0), model(1), model(4), model(20), model(21))
    assert values(krum(1)(models)) == [1]


def test_krum_measures_over_all_tensors_together() -> None:
    def two(v: float, w: float) -> TwinModel:
        return TwinModel({"v": np.full((1, 1), v, np.float32), "w": np.full((), w, np.float32)})

    models = of(two(0, 9), two(0, 0), two(1, 1), two(2, 0), two(9, 0))
    assert krum(1)(models) == two(1, 1)


def test_every_tensor_keeps_its_name_and_shape() -> None:
    def one(value: float) -> TwinModel:
        return TwinModel({"scalar": np.full((), value, np.float32), "empty": np.zeros((0, 2), np.float32)})

    models = of(*(one(value) for value in (1, 2, 3, 4, 50)))
    for rule, expected in ((MEDIAN, 3), (TRIMMED, 3), (KRUM, 2), (MULTI_KRUM, 2)):
        merged = rule(models)
        assert merged.schema() == {"empty": [0, 2], "scalar": []}
        assert float(merged.tensors["scalar"]) == expected


def test_models_without_a_single_parameter_are_merged_too() -> None:
    nothing = TwinModel({"w": np.zeros((0, 4), np.float32)})
    for rule in RULES.values():
        assert rule(of(*[nothing] * 5)) == nothing


# Laws.


@given(several())
def test_the_median_is_that_of_the_standard_library_rounded_once(models: list[TwinModel]) -> None:
    expected = [np.float32(statistics.median(values(m)[place] for m in models)) for place in range(3)]
    assert values(MEDIAN(of(*models))) == expected


@given(several(), st.floats(0, 0.5, exclude_max=True))
def test_the_trimmed_mean_is_the_sum_in_ascending_order(models: list[TwinModel], trim: float) -> None:
    cut = int(trim * len(models))
    expected = []
    for place in range(3):
        kept = sorted(values(m)[place] for m in models)[cut : len(models) - cut]
        total = kept[0]
        for value in kept[1:]:
            total += value
        expected.append(np.float32(total / len(kept)))
    assert values(trimmed(trim)(of(*models))) == expected


@given(several(least=5), st.integers(0, 1), st.integers(1, 4))
def test_krum_is_the_papers_formula(models: list[TwinModel], malicious: int, select: int) -> None:
    def distance(one: TwinModel, other: TwinModel) -> float:
        return sum((a - b) ** 2 for a, b in zip(values(one), values(other), strict=True))

    def score(place: int) -> float:
        others = [distance(models[place], other) for at, other in enumerate(models) if at != place]
        return sum(sorted(others)[: len(models) - malicious - 2])

    scores = [score(place) for place in range(len(models))]
    best = models.index(krum(malicious)(of(*models)))
    # A score sums in another order here, so it may differ in its last bits.
    assert scores[best] <= min(scores) * (1 + 2**-40)


@every_rule
@given(arrays(np.float32, (2, 3), elements=finite), st.integers(5, 9))
def test_what_all_agree_on_comes_back_bit_for_bit(rule: Merge, array: np.ndarray, count: int) -> None:  # type: ignore[type-arg]
    one = TwinModel({"w": array})
    assert rule(of(*[one] * count)) == one


@by_coordinate
@given(arrays(np.float32, 4, elements=finite))
def test_a_single_model_comes_back_bit_for_bit(rule: Merge, array: np.ndarray) -> None:  # type: ignore[type-arg]
    one = TwinModel({"w": array})
    assert rule(of(one)) == one


@by_coordinate
@given(several(), st.randoms())
def test_the_order_does_not_show_in_a_single_bit(rule: Merge, models: list[TwinModel], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(models)
    random.shuffle(shuffled)
    assert rule(of(*shuffled)) == rule(of(*models))


@pytest.mark.parametrize("rule", [KRUM, MULTI_KRUM], ids=["Krum", "multi-Krum"])
@given(st.integers(0, 2**32), st.integers(5, 9), st.randoms())
def test_the_order_does_not_show_where_krum_finds_no_two_equal(rule: Merge, seed: int, count: int, random) -> None:  # type: ignore[no-untyped-def]
    models = gaussian(count, 16, seed)
    shuffled = list(models)
    random.shuffle(shuffled)
    assert rule(of(*shuffled)) == rule(of(*models))


@every_rule
@given(several(least=5), st.data())
def test_equal_inputs_may_change_places(rule: Merge, models: list[TwinModel], data: st.DataObject) -> None:
    doubled = data.draw(st.sampled_from(models))
    first = [TwinModel({"w": doubled.tensors["w"].copy()}), *models[1:]]
    second = [*models[1:], doubled]
    assert rule(of(doubled, *models[1:])) == rule(of(*first))
    if rule in (MEDIAN, TRIMMED):
        assert rule(of(*second)) == rule(of(*first))


def test_equal_scores_go_to_the_first_given() -> None:
    # A square and a far point: four models with the same score.
    square = [model(1, 0), model(0, 1), model(-1, 0), model(0, -1)]
    for order in permutations(square):
        for models in (of(*order, model(50, 50)), of(model(50, 50), *order)):
            assert KRUM(models) == order[0]
            two = multi_krum(1, 2)(models)
            assert two == weighted_mean(of(order[0], order[1]))


@given(several(least=5), st.integers(0, 1))
def test_multi_krum_of_one_is_krum(models: list[TwinModel], malicious: int) -> None:
    assert multi_krum(malicious, 1)(of(*models)) == krum(malicious)(of(*models))


@given(several(least=5))
def test_multi_krum_of_all_is_the_trimmed_mean_without_trimming(models: list[TwinModel]) -> None:
    assert multi_krum(0, len(models))(of(*models)) == trimmed(0)(of(*models))


def test_minus_zero_comes_before_zero_in_every_order() -> None:
    for signs, expected in (((-0.0, 0.0, 0.0), 0.0), ((-0.0, -0.0, 0.0), -0.0)):
        for order in permutations(signs):
            assert MEDIAN(of(*(model(v) for v in order))) == model(expected)


@pytest.mark.parametrize("value", [LARGEST, -LARGEST, SMALLEST])
@every_rule
def test_the_largest_and_smallest_floats_neither_overflow_nor_vanish(rule: Merge, value: float) -> None:
    with np.errstate(over="raise", invalid="raise"):
        assert values(rule(of(*[model(value, -value)] * 7))) == [value, -value]
        rule(of(*[model(value), model(-value)] * 4))


@every_rule
def test_inputs_are_left_as_they_were(rule: Merge) -> None:
    models = [model(3, 1), model(1, 2), model(2, 9), model(0, 0), model(7, 7)]
    before = [each.to_bytes() for each in models]
    rule(of(*models))
    assert [each.to_bytes() for each in models] == before
