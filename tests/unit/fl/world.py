"""Stations and devices of the tiny data set, with keys, records and a way to put a hostile device among them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import Context, Message

from fl.client_app import app
from fl.engines import Engine
from fl.receipts import Acknowledge
from fl.station_trainer import Evaluation, Membership, StationTrainer, deal
from fl.strategies import StrategySpec
from fl.tier1 import FIRST_NODE
from fl.training import initial_model
from tests.unit.fl import tiny
from twins.aggregation import weighted_mean
from twins.contribution import Receipt, SigningDomain, address_of_key
from twins.manifest import TwinPolicy
from twins.model import TwinModel
from twins.types import Address, Digest, address_of_bytes, sha256_digest, twin_id
from twins.updates import DeviceUpdate, RecordedRound, StationUpdate

TWIN = twin_id("tiny")
DOMAIN = SigningDomain(31337, address_of_bytes(b"\x01" * 20))
SEED = 7


def key(name: str) -> bytes:
    return hashlib.sha256(f"test/{name}".encode()).digest()


def account(name: str) -> Address:
    return address_of_key(key(name))


def device(index: int) -> Address:
    return account(f"device {index}")


def key_files(folder: Path, devices: int) -> tuple[Path, ...]:
    files = tuple(folder / f"device-{index}.key" for index in range(devices))
    for index, file in enumerate(files):
        file.write_text(key(f"device {index}").hex() + "\n")
    return files


def digest_of(model: TwinModel) -> Digest:
    return sha256_digest(model.to_bytes())


def genesis(seed: int = SEED) -> TwinModel:
    return initial_model(tiny.DATASET.task, seed)


def recorded(number: int, base: TwinModel, update: StationUpdate) -> RecordedRound:
    return RecordedRound(number, base, update.updates, update.rule, update.noise)


@dataclass
class Memory:
    """A station's record."""

    recorded: list[RecordedRound] = field(default_factory=list)
    loads: int = 0

    @property
    def rounds(self) -> tuple[int, ...]:
        return tuple(entry.round for entry in self.recorded)

    def load(self) -> Iterator[RecordedRound]:
        self.loads += 1
        return iter(tuple(self.recorded))


OPEN = TwinPolicy(max_update_norm=None, max_staleness=0, sealed=True)
"""Without a bound."""


def noise_seed(station: int) -> Callable[[int], bytes]:
    """What a station's noise comes from."""
    return lambda number: hashlib.sha256(f"test/noise/{station}/{number}".encode()).digest()


def acknowledge(station: int) -> Acknowledge:
    """How a station signs receipts."""
    return lambda twin, number, entry: Receipt(twin, number, entry.leaf_digest).sign(DOMAIN, key(f"station {station}"))


def trainers(
    folder: Path,
    *,
    stations: int = 2,
    devices: int = 6,
    spec: StrategySpec | None = None,
    seed: int = SEED,
    policy: TwinPolicy = OPEN,
    receipts: Path | None = None,
    acknowledging: Callable[[int], Acknowledge | None] = acknowledge,
    seeding: Callable[[int], Callable[[int], bytes] | None] = noise_seed,
    engine: Engine | None = None,
) -> tuple[StationTrainer, ...]:
    files = key_files(folder, devices)
    return tuple(
        StationTrainer(
            station=account(f"station {index}"),
            twin=TWIN,
            domain=DOMAIN,
            dataset=tiny.DATASET,
            dataset_name=tiny.NAME,
            split="plain",
            devices=devices,
            members=Membership(part, tuple(files[i] for i in part)),
            spec=spec or StrategySpec(),
            seed=seed,
            policy=policy,
            noise_seed=seeding(index),
            acknowledge=acknowledging(index),
            receipts=receipts,
            engine=engine,
        )
        for index, part in enumerate(deal(devices, stations))
    )


class Federation:
    """Stations that merge each round, without a chain.

    Attributes:
        model: the head.
        memories: what is recorded of each station.
        history: each round's station updates, with the base they were made from.
    """

    def __init__(self, folder: Path, spec: StrategySpec, **options: int) -> None:
        self._folder, self._spec, self._options = folder, spec, options
        self.restart()
        self.memories = [Memory() for _ in self.trainers]
        self.model = genesis()
        self.history: list[tuple[TwinModel, tuple[StationUpdate, ...]]] = []

    def restart(self) -> None:
        """As after a crash: only what is recorded is left."""
        self.trainers = trainers(self._folder, spec=self._spec, **self._options)

    def round(self) -> TwinModel:
        number, base = len(self.history) + 1, self.model
        updates = tuple(
            trainer.learn(base, digest_of(base), number, memory)
            for trainer, memory in zip(self.trainers, self.memories, strict=True)
        )
        for update, memory in zip(updates, self.memories, strict=True):
            memory.recorded.append(recorded(number, base, update))
        self.history.append((base, updates))
        self.model = weighted_mean([(update.model, update.examples) for update in updates])
        return self.model

    def accuracy(self) -> float:
        return Evaluation.total(trainer.evaluate(self.model) for trainer in self.trainers).accuracy


Tamper = Callable[[Message, Message], Message | None]
"""(request, honest reply) to what is sent instead; None for the honest reply, changed in place or not."""


class Hostile:
    """The device's own app, with one device lying as long as it is told how."""

    def __init__(self, partition: int) -> None:
        self.node = FIRST_NODE + partition
        self.tamper: Tamper | None = None

    def __call__(self, message: Message, context: Context) -> Message:
        reply = app(message, context)
        if context.node_id != self.node or self.tamper is None:
            return reply
        return self.tamper(message, reply) or reply


def update_of(name: str, model: TwinModel, examples: int = 1, loss: float = 1.0) -> DeviceUpdate:
    """Return an update as it is after its signature has been verified."""
    return DeviceUpdate(account(name), examples, DeviceUpdate.encode_payload(model, {"train_loss": loss}), b"\x1b" * 65)


def bits(models: Sequence[TwinModel]) -> list[bytes]:
    return [model.to_bytes() for model in models]
