"""The federations that benchmarks/robustness.py puts under attack, and one run of one of them.

A rule's parameters are chosen before anybody knows how many liars there are: each rule is told the most that it can
bear with so many members, and keeps that when nobody lies.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.poison import HONEST, Attack, Devices, name_of, running
from fl.errors import EngineError, FlError
from fl.station_trainer import Evaluation, Membership, StationTrainer, deal
from fl.strategies import StrategySpec
from fl.training import initial_model
from twins.aggregation import WEIGHTED_MEAN, Merge, Rule, function_of, rule_of
from twins.contribution import SigningDomain, address_of_key
from twins.errors import NonFiniteError
from twins.manifest import TwinPolicy
from twins.model import TwinModel
from twins.types import Address, sha256_digest, twin_id
from twins.updates import RecordedRound, device_order

TWIN = twin_id("benchmark/robustness")
DOMAIN = SigningDomain(31337, Address("0x" + "00" * 20))

LAST = 5
"""Rounds over which a run's accuracy is averaged: devices differ, so it jumps from one round to the next."""

BOUND = 0.6
"""Of an update's norm: without liars the largest is 0.54 (seed 0, round 1); multiplied by 4, the smallest is 0.67."""

NOBODY = Attack("nobody lies")
LABELS = Attack("labels rotated", flipped=True)
REVERSED = Attack("update × −4", factor=-4.0)
BLOWN = Attack("update × 10", factor=10.0)


def _described(rule: Rule) -> str:
    return f"{rule} {json.dumps(dict(rule.parameters))}" if rule.parameters else str(rule)


@dataclass(frozen=True)
class Defence:
    """What a federation aggregates with.

    Attributes:
        name: as tables and plots have it.
        spec: tier 1.
        merge: tier 2.
        bound: of an update's norm; None for none.
        bears: how many liars it is made for; it isn't measured with more. None: says nothing of that.
    """

    name: str
    spec: StrategySpec = field(default_factory=StrategySpec)
    merge: Rule = WEIGHTED_MEAN
    bound: float | None = None
    bears: int | None = None

    @property
    def described(self) -> str:
        """The rules of both tiers with their parameters, and the bound."""
        tiers = [_described(rule) for rule in (self.spec.rule, self.merge)]
        bound = [] if self.bound is None else [f"norm ≤ {self.bound}"]
        return ", ".join([f"tier 1 {tiers[0]}", f"tier 2 {tiers[1]}", *bound])


@dataclass(frozen=True)
class Federation:
    """Who takes part, and what they have to bear.

    Attributes:
        key: in file names.
        title: in tables.
        stations: over which the devices are dealt.
        liars: stations or devices.
        counts: of liars.
        attacks: theirs.
        defences: against them.
        devices: in all.
    """

    key: str
    title: str
    stations: int
    liars: str
    counts: tuple[int, ...]
    attacks: tuple[Attack, ...]
    defences: tuple[Defence, ...]
    devices: int = HONEST.devices

    @property
    def members(self) -> int:
        """How many there are of those of whom some lie."""
        return self.devices if self.liars == "devices" else self.stations

    def cases(self, defence: Defence) -> tuple[tuple[Attack, int], ...]:
        """Return (attack, number of liars) for all that is measured of a defence, nobody lying first."""
        borne = [count for count in self.counts if defence.bears is None or count <= defence.bears]
        return (NOBODY, 0), *((attack, count) for attack in self.attacks for count in borne)

    def chosen(self, count: int, seed: int) -> frozenset[int]:
        """Draw the liars; with one more liar, the others lie still."""
        drawn = random.Random(f"twinledger/liars/{seed}").sample(range(self.members), self.members)
        return frozenset(drawn[:count])


def flower(name: str, strategy: str, bears: int | None = None, **arguments: float) -> Defence:
    """Return a defence at tier 1."""
    return Defence(name, StrategySpec(strategy, arguments), bears=bears)


MEAN = Defence("weighted mean")
BOUNDED = Defence("weighted mean, norm bound", bound=BOUND)

ONE_STATION = Federation(
    key="one-station",
    title="Lying devices, 10 at one station",
    stations=1,
    liars="devices",
    counts=(1, 2, 3),
    attacks=(LABELS, REVERSED, BLOWN),
    defences=(
        MEAN,
        BOUNDED,
        flower("median", "FedMedian"),
        flower("trimmed mean", "FedTrimmedAvg", beta=0.3),
        flower("Krum", "Krum", num_malicious_nodes=3),
        flower("Multi-Krum", "MultiKrum", num_malicious_nodes=3, num_nodes_to_select=7),
        flower("Bulyan", "Bulyan", bears=1, num_malicious_nodes=1),
    ),
)

THREE_STATIONS = Federation(
    key="three-stations",
    title="Lying devices, 10 at three stations",
    stations=3,
    liars="devices",
    counts=(1, 3),
    attacks=(LABELS, REVERSED, BLOWN),
    defences=(
        MEAN,
        BOUNDED,
        flower("median", "FedMedian"),
        flower("trimmed mean", "FedTrimmedAvg", beta=0.34),  # one of three at each end
    ),
)

