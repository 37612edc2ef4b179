"""How well a twin does on a person that nobody trained on: leave one subject out, ten times.

Examples:
    benchmarks/loso.py                  10 folds of 20 rounds, 9 devices at 3 stations
    benchmarks/loso.py --quick          one fold of two rounds
    benchmarks/loso.py --folds 3        subjects 1 to 3 only

Devices sign and stations verify and aggregate as in a federated run; the stations' models are then merged by the
weighted mean of tier 2. There is no chain: what is measured is the learning. The same options give the same
figures on the same machine; writes them as JSON too.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from fl.datasets.watch import DATASET, SUBJECTS
from fl.station_trainer import Evaluation, Membership, StationTrainer, deal
from fl.strategies import StrategySpec
from fl.training import initial_model
from scripts.cli import BadInputError, command, err, out, run
from twins.aggregation import weighted_mean
from twins.contribution import SigningDomain, address_of_key
from twins.manifest import TwinPolicy
from twins.model import TwinModel
from twins.types import Address, sha256_digest, twin_id
from twins.updates import RecordedRound, device_order

OUT = Path(__file__).resolve().parents[1] / "build" / "loso.json"
TARGET = 0.80
"""Mean accuracy that the design asks for."""

TWIN = twin_id("benchmark/loso")
DOMAIN = SigningDomain(31337, Address("0x" + "00" * 20))


@dataclass(frozen=True)
class Settings:
    """Everything that changes the figures."""

    rounds: int = 20
    folds: int = SUBJECTS
    devices: int = SUBJECTS - 1
    stations: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Fold:
    """One subject left out.

    Attributes:
        subject: 1 to 10.
        untrained: the first model on that subject.
        rounds: the merged model on that subject, after each round.
        seconds: for all of it.
    """

    subject: int
    untrained: Evaluation
    rounds: tuple[Evaluation, ...]
    seconds: float


class NoHistory:
    """For FedAvg, which carries nothing from round to round."""

    rounds: tuple[int, ...] = ()

    def load(self) -> Iterator[RecordedRound]:
        """Nothing was recorded."""
        return iter(())


def key(name: str) -> bytes:
    """Return a private key that is the same in every run."""
    return hashlib.sha256(f"twinledger/benchmark/loso/{name}".encode()).digest()


def open_stations(split: str, settings: Settings, folder: Path) -> tuple[StationTrainer, ...]:
    """Put the devices of one fold behind their stations, in the order in which stations are merged.

    Args:
        split: of the watch data.
        settings: of the benchmark.
        folder: for the devices' key files.
    """
    files = tuple(folder / f"device-{index}" for index in range(settings.devices))
    for file in files:
        file.write_text(key(file.name).hex())
    accounts = sorted((address_of_key(key(f"station {i}")) for i in range(settings.stations)), key=device_order)
    return tuple(
        StationTrainer(
            station=account,
            twin=TWIN,
            domain=DOMAIN,
            dataset=DATASET,
            dataset_name=DATASET.name,
            split=split,
            devices=settings.devices,
            members=Membership(part, tuple(files[index] for index in part)),
            spec=StrategySpec(),
            seed=settings.seed,
            policy=TwinPolicy(max_update_norm=None, max_staleness=0, sealed=True),
        )
        for account, part in zip(accounts, deal(settings.devices, settings.stations), strict=True)
    )


def merged_round(stations: Sequence[StationTrainer], base: TwinModel, number: int) -> TwinModel:
    """Run both tiers once."""
    digest = sha256_digest(base.to_bytes())
    updates = [station.learn(base, digest, number, NoHistory()) for station in stations]
    return weighted_mean([(update.model, update.examples) for update in updates])


def evaluate(stations: Sequence[StationTrainer], model: TwinModel) -> Evaluation:
    """Test on the subject left out: the devices share its windows."""
    return Evaluation.total(station.evaluate(model) for station in stations)


def measure(subject: int, settings: Settings, progress: Progress) -> Fold:
    """Train without one subject, testing on it after every round.

    Raises:
        FlError: settings that the data don't allow.
    """
    clock = perf_counter()
    bar = progress.add_task(f"without subject {subject}", total=settings.rounds)
    with tempfile.TemporaryDirectory(prefix="twinledger-loso-") as folder:
        stations = open_stations(f"loso:{subject}", settings, Path(folder))
        model = initial_model(DATASET.task, settings.seed)
        untrained = evaluate(stations, model)
        rounds = []
        for number in range(1, settings.rounds + 1):
            model = merged_round(stations, model, number)
            rounds.append(evaluate(stations, model))
            progress.update(bar, advance=1)
    progress.remove_task(bar)
    return Fold(subject, untrained, tuple(rounds), perf_counter() - clock)


def table(folds: Sequence[Fold]) -> Table:
    """Return the figures as people read them."""
    drawn = Table(title="accuracy on the subject that nobody trained on")
    for heading in ("subject", "windows", "untrained", "last round", "loss", "seconds"):
        drawn.add_column(heading, justify="right")
    for fold in folds:
        last = fold.rounds[-1]
        drawn.add_row(
            str(fold.subject),
            str(last.examples),
            f"{fold.untrained.accuracy:.3f}",
            f"{last.accuracy:.3f}",
            f"{last.loss:.3f}",
            f"{fold.seconds:.1f}",
        )
    drawn.add_section()
    drawn.add_row(
        "mean",
        str(sum(fold.rounds[-1].examples for fold in folds)),
        f"{fmean(fold.untrained.accuracy for fold in folds):.3f}",
        f"{mean_accuracy(folds):.3f}",
        f"{fmean(fold.rounds[-1].loss for fold in folds):.3f}",
        f"{fmean(fold.seconds for fold in folds):.1f}",
    )
    return drawn


def mean_accuracy(folds: Sequence[Fold]) -> float:
    """Mean over the subjects, each counted once, after the last round."""
    return fmean(fold.rounds[-1].accuracy for fold in folds)


def to_json(settings: Settings, folds: Sequence[Fold]) -> dict[str, object]:
    """Return everything that was measured."""
    return {
        "settings": vars(settings),
        "mean_accuracy": mean_accuracy(folds),
        "folds": [
            {
                "subject": fold.subject,
                "accuracy": fold.rounds[-1].accuracy,
                "seconds": fold.seconds,
                "untrained": fold.untrained.to_json(),
                "rounds": [evaluation.to_json() for evaluation in fold.rounds],
            }
            for fold in folds
        ],
    }


@command(__doc__)
def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds per fold.")] = 20,
    folds: Annotated[int, typer.Option(min=1, max=SUBJECTS, help="Subjects to leave out, from the first.")] = SUBJECTS,
    devices: Annotated[int, typer.Option(help="Devices in all.")] = SUBJECTS - 1,
    stations: Annotated[int, typer.Option(help="Base stations.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the first model and of training.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="One fold of two rounds.")] = False,
    out_file: Annotated[Path, typer.Option("--out", metavar="JSON", help="Where the figures go.")] = OUT,
) -> None:
    """Measure (see --help)."""
    if out_file.is_dir():
        raise BadInputError(f"--out: expected a file to write, got the folder {out_file}")
    settings = Settings(2 if quick else rounds, 1 if quick else folds, devices, stations, seed)
    with Progress(console=err, transient=True) as progress:
        measured = [measure(subject, settings, progress) for subject in range(1, settings.folds + 1)]
    out.print(table(measured))
    mean = mean_accuracy(measured)
    if settings.folds == SUBJECTS and settings.rounds >= Settings.rounds:
        out.print(f"mean accuracy {mean:.3f}; at least {TARGET:.2f} is wanted")
    out_file.parent.mkdir(parents=True, exist_ok=True)
    out_file.write_text(json.dumps(to_json(settings, measured), indent=2) + "\n", encoding="utf-8")
    err.print(f"figures: {out_file}")


if __name__ == "__main__":
    run(main)
