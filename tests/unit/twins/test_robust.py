"""Robust rules: by pencil and paper, then their laws, then what liars try."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twins.aggregation import Merge, function_of, rule_of, weighted_mean
from twins.errors import AggregationError, NonFiniteError, SchemaError
from twins.model import TwinModel

pytestmark = pytest.mark.unit

LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
near = st.floats(-1, 1, width=32)

MEDIAN = function_of(rule_of("median", {}))
TRIMMED = function_of(rule_of("trimmed-mean", {"trim": 0.25}))
KRUM = function_of(rule_of("krum", {"malicious": 1}))
MULTI_KRUM = function_of(rule_of("multi-krum", {"malicious": 1, "select": 3}))

RULES = {"median": MEDIAN, "trimmed mean": TRIMMED, "Krum": KRUM, "multi-Krum": MULTI_KRUM}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
by_coordinate = pytest.mark.parametrize("rule", [MEDIAN, TRIMMED], ids=["median", "trimmed mean"])


def trimmed(trim: float) -> Merge:
    return function_of(rule_of("trimmed-mean", {"trim": trim}))


def krum(malicious: int) -> Merge:
    return function_of(rule_of("krum", {"malicious": malicious}))


def multi_krum(malicious: int, select: int) -> Merge:
    return function_of(rule_of("multi-krum", {"malicious": malicious, "select": select}))


def model(*values: float) -> TwinModel:
    return TwinModel({"w": np.array(values, dtype=np.float32)})


def of(*models: TwinModel) -> list[tuple[TwinModel, int]]:
    return [(each, 10) for each in models]


def values(of: TwinModel) -> list[float]:
    return [float(value) for value in of.tensors["w"]]


def gaussian(count: int, size: int, seed: int) -> list[TwinModel]:
    random = np.random.default_rng(seed)
    return [TwinModel({"w": random.normal(size=size).astype(np.float32)}) for _ in range(count)]


def several(least: int = 1, size: int = 3, elements: st.SearchStrategy[float] = finite) -> st.SearchStrategy:  # type: ignore[type-arg]
    one = arrays(np.float32, size, elements=elements).map(lambda array: TwinModel({"w": array}))
    return st.lists(one, min_size=least, max_size=9)


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


# What liars try.


def mixed(honest: Sequence[TwinModel], liars: Sequence[TwinModel], order: Callable[[list[TwinModel]], None]):  # type: ignore[no-untyped-def]
    models = [*honest, *liars]
    order(models)
    return of(*models)


def between(merged: TwinModel, honest: Sequence[TwinModel]) -> bool:
    stacked = np.stack([each.tensors["w"] for each in honest])
    result = merged.tensors["w"]
    return bool((stacked.min(axis=0) <= result).all() and (result <= stacked.max(axis=0)).all())


@given(several(least=2), st.data(), st.randoms())
def test_a_minority_of_liars_cannot_lead_the_median_out_of_what_honest_ones_say(
    honest: list[TwinModel], data: st.DataObject, random
) -> None:  # type: ignore[no-untyped-def]
    liars = data.draw(several(least=0)).copy()[: len(honest) - 1]
    assert between(MEDIAN(mixed(honest, liars, random.shuffle)), honest)


@given(several(least=2), st.floats(0, 0.5, exclude_max=True), st.data(), st.randoms())
def test_as_many_liars_as_are_trimmed_cannot_lead_the_mean_out_of_what_honest_ones_say(
    honest: list[TwinModel], trim: float, data: st.DataObject, random
) -> None:  # type: ignore[no-untyped-def]
    liars = data.draw(several(least=0)).copy()
    while int(trim * (len(honest) + len(liars))) < len(liars):
        liars.pop()
    assert between(trimmed(trim)(mixed(honest, liars, random.shuffle)), honest)


def test_one_liar_leads_the_weighted_mean_anywhere_and_no_robust_rule() -> None:
    honest = [model(value) for value in (0.9, 1.0, 1.1, 1.2)]
    attacked = of(*honest, model(-1e6))
    assert values(weighted_mean(attacked))[0] < -1e5
    for rule in RULES.values():
        assert 0.9 <= values(rule(attacked))[0] <= 1.2


@every_rule
def test_a_liar_gains_nothing_by_claiming_many_examples(rule: Merge) -> None:
    models = [model(value) for value in (0, 1, 2, 3, 50)]
    claimed = [(each, 1 if at < 4 else 2**53 - 1) for at, each in enumerate(models)]
    assert rule(claimed) == rule(of(*models))


far = arrays(np.float32, 3, elements=st.floats(5, LARGEST, width=32) | st.floats(-LARGEST, -5, width=32))


@pytest.mark.parametrize("rule", [KRUM, MULTI_KRUM], ids=["Krum", "multi-Krum"])
@given(several(least=4, elements=near), far, far, st.data())
def test_a_liar_far_away_is_not_chosen_and_does_not_move_the_choice(
    rule: Merge, honest: list[TwinModel], lie: np.ndarray, other: np.ndarray, data: st.DataObject
) -> None:  # type: ignore[type-arg]
    # Honest ones are at most √12 apart, the liar is at least 4 away from each.
    place = data.draw(st.integers(0, len(honest)))
    results = []
    for claimed in (lie, other):
        models = [*honest[:place], TwinModel({"w": claimed}), *honest[place:]]
        results.append(rule(of(*models)))
    assert results[0] == results[1]
    assert between(results[0], honest)
    if rule is KRUM:
        assert results[0] in honest


@given(st.integers(1, 3), st.data())
def test_krum_bears_as_many_colluding_liars_as_it_is_told(malicious: int, data: st.DataObject) -> None:
    honest = data.draw(st.lists(arrays(np.float32, 3, elements=near), min_size=malicious + 3, max_size=malicious + 6))
    lie = TwinModel({"w": data.draw(far)})
    models = [*(TwinModel({"w": array}) for array in honest), *[lie] * malicious]
    # Colluding liars stand at the same place, 0 apart: but there are too few of them to be each other's neighbourhood.
    assert krum(malicious)(of(*models)) in models[: len(honest)]


def test_liars_beyond_the_bound_win() -> None:
    """What doesn't hold, said plainly: the rules bear as many as they are made for, and no more."""
    honest = [model(value) for value in (0.0, 0.5, 1.0)]
    liars = [model(50.0)] * 4
    assert values(MEDIAN(of(*honest, *liars))) == [50]
    assert values(trimmed(0.4)(of(*honest, *liars)))[0] > 33
    assert values(krum(1)(of(*honest, *liars))) == [50]


