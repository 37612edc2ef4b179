"""The attackers of the benchmarks lie as they say they do, and about nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.federations import BLOWN, LABELS, NOBODY, ONE_STATION, REVERSED, open_stations
from benchmarks.poison import FLIPPED, HONEST, Attack, Devices, running
from fl import station_trainer
from fl.datasets import watch
from fl.station_trainer import StationTrainer
from fl.training import initial_model
from twins.model import TwinModel
from twins.types import Address, sha256_digest
from twins.updates import StationUpdate

pytestmark = pytest.mark.unit

BASE = initial_model(HONEST.task, 0)
LIARS = frozenset({1, 4})


class NoHistory:
    rounds: tuple[int, ...] = ()

    def load(self) -> object:
        return iter(())


def learnt(trainer: StationTrainer) -> StationUpdate:
    return trainer.learn(BASE, sha256_digest(BASE.to_bytes()), 1, NoHistory())  # type: ignore[arg-type]


def by_device(update: StationUpdate) -> dict[Address, TwinModel]:
    return {one.device: one.model() for one in update.updates}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Attack], tuple[StationTrainer, StationUpdate]]:
    """One round at one station, two of its ten devices lying."""
    devices, folder = Devices(), tmp_path_factory.mktemp("keys")

    def attack(chosen: Attack) -> tuple[StationTrainer, StationUpdate]:
        devices.turn(chosen, LIARS)
        with running(devices):
            (trainer,) = open_stations(ONE_STATION, ONE_STATION.defences[0], 0, folder)
        return trainer, learnt(trainer)

    return attack


Attacked = Callable[[Attack], tuple[StationTrainer, StationUpdate]]


def test_labels_are_rotated_in_training_and_true_in_testing() -> None:
    for honest, flipped in zip(HONEST.load("temporal", 10), FLIPPED.load("temporal", 10), strict=True):
        assert np.array_equal(flipped.train_y, (honest.train_y + 1) % watch.CLASSES)
        assert np.array_equal(flipped.train_x, honest.train_x)
        assert np.array_equal(flipped.test_y, honest.test_y)


@pytest.mark.parametrize("factor", [-4.0, 0.0, 1.0, 10.0])
def test_a_scaled_update_is_the_base_and_so_many_times_the_step(factor: float) -> None:
    model = TwinModel({name: array + np.float32(0.5) for name, array in BASE.tensors.items()})
    scaled = Attack("any", factor=factor).scaled(model, BASE)
    for name, array in scaled.tensors.items():
        np.testing.assert_allclose(array - BASE.tensors[name], factor * 0.5, rtol=1e-6, atol=1e-6)


def test_without_an_attack_the_devices_send_what_our_own_program_sends(attacked: Attacked, tmp_path: Path) -> None:
    (ours,) = open_stations(ONE_STATION, ONE_STATION.defences[0], 0, tmp_path)
    assert attacked(NOBODY)[1] == learnt(ours)


@pytest.mark.parametrize("attack", [LABELS, REVERSED, BLOWN], ids=lambda attack: attack.name)
def test_attack_a_station_accepts_the_lies_of_those_who_lie_and_the_others_are_honest(
    attack: Attack, attacked: Attacked
) -> None:
    honest, lied = by_device(attacked(NOBODY)[1]), by_device(attacked(attack)[1])
    assert honest.keys() == lied.keys()
    differ = {device for device, model in honest.items() if model != lied[device]}
    assert len(differ) == len(LIARS)
    if not attack.flipped:
        assert all(lied[device] == attack.scaled(honest[device], BASE) for device in differ)


def test_liars_have_no_say_in_how_good_a_model_is(attacked: Attacked) -> None:
    trainer, _ = attacked(LABELS)
    parts = HONEST.load("temporal", 10)
    honest = sum(len(part.test_y) for index, part in enumerate(parts) if index not in LIARS)
    assert trainer.evaluate(BASE).examples == honest


def stopped() -> None:
    with running(Devices()):
        raise KeyboardInterrupt


def test_other_stations_get_our_own_program_again() -> None:
    ours = station_trainer.app
    with running(Devices()):
        assert station_trainer.app is not ours
    assert station_trainer.app is ours
    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert station_trainer.app is ours


def test_with_one_more_liar_the_others_lie_still_and_seeds_choose_other_ones() -> None:
    one, two, three = (ONE_STATION.chosen(count, 0) for count in (1, 2, 3))
    assert one < two < three
    assert {ONE_STATION.chosen(3, seed) for seed in range(5)} != {three}
