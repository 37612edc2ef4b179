"""A station's learning: its devices behind a Flower grid, its strategy, its history."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import flwr
import numpy as np
import torch
from flwr.app import Message, MessageType, RecordDict

from fl.arrays import from_record, to_record
from fl.client_app import TRAIN_LOSS, RoundConfig, app, read_key
from fl.datasets import Dataset
from fl.errors import EngineError, StrategyError
from fl.grid import InProcessGrid, Progress
from fl.strategies import StrategySpec
from fl.strategy import StationStrategy
from fl.tier1 import FIRST_NODE, Aggregator
from fl.training import THREADS
from twins.canonical import Json
from twins.contribution import SigningDomain, address_of_key
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import History, StationUpdate, device_order


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on test data.

    Attributes:
        correct: examples classified correctly.
        examples: in all.
        loss: mean over the examples.
    """

    correct: int
    examples: int
    loss: float

    @property
    def accuracy(self) -> float:
        """Share of correct examples; 0 without examples."""
        return self.correct / self.examples if self.examples else 0.0

    @classmethod
    def total(cls, parts: Iterable[Evaluation]) -> Evaluation:
        """Sum up devices or stations."""
        listed = list(parts)
        examples = sum(part.examples for part in listed)
        loss = sum(part.loss * part.examples for part in listed) / examples if examples else 0.0
        return cls(sum(part.correct for part in listed), examples, loss)

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values."""
        return {"correct": self.correct, "examples": self.examples, "loss": self.loss}


@dataclass(frozen=True)
class Membership:
    """Which devices a station has.

    Attributes:
        partitions: index of each device's data.
        key_files: of the same devices.
    """

    partitions: tuple[int, ...]
    key_files: tuple[Path, ...]


def deal(devices: int, stations: int) -> tuple[tuple[int, ...], ...]:
    """Deal devices out to stations, in turn.

    Raises:
        EngineError: no stations, or one without devices.
    """
    if stations < 1:
        raise EngineError(f"expected at least 1 station, got {stations}")
    if devices < stations:
        raise EngineError(f"expected at least one device per station, got {devices} devices for {stations} stations")
    return tuple(tuple(range(station, devices, stations)) for station in range(stations))


class StationTrainer:
    """Trains one station's devices for one twin.

    Attributes:
        roster: the devices' accounts, ascending.
    """

    def __init__(
        self,
        *,
        station: Address,
        twin: TwinId,
        domain: SigningDomain,
        dataset: Dataset,
        dataset_name: str,
        split: str,
        devices: int,
        members: Membership,
        spec: StrategySpec,
        seed: int,
        progress: Progress = lambda node: None,
    ) -> None:
        """Put the station's devices behind a grid.

        Args:
            station: its account.
            twin: which twin.
            domain: of the ledger.
            dataset: what is learnt.
            dataset_name: how devices find it.
            split: of the data set.
            devices: in the whole federation.
            members: those of this station.
            spec: of the strategy.
            seed: of the run.
            progress: told the node when a device has replied.

        Raises:
            DataError: a key file that can't be read.
            StrategyError: a strategy that needs more devices than the station has, or a key given twice.
        """
        self._station, self._twin, self._domain = station, twin, domain
        self._dataset, self._split, self._spec, self._seed = dataset, split, spec, seed
        nodes: dict[int, dict[str, str | int | float | bool]] = {
            FIRST_NODE + partition: {
                "dataset": dataset_name,
                "split": split,
                "partition-id": partition,
                "num-partitions": devices,
                "key-file": str(file),
            }
            for partition, file in zip(members.partitions, members.key_files, strict=True)
        }
        self._accounts = {node: address_of_key(read_key(Path(str(c["key-file"])))) for node, c in nodes.items()}
        self.roster: tuple[Address, ...] = tuple(sorted(self._accounts.values(), key=device_order))
        if len(set(self.roster)) != len(self.roster):
            raise StrategyError(f"station {station}: expected a key of its own for every device, got one twice")
        spec.require_devices(len(self.roster))
        self._grid = InProcessGrid(app, nodes, progress=progress)
        self._aggregator = Aggregator(spec)
        self._absorbed: tuple[int, ...] | None = ()  # by the strategy's state; None: it may be half-way

    def learn(self, base: TwinModel, base_digest: Digest, round_number: int, history: History) -> StationUpdate:
        """Train all devices from ``base`` and aggregate their updates.

        Raises:
            UpdateRejectedError, EngineError, StrategyError: nothing was made; a strategy with state is rebuilt from
                the history at the next call.
        """
        self._catch_up(history)
        self._absorbed = None
        config = RoundConfig(round_number, self._seed, self._twin, self._station, base_digest, self._domain)
        strategy = StationStrategy(self._spec.build(len(self.roster)), self._aggregator, config, base, self._accounts)
        result = strategy.start(self._grid, to_record(base), num_rounds=1, train_config=config.to_record())
        self._absorbed = (*history.rounds, round_number)
        examples = sum(update.examples for update in strategy.updates)
        losses = [update.metrics()[TRAIN_LOSS] * update.examples for update in strategy.updates]
        return StationUpdate(
            station=self._station,
            round=round_number,
            base=base_digest,
            model=from_record(result.arrays),
            updates=strategy.updates,
            rule=self._spec.rule,
            examples=examples,
            metrics={TRAIN_LOSS: sum(losses) / examples},
            engine=self._engine(),
        )

    def evaluate(self, model: TwinModel) -> Evaluation:
        """Test a model on all devices of the station, each on its own test data.

        Raises:
            EngineError: a device didn't answer, or the model has diverged so far that its loss isn't finite.
        """
        content = RecordDict({"arrays": to_record(model)})
        nodes = self._grid.get_node_ids()
        requests = [Message(content, node, MessageType.EVALUATE) for node in nodes]
        return Evaluation.total(self._evaluation(reply) for reply in self._grid.send_and_receive(requests))

    def _evaluation(self, reply: Message) -> Evaluation:
        device = self._accounts[reply.metadata.src_node_id]
        if reply.has_error():
            raise EngineError(f"device {device} did not evaluate: {reply.error.reason}")
        metrics = reply.content.metric_records["metrics"]
        if not math.isfinite(metrics["loss"]):  # type: ignore[arg-type]
            raise EngineError(
                f"the model has diverged: its loss on device {device} is {metrics['loss']}; use smaller steps "
                f"(strategy {self._spec.name} with {dict(self._spec.arguments)})"
            )
        return Evaluation(int(metrics["correct"]), int(metrics["num-examples"]), float(metrics["loss"]))  # type: ignore[arg-type]

    def _catch_up(self, history: History) -> None:
        """Rebuild the strategy's state from the record when it differs from what was absorbed here."""
        if self._spec.is_mean or self._absorbed == history.rounds:
            return
        self._absorbed = None
        self._aggregator = Aggregator(self._spec)
        for recorded in history.load():
            if recorded.rule == self._spec.rule:  # the replay keeps one state per rule, so must the station
                self._aggregator.aggregate(recorded.round, recorded.base, recorded.updates)
        self._absorbed = history.rounds

    def _engine(self) -> dict[str, Json]:
        task = self._dataset.task
        return {
            "engine": "in-process",
            "strategy": self._spec.name,
            "strategy_arguments": dict(self._spec.arguments),
            "seed": self._seed,
            "threads": THREADS,
            "epochs": task.epochs,
            "batch": task.batch,
            "learning_rate": task.learning_rate,
            "momentum": task.momentum,
            "flwr": flwr.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        }
