"""Laws of the two tiers, on random models."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fl.errors import EngineError, UpdateRejectedError
from fl.station_trainer import Evaluation, deal
from fl.strategies import StrategySpec
from fl.tier1 import Aggregator
from tests.unit.fl.world import genesis, update_of
from twins.aggregation import weighted_mean
from twins.errors import SchemaError
from twins.model import TwinModel
from twins.updates import DeviceUpdate

pytestmark = pytest.mark.unit

values = st.floats(-1000, 1000, width=32)
small_models = st.builds(
    lambda w, b: TwinModel({"w": w, "b": b}),
    arrays(np.float32, (3, 2), elements=values),
    arrays(np.float32, (2,), elements=values),
)


@st.composite
def fleets(draw: st.DrawFn, least: int = 1) -> list[DeviceUpdate]:
    told = draw(st.lists(st.tuples(small_models, st.integers(1, 10_000)), min_size=least, max_size=7))
    return [update_of(f"device {i}", model, examples, 0.5) for i, (model, examples) in enumerate(told)]


ZERO = TwinModel({"w": np.zeros((3, 2), np.float32), "b": np.zeros(2, np.float32)})


def tier1(name: str, updates: list[DeviceUpdate], arguments: dict[str, object] | None = None) -> TwinModel:
    return Aggregator(StrategySpec(name, arguments or {})).aggregate(1, ZERO, updates)  # type: ignore[arg-type]


@given(fleets(), st.integers(1, 7))
def test_two_tiers_are_one_mean_up_to_the_rounding_of_float32(updates: list[DeviceUpdate], stations: int) -> None:
    parts = [[updates[i] for i in part] for part in deal(len(updates), min(stations, len(updates)))]
    merged = weighted_mean([(tier1("FedAvg", part), sum(u.examples for u in part)) for part in parts])
    flat = weighted_mean([(u.model(), u.examples) for u in updates])
    for name, array in flat.tensors.items():
        # Each station's aggregate is rounded once, relative to the greatest value that may stand in it.
        scale = max(float(np.abs(u.model().tensors[name]).max()) for u in updates)
        np.testing.assert_allclose(merged.tensors[name], array, rtol=0, atol=scale * 2**-23 + 1e-37)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("FedAvg", {}),
        ("FedAdam", {}),
        ("FedAvgM", {"server_momentum": 0.9}),
        ("QFedAvg", {"client_learning_rate": 0.1}),
        ("MultiKrum", {"num_nodes_to_select": 2}),
        ("Bulyan", {}),
        ("FedMedian", {}),
        ("FedTrimmedAvg", {}),
        ("twinledger/median", {}),
        ("twinledger/trimmed-mean", {"trim": 0.34}),
        ("twinledger/multi-krum", {"malicious": 0, "select": 2}),
    ],
)
@settings(max_examples=15)
@given(updates=fleets(least=3), seed=st.integers(0, 99))
def test_the_order_of_the_replies_changes_no_bit(
    name: str, arguments: dict[str, object], updates: list[DeviceUpdate], seed: int
) -> None:
    shuffled = random.Random(seed).sample(updates, len(updates))
    assert tier1(name, updates, arguments).to_bytes() == tier1(name, shuffled, arguments).to_bytes()


@given(small_models, st.integers(1, 10_000))
def test_one_device_is_its_stations_mean(model: TwinModel, examples: int) -> None:
    assert tier1("FedAvg", [update_of("device", model, examples)]) == model


@settings(max_examples=25)
@given(small_models, st.lists(st.integers(1, 10_000), min_size=3, max_size=6))
def test_devices_that_agree_are_not_moved_by_any_mean_or_median(model: TwinModel, examples: list[int]) -> None:
    updates = [update_of(f"device {i}", model, count) for i, count in enumerate(examples)]
    for name in ("FedMedian", "FedTrimmedAvg", "Krum", "FedAvg"):
        result = tier1(name, updates)
        for tensor, array in model.tensors.items():
            np.testing.assert_allclose(result.tensors[tensor], array, rtol=1e-6)


@settings(max_examples=25)
@given(fleets(least=3))
def test_krum_returns_one_of_the_updates(updates: list[DeviceUpdate]) -> None:
    result = tier1("Krum", updates)
    assert any(
        all(np.array_equal(result.tensors[n], array) for n, array in update.model().tensors.items())
        for update in updates
    )


@pytest.mark.parametrize("name", ["FedMedian", "twinledger/median"])
@settings(max_examples=20)
@given(updates=fleets(least=4), far=st.floats(1e4, 2.0**100, width=32))
def test_one_far_liar_does_not_carry_the_median_away(name: str, updates: list[DeviceUpdate], far: float) -> None:
    """Of n > 2 values the median lies between two honest ones, wherever one liar stands."""
    lie = TwinModel({name: np.full_like(array, far) for name, array in ZERO.tensors.items()})
    result = tier1(name, [*updates[1:], update_of("liar", lie, 1_000_000)])
    for name, array in result.tensors.items():
        honest = np.stack([update.model().tensors[name] for update in updates[1:]])
        assert (array <= honest.max(axis=0)).all()
        assert (array >= honest.min(axis=0)).all()


@settings(max_examples=20)
@given(fleets(least=5))
def test_a_liar_among_those_that_krum_selects_gains_nothing_by_claiming_examples(updates: list[DeviceUpdate]) -> None:
    """Flower's MultiKrum weighs by them; ours doesn't."""
    greedy = [*updates[1:], update_of("device 0", updates[0].model(), 2**32)]
    rule, arguments = "twinledger/multi-krum", {"malicious": 1, "select": 3}
    assert tier1(rule, greedy, arguments) == tier1(rule, updates, arguments)


def test_a_device_twice_is_refused() -> None:
    """It would count twice in the mean."""
    one = update_of("device", genesis())
    with pytest.raises(UpdateRejectedError, match="expected one update, got two"):
        Aggregator(StrategySpec()).aggregate(1, genesis(), [one, update_of("other", genesis()), one])


def test_an_update_of_another_shape_is_refused() -> None:
    with pytest.raises(SchemaError, match="update of device"):
        Aggregator(StrategySpec()).aggregate(1, genesis(), [update_of("device", ZERO)])


@given(st.integers(1, 200), st.integers(1, 200))
@example(10, 3)
@example(1, 1)
def test_every_device_is_dealt_once_and_no_station_goes_without(devices: int, stations: int) -> None:
    if devices < stations:
        with pytest.raises(EngineError, match=f"got {devices} devices for {stations} stations"):
            deal(devices, stations)
        return
    parts = deal(devices, stations)
    assert len(parts) == stations
    assert sorted(index for part in parts for index in part) == list(range(devices))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert min(map(len, parts)) >= 1


@pytest.mark.parametrize("stations", [0, -1])
def test_no_stations_are_refused(stations: int) -> None:
    with pytest.raises(EngineError, match="expected at least 1 station"):
        deal(10, stations)


def test_a_total_weighs_the_loss_by_the_examples() -> None:
    total = Evaluation.total([Evaluation(1, 1, 4.0), Evaluation(1, 3, 0.0), Evaluation(0, 0, 99.0)])
    assert total == Evaluation(2, 4, 1.0)
    assert total.accuracy == 0.5
    assert total.to_json() == {"correct": 2, "examples": 4, "loss": 1.0}


def test_without_examples_the_accuracy_is_zero() -> None:
    assert Evaluation.total([]) == Evaluation(0, 0, 0.0)
    assert Evaluation(0, 0, 0.0).accuracy == 0.0


evaluations = st.builds(
    lambda share, examples, loss: Evaluation(int(share * examples), examples, loss),
    st.floats(0, 1),
    st.integers(0, 1000),
    st.floats(0, 100),
)


@given(st.lists(evaluations, max_size=6), st.integers(0, 6))
def test_devices_summed_by_station_are_devices_summed(parts: list[Evaluation], cut: int) -> None:
    flat = Evaluation.total(parts)
    tiered = Evaluation.total([Evaluation.total(parts[:cut]), Evaluation.total(parts[cut:])])
    assert (flat.correct, flat.examples) == (tiered.correct, tiered.examples)
    assert flat.loss == pytest.approx(tiered.loss)
