"""What provenance is measured against does the same work as a recorded run, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.federations import DOMAIN, TWIN
from benchmarks.plain import PlainFederation
from fl.datasets import get
from fl.engines import LocalEngine
from fl.station_trainer import Evaluation, Membership, StationTrainer, deal
from fl.strategies import StrategySpec
from fl.training import initial_model
from scripts.settings import RunSettings
from twins.aggregation import weighted_mean
from twins.contribution import address_of_key
from twins.manifest import TwinPolicy
from twins.model import TwinModel
from twins.types import sha256_digest

pytestmark = pytest.mark.unit

SETTINGS = RunSettings(dataset="benchmarks.mlp:DATASET", split="iid", stations=2, devices=5, seed=3)
ROUNDS = 2


class NoHistory:
    rounds: tuple[int, ...] = ()

    def load(self) -> object:
        return iter(())


def trainers(folder: Path) -> list[StationTrainer]:
    files = [folder / f"{index}.key" for index in range(SETTINGS.devices)]
    for index, file in enumerate(files):
        file.write_text(f"{index + 1:064x}")
    return [
        StationTrainer(
            station=address_of_key(bytes([7] * 31 + [index + 1])),
            twin=TWIN,
            domain=DOMAIN,
            dataset=get(SETTINGS.dataset),
            dataset_name=SETTINGS.dataset,
            split=SETTINGS.split,
            devices=SETTINGS.devices,
            members=Membership(part, tuple(files[place] for place in part)),
            spec=StrategySpec(),
            seed=SETTINGS.seed,
            policy=TwinPolicy(None, max_staleness=0, sealed=False),
        )
        for index, part in enumerate(deal(SETTINGS.devices, SETTINGS.stations))
    ]


def signed_rounds(folder: Path) -> list[tuple[TwinModel, Evaluation]]:
    stations, model, found = trainers(folder), initial_model(get(SETTINGS.dataset).task, SETTINGS.seed), []
    for number in range(1, ROUNDS + 1):
        digest = sha256_digest(model.to_bytes())
        updates = [station.learn(model, digest, number, NoHistory()) for station in stations]  # type: ignore[arg-type]
        model = weighted_mean([(update.model, update.examples) for update in updates])
        found.append((model, Evaluation.total(station.evaluate(model) for station in stations)))
    return found


@pytest.mark.parametrize("cohort", [1, 3])
def test_without_provenance_the_devices_learn_what_they_learn_with_it(tmp_path: Path, cohort: int) -> None:
    plain = list(PlainFederation(SETTINGS, LocalEngine(cohort)).rounds(ROUNDS))
    for one, (model, evaluation) in zip(plain, signed_rounds(tmp_path), strict=True):
        for name, tensor in model.tensors.items():  # Flower adds up in float32, a station in float64
            np.testing.assert_allclose(one.model.tensors[name], tensor, rtol=0, atol=1e-4)
        assert one.evaluation.examples == evaluation.examples
        assert one.evaluation.loss == pytest.approx(evaluation.loss, abs=1e-3)


def test_every_round_trains_on_other_batches() -> None:
    first, second = PlainFederation(SETTINGS, LocalEngine()).rounds(2)
    again, other = (next(PlainFederation(replace(SETTINGS, seed=s), LocalEngine()).rounds(1)) for s in (3, 4))
    assert again.model.to_bytes() == first.model.to_bytes() != other.model.to_bytes()
    assert second.model.to_bytes() != first.model.to_bytes()


def test_the_phases_make_up_the_round() -> None:
    for one in PlainFederation(SETTINGS, LocalEngine()).rounds(2):
        assert sum(one.phases.values()) == pytest.approx(one.seconds)
