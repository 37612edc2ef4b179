"""Robust rules: what liars try, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    every_rule,
    krum,
    model,
    multi_krum,
    near,
    of,
    several,
    trimmed,
    values,
)
from twins.aggregation import Merge, weighted_mean
from twins.errors import AggregationError, NonFiniteError, SchemaError
from twins.model import TwinModel

pytestmark = pytest.mark.unit


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
