"""Bits of a rule: float64 inside, arguments as manifests give them back, and no draw that depends on the order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import FedAvg
from torch import nn

from fl.errors import StrategyError
from fl.strategies import StrategySpec, spec_of
from fl.tier1 import Aggregator
from fl.training import Examples, load_model, to_model, train
from tests.unit.fl import tiny
from tests.unit.fl.world import Federation, Memory, device, digest_of, genesis, trainers, update_of
from twins import canonical
from twins.aggregation import Rule
from twins.model import TwinModel

pytestmark = pytest.mark.unit


class Sees(FedAvg):
    """Remembers the types of what it is given."""

    types: frozenset[str] = frozenset()

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        listed = list(replies)
        Sees.types = frozenset(a.dtype for r in listed for a in r.content.array_records["arrays"].values())
        return super().aggregate_train(server_round, listed)


def test_flowers_strategies_reckon_in_float64() -> None:
    """A float32 sum rounds by the order that NumPy's partition happens to leave, which the processor decides."""
    updates = [update_of(f"d{index}", genesis(index)) for index in range(3)]
    result = Aggregator(StrategySpec(f"{__name__}:Sees")).aggregate(1, genesis(), updates)
    assert Sees.types == {"float64"}
    assert {array.dtype for array in result.tensors.values()} == {np.dtype("float32")}


def test_a_trimmed_mean_is_the_exact_one_rounded_once() -> None:
    random = np.random.default_rng(3)
    arrays = random.normal(size=(7, 500)).astype(np.float32)
    updates = [update_of(f"d{index}", TwinModel({"w": array})) for index, array in enumerate(arrays)]
    spec = StrategySpec("FedTrimmedAvg", {"beta": 0.2})
    result = Aggregator(spec).aggregate(1, TwinModel({"w": arrays[0]}), updates)
    exact = np.sort(arrays.astype(np.longdouble), axis=0)[1:-1].mean(axis=0)
    assert np.array_equal(result.tensors["w"], exact.astype(np.float32))


@pytest.mark.parametrize("order", [(0.0, -0.0, -0.0), (-0.0, 0.0, -0.0), (-0.0, -0.0, 0.0)])
def test_attack_a_negative_zero_leaves_no_trace(order: tuple[float, ...]) -> None:
    """Which of two equal zeros is the median, the processor would decide: and an auditor has another one."""
    updates = [update_of(f"d{i}", TwinModel({"w": np.array([zero], np.float32)})) for i, zero in enumerate(order)]
    for name in ("FedMedian", "FedTrimmedAvg", "Krum"):
        result = Aggregator(StrategySpec(name)).aggregate(1, TwinModel({"w": np.ones(1, np.float32)}), updates)
        assert not np.signbit(result.tensors["w"]).any()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "fast", "true", "null", "[1]", '"0.1"'])
def test_an_argument_that_is_no_number_is_refused_before_anybody_trains(value: str) -> None:
    with pytest.raises(StrategyError, match="FedAdam"):
        StrategySpec.parse("FedAdam", [f"eta={value}"])


def test_code_is_no_argument() -> None:
    """Bulyan takes a function: a text in its place would only fail after a round of training."""
    with pytest.raises(StrategyError, match="unknown: selection_rule"):
        StrategySpec.parse("Bulyan", ["selection_rule=select_multikrum"])


def test_an_argument_given_twice_is_refused() -> None:
    with pytest.raises(StrategyError, match="eta: expected once, got it twice"):
        StrategySpec.parse("FedAdam", ["eta=0.1", "eta=0.2"])


@pytest.mark.parametrize("text", ["1.0", "1", "1e16", "0.1", "1E-7", "-0.0"])
def test_the_replay_computes_with_the_very_arguments_of_the_live_path(text: str) -> None:
    """Canonical JSON writes 1.0 as 1: live must not compute with the one and the replay with the other."""
    live = StrategySpec.parse("FedAdam", [f"eta={text}"])
    read = canonical.decode(canonical.encode(live.rule.parameters))
    replayed = spec_of(Rule(live.rule.name, live.rule.version, read))
    assert [(type(v), repr(v)) for v in replayed.arguments.values()] == [
        (type(v), repr(v)) for v in live.arguments.values()
    ]


def test_a_device_trains_alike_whatever_station_it_is_at(tmp_path: Path) -> None:
    payloads = []
    for stations in (1, 3):
        federation = Federation(tmp_path, StrategySpec(), stations=stations)
        federation.round()
        updates = [update for _, made in federation.history for station in made for update in station.updates]
        payloads.append({update.device: update.payload for update in updates})
    assert payloads[0] == payloads[1]
    assert set(payloads[0]) == {device(index) for index in range(6)}


def test_what_a_network_draws_depends_on_the_seed_and_not_on_who_trained_before() -> None:
    """Flower draws the order of the devices: dropout from torch's own generator would follow it."""
    network = nn.Sequential(nn.Linear(tiny.FEATURES, 16), nn.Dropout(0.5), nn.Linear(16, tiny.CLASSES))
    base = to_model(network)
    data = [Examples.of(p.train_x, p.train_y) for p in tiny.DATASET.load("plain", 3)]

    def trained(order: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        for index in order:
            load_model(network, base)
            train(network, tiny.DATASET.task, data[index], seed=index)
            yield index, to_model(network).to_bytes()

    outcomes = []
    for seed, order in enumerate(permutations(range(3))):
        torch.manual_seed(seed)
        outcomes.append(dict(trained(order)))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert len(set(outcomes[0].values())) == 3


def test_the_engine_names_what_no_rule_names(tmp_path: Path) -> None:
    """FedProx is recorded as the mean: its weight and the seed stand here."""
    (trainer,) = trainers(tmp_path, stations=1, spec=StrategySpec("FedProx", {"proximal_mu": 0.5}), seed=11)
    engine = trainer.learn(genesis(), digest_of(genesis()), 1, Memory()).engine
    assert engine["strategy_arguments"] == {"proximal_mu": 0.5}
    assert engine["seed"] == 11
