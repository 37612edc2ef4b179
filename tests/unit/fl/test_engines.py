"""Engines: every device signs and is recorded for itself, however its training is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fl.engines
from fl.engines import LocalEngine
from fl.strategies import StrategySpec
from tests.unit.fl import private
from tests.unit.fl.world import (
    DOMAIN,
    TWIN,
    Memory,
    device,
    digest_of,
    genesis,
    trainers,
)
from twins.contribution import Contribution
from twins.updates import StationUpdate, update_norm

pytestmark = pytest.mark.unit


def learn(folder: Path, cohort: int, spec: StrategySpec | None = None, number: int = 1) -> StationUpdate:
    trainer = trainers(folder, stations=1, devices=7, spec=spec, engine=LocalEngine(cohort))[0]
    return trainer.learn(genesis(), digest_of(genesis()), number, Memory())


@pytest.mark.parametrize("cohort", [2, 3, 7, 50])
def test_every_device_of_a_cohort_signs_its_own_update(tmp_path: Path, cohort: int) -> None:
    update, looped = learn(tmp_path, cohort), learn(tmp_path, 1)
    assert [one.device for one in update.updates] == [one.device for one in looped.updates]
    assert {one.device for one in update.updates} == {device(index) for index in range(7)}
    for one, same in zip(update.updates, looped.updates, strict=True):
        statement = Contribution(TWIN, 1, update.station, update.base, one.digest, one.examples)
        assert statement.signer(DOMAIN, one.signature) == one.device
        assert one.examples == same.examples
        for name, tensor in one.model().tensors.items():
            np.testing.assert_allclose(tensor, same.model().tensors[name], atol=1e-5)
        assert one.metrics()["train_loss"] == pytest.approx(same.metrics()["train_loss"], rel=1e-5)


def test_the_same_cohort_gives_the_same_bits_again(tmp_path: Path) -> None:
    first, second = learn(tmp_path, 3), learn(tmp_path, 3)
    assert first.model == second.model
    assert [one.digest for one in first.updates] == [one.digest for one in second.updates]


def test_the_record_names_a_cohort_for_it_decides_the_bits(tmp_path: Path) -> None:
    assert learn(tmp_path, 1).engine["engine"] == "in-process"
    engine = learn(tmp_path, 3).engine
    assert (engine["engine"], engine["cohort"], engine["threads"]) == ("cohort", 3, 1)
    trainer = trainers(tmp_path, stations=1, devices=7, engine=LocalEngine(1, 2))[0]
    assert trainer.learn(genesis(), digest_of(genesis()), 1, Memory()).engine["threads"] == 2


def test_what_a_cohort_computes_is_used_by_every_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the cohort would only be work done twice."""

    def never(*args: object, **options: object) -> float:
        raise AssertionError("trained by itself")

    monkeypatch.setattr("fl.client_app.train", never)
    monkeypatch.setattr("fl.client_app.evaluate", never)
    assert len(learn(tmp_path, 3).updates) == 7
    trainer = trainers(tmp_path, stations=1, devices=7, engine=LocalEngine(4))[0]
    assert trainer.evaluate(genesis()).examples == 5 * 7


def test_a_cohort_tests_a_model_as_the_devices_do(tmp_path: Path) -> None:
    one, other = (
        trainers(tmp_path, stations=1, devices=7, engine=LocalEngine(cohort))[0].evaluate(genesis())
        for cohort in (1, 4)
    )
    assert (one.correct, one.examples) == (other.correct, other.examples)
    assert one.loss == pytest.approx(other.loss, rel=1e-5)


def test_clipping_and_fedprox_reach_the_devices_of_a_cohort(tmp_path: Path) -> None:
    clipped = learn(tmp_path, 7, StrategySpec("FedAvg", privacy=private.CLIENT))
    bound = private.CLIENT.bound(genesis())
    assert bound is not None
    assert all(update_norm(one.model(), genesis()) <= bound for one in clipped.updates)
    plain, near = (
        learn(tmp_path, 7, StrategySpec("FedProx", {"proximal_mu": mu})).updates[0].model() for mu in (0.0, 9.0)
    )
    assert update_norm(near, genesis()) < update_norm(plain, genesis())


def test_a_device_whose_data_are_broken_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = fl.engines.device_of

    def broken(config: dict[str, object]) -> object:
        if config["partition-id"] == 2:
            raise OSError("the disk is gone")
        return find(config)

    monkeypatch.setattr("fl.engines.device_of", broken)
    monkeypatch.setattr("fl.client_app.device_of", broken)
    update = learn(tmp_path, 7)
    assert [one.device for one in update.rejections] == [device(2)]
    assert len(update.updates) == 6


def test_a_device_that_trains_on_something_else_isnt_given_the_cohorts_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    prepared = fl.engines.prepared_training

    def spy(index: int, seed: int, mu: float, base: object) -> object:
        asked.append(prepared(index, seed + 1, mu, base))  # type: ignore[arg-type]
        asked.append(prepared(index, seed, mu + 0.5, base))  # type: ignore[arg-type]
        asked.append(prepared(index, seed, mu, genesis(99)))
        return prepared(index, seed, mu, base)  # type: ignore[arg-type]

    monkeypatch.setattr("fl.client_app.prepared_training", spy)
    assert len(learn(tmp_path, 7).updates) == 7
    assert asked == [None] * 21
    assert fl.engines.prepared_training(0, 0, 0.0, genesis()) is None, "nothing is left after a round"