# What they refuse.


@every_rule
def test_nothing_to_aggregate_is_refused(rule: Merge) -> None:
    with pytest.raises(AggregationError, match="at least one model"):
        rule([])


@every_rule
@pytest.mark.parametrize("examples", [0, -1])
def test_a_model_without_examples_is_refused(rule: Merge, examples: int) -> None:
    models = [*of(*[model(1)] * 4), (model(2), examples)]
    with pytest.raises(AggregationError, match=f"model 4: expected at least 1 training example, got {examples}"):
        rule(models)


@pytest.mark.parametrize("malicious", [0, 1, 2, 5])
def test_krum_needs_twice_the_liars_and_three(malicious: int) -> None:
    least = 2 * malicious + 3
    for rule in (krum(malicious), multi_krum(malicious, 1)):
        assert rule(of(*[model(1)] * least)) == model(1)
        with pytest.raises(AggregationError, match=rf"expected at least {least} updates \(2f \+ 3\), got {least - 1}"):
            rule(of(*[model(1)] * (least - 1)))


def test_multi_krum_selects_no_more_than_the_honest_ones() -> None:
    assert multi_krum(1, 4)(of(*[model(1)] * 5)) == model(1)
    with pytest.raises(AggregationError, match="expected at least 6 updates, got 5; wait for more"):
        multi_krum(1, 5)(of(*[model(1)] * 5))


OTHERS = {
    "longer": model(1, 2, 3),
    "broadcastable": TwinModel({"w": np.ones((1, 2), np.float32)}),
    "scalar": TwinModel({"w": np.ones((), np.float32)}),
    "another name": TwinModel({"v": np.ones(2, np.float32)}),
    "one tensor more": TwinModel({"w": np.ones(2, np.float32), "v": np.ones(2, np.float32)}),
}


@every_rule
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_a_model_of_another_shape_is_refused_and_never_broadcast(rule: Merge, other: TwinModel) -> None:
    with pytest.raises(SchemaError, match="model 4"):
        rule(of(*[model(1, 2)] * 4, other))
    with pytest.raises(SchemaError, match="model 1"):
        rule(of(other, *[model(1, 2)] * 4))


@every_rule
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_naming_the_model(rule: Merge, value: float) -> None:
    # NaN is neither near nor far: sorted, it would stand at one end, and every distance to it compares to nothing.
    with pytest.raises(NonFiniteError, match="model 3"):
        rule(of(*[model(1)] * 3, model(value), model(1)))