SEVEN_STATIONS = Federation(
    key="seven-stations",
    title="Lying stations, 10 devices at seven",
    stations=7,
    liars="stations",
    counts=(1, 2),
    attacks=(REVERSED, BLOWN),
    defences=(
        MEAN,
        Defence("median", merge=rule_of("median", {})),
        Defence("trimmed mean", merge=rule_of("trimmed-mean", {"trim": 0.3})),  # two of seven at each end
        Defence("Krum", merge=rule_of("krum", {"malicious": 2})),
        Defence("Multi-Krum", merge=rule_of("multi-krum", {"malicious": 2, "select": 5})),
    ),
)

FEDERATIONS: Mapping[str, Federation] = {f.key: f for f in (ONE_STATION, THREE_STATIONS, SEVEN_STATIONS)}


Stations = tuple[StationTrainer, ...]


class _NoHistory:
    """For rules that carry nothing from round to round."""

    rounds: tuple[int, ...] = ()

    def load(self) -> Iterator[RecordedRound]:
        """Nothing was recorded."""
        return iter(())


def measure(key: str, defence: Defence, seed: int, rounds: int, told: Callable[[], object]) -> list[dict[str, Any]]:
    """Run a federation with one defence under everything that it is measured with.

    Args:
        key: of the federation.
        defence: one of its.
        seed: of the first model, the training and the choice of liars.
        rounds: per run.
        told: after each run.

    Returns:
        One figure per run, as JSON values.
    """
    federation, devices, figures = FEDERATIONS[key], Devices(), []
    with tempfile.TemporaryDirectory(prefix="twinledger-robustness-") as folder, running(devices):
        for attack, count in federation.cases(defence):
            liars = federation.chosen(count, seed)
            devices.turn(attack, liars if federation.liars == "devices" else frozenset())
            lying = liars if federation.liars == "stations" else frozenset()
            stations = open_stations(federation, defence, seed, Path(folder))
            accuracy, stuck = _run(stations, function_of(defence.merge), attack, lying, seed, rounds)
            figures.append(
                {
                    "federation": key,
                    "rule": defence.name,
                    "attack": attack.name,
                    "liars": count,
                    "seed": seed,
                    "accuracy": accuracy,
                    "stuck": stuck,
                }
            )
            told()
    return figures


def _run(
    stations: Stations, merge: Merge, attack: Attack, lying: frozenset[int], seed: int, rounds: int
) -> tuple[float, int | None]:
    """Return (mean accuracy over the last rounds, the round that could not be made or None)."""
    model, stuck = initial_model(HONEST.task, seed), None
    last: deque[float] = deque(maxlen=LAST)
    for number in range(1, rounds + 1):
        if stuck is None:
            try:
                model = _merged(stations, merge, attack, lying, model, number)
            except (FlError, NonFiniteError):
                stuck = number  # nothing finite is left: the head stays what it is, in later rounds too
        if number > rounds - LAST:
            last.append(_accuracy(stations, model))
    return fmean(last), stuck


def _merged(
    stations: Stations, merge: Merge, attack: Attack, lying: frozenset[int], base: TwinModel, number: int
) -> TwinModel:
    """Run both tiers once; stations that lie send another model than their rule gave."""
    digest = sha256_digest(base.to_bytes())
    updates = [station.learn(base, digest, number, _NoHistory()) for station in stations]
    models = [attack.scaled(u.model, base) if i in lying else u.model for i, u in enumerate(updates)]
    merged = merge([(model, update.examples) for model, update in zip(models, updates, strict=True)])
    merged.require_finite(f"model of round {number}")
    return merged


def _accuracy(stations: Stations, model: TwinModel) -> float:
    """Return the accuracy of all honest devices; 0 for a model so far gone that its answers aren't finite."""
    try:
        return Evaluation.total(station.evaluate(model) for station in stations).accuracy
    except EngineError:
        return 0.0


def _key(name: str) -> bytes:
    return hashlib.sha256(f"twinledger/benchmark/robustness/{name}".encode()).digest()


def open_stations(federation: Federation, defence: Defence, seed: int, folder: Path) -> Stations:
    """Put the devices behind their stations, in the order in which stations are merged."""
    files = tuple(folder / f"device-{index}" for index in range(federation.devices))
    for file in files:
        file.write_text(_key(file.name).hex())
    accounts = sorted((address_of_key(_key(f"station {i}")) for i in range(federation.stations)), key=device_order)
    return tuple(
        StationTrainer(
            station=account,
            twin=TWIN,
            domain=DOMAIN,
            dataset=HONEST,
            dataset_name=name_of("HONEST"),
            split="temporal",
            devices=federation.devices,
            members=Membership(part, tuple(files[index] for index in part)),
            spec=defence.spec,
            seed=seed,
            policy=TwinPolicy(defence.bound, max_staleness=0, sealed=False),
        )
        for account, part in zip(accounts, deal(federation.devices, federation.stations), strict=True)
    )
