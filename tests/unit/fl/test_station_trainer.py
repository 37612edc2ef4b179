"""A station's trainer: what it makes of a round, and what it refuses to begin with."""

from __future__ import annotations

from pathlib import Path

import flwr
import numpy as np
import pytest

from fl.errors import DataError, StrategyError
from fl.station_trainer import Membership, StationTrainer
from fl.strategies import StrategySpec
from tests.unit.fl import tiny
from tests.unit.fl.world import (
    DOMAIN,
    OPEN,
    SEED,
    TWIN,
    Federation,
    Memory,
    account,
    device,
    digest_of,
    genesis,
    key_files,
    trainers,
)
from twins.aggregation import WEIGHTED_MEAN, weighted_mean
from twins.contribution import Contribution
from twins.types import Address
from twins.updates import StationUpdate, decode_payloads, encode_payloads

pytestmark = pytest.mark.unit


def learn(trainer: StationTrainer, number: int = 1) -> StationUpdate:
    return trainer.learn(genesis(), digest_of(genesis()), number, Memory())


def test_a_round_is_the_weighted_mean_of_signed_updates(tmp_path: Path) -> None:
    for index, trainer in enumerate(trainers(tmp_path)):
        update = learn(trainer)
        assert update.station == account(f"station {index}")
        assert (update.round, update.base, update.rule) == (1, digest_of(genesis()), WEIGHTED_MEAN)
        assert update.model == weighted_mean([(u.model(), u.examples) for u in update.updates])
        assert update.examples == sum(9 + 3 * partition for partition in (index, index + 2, index + 4))
        assert {u.device for u in update.updates} == {device(partition) for partition in (index, index + 2, index + 4)}
        for u in update.updates:
            statement = Contribution(TWIN, 1, update.station, update.base, u.digest, u.examples)
            assert statement.signer(DOMAIN, u.signature) == u.device


def test_the_stations_loss_is_weighted_by_examples(tmp_path: Path) -> None:
    update = learn(trainers(tmp_path)[0])
    expected = np.average(
        [u.metrics()["train_loss"] for u in update.updates], weights=[u.examples for u in update.updates]
    )
    assert update.metrics["train_loss"] == pytest.approx(float(expected))


def test_updates_survive_the_bytes_that_are_stored(tmp_path: Path) -> None:
    update = learn(trainers(tmp_path)[0])
    data = encode_payloads(update.updates, update.noise)
    assert decode_payloads(data, [one.entry for one in update.updates]) == (update.updates, b"")


def test_the_engine_is_recorded_with_the_versions_that_decide_the_bits(tmp_path: Path) -> None:
    engine = learn(trainers(tmp_path, spec=StrategySpec("FedProx", {"proximal_mu": 0.1}))[0]).engine
    assert engine["strategy"] == "FedProx"
    assert engine["flwr"] == flwr.__version__
    assert {"torch", "numpy", "threads", "learning_rate", "epochs", "batch"} <= set(engine)


def test_fedprox_tells_its_weight_to_the_devices(tmp_path: Path) -> None:
    plain, weak, strong = (
        learn(trainers(tmp_path, spec=StrategySpec("FedProx", {"proximal_mu": mu}))[0]).model for mu in (0.0, 0.1, 9.0)
    )
    assert plain == learn(trainers(tmp_path)[0]).model
    base = genesis().tensors["0.weight"]
    moved = [float(np.abs(model.tensors["0.weight"] - base).sum()) for model in (plain, weak, strong)]
    assert moved == sorted(moved, reverse=True)
    assert len(set(moved)) == 3


def test_the_same_round_is_learnt_alike_and_another_one_otherwise(tmp_path: Path) -> None:
    one, other = trainers(tmp_path)[0], trainers(tmp_path)[0]
    first = learn(one)
    learn(other, 2)
    learn(other, 3)
    assert learn(other).model == first.model  # what was trained in between leaves nothing behind
    assert learn(one, 2).model != first.model
    assert learn(trainers(tmp_path, seed=SEED + 1)[0]).model != first.model


def test_a_federation_learns(tmp_path: Path) -> None:
    federation = Federation(tmp_path, StrategySpec())
    before = federation.accuracy()
    for _ in range(6):
        federation.round()
    assert before < 0.6
    assert federation.accuracy() > 0.9


def test_every_device_tests_on_its_own_data(tmp_path: Path) -> None:
    parts = [trainer.evaluate(genesis()).examples for trainer in trainers(tmp_path, stations=2, devices=5)]
    assert parts == [15, 10]


def test_progress_is_told_of_every_device(tmp_path: Path) -> None:
    told: list[int] = []
    files = key_files(tmp_path, 2)
    trainer = make(account("station"), files, progress=told.append)
    learn(trainer)
    assert sorted(told) == [2, 3]


def make(station: Address, files: tuple[Path, ...], **more: object) -> StationTrainer:
    return StationTrainer(
        station=station,
        twin=TWIN,
        domain=DOMAIN,
        dataset=tiny.DATASET,
        dataset_name=tiny.NAME,
        split="plain",
        devices=len(files),
        members=Membership(tuple(range(len(files))), files),
        spec=StrategySpec(),
        seed=SEED,
        policy=OPEN,
        **more,  # type: ignore[arg-type]
    )


def test_two_devices_with_one_key_are_refused(tmp_path: Path) -> None:
    one, other = key_files(tmp_path, 2)
    other.write_text(one.read_text())
    with pytest.raises(StrategyError, match="a key of its own for every device"):
        make(account("station"), (one, other))


def test_a_missing_key_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the device key"):
        make(account("station"), (tmp_path / "gone",))


@pytest.mark.parametrize(("name", "arguments", "least"), [("Bulyan", {"num_malicious_nodes": 1}, 7), ("Krum", {}, 3)])
def test_a_station_too_small_for_its_strategy_is_refused_before_anything_is_trained(
    name: str, arguments: dict[str, object], least: int, tmp_path: Path
) -> None:
    spec = StrategySpec(name, arguments)  # type: ignore[arg-type]
    with pytest.raises(StrategyError, match=rf"{name}.*expected at least {least} devices.*got one with 2"):
        trainers(tmp_path, stations=1, devices=2, spec=spec)
    assert len(trainers(tmp_path, stations=1, devices=least, spec=spec)) == 1
