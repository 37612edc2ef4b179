"""A station's learning: its devices behind a Flower grid, its strategy, its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import flwr
import numpy as np
import torch
from flwr.app import Message, MessageType, RecordDict

from fl.arrays import from_record, to_record
from fl.checked import CheckAll
from fl.client_app import TRAIN_LOSS, RoundConfig, app
from fl.collector import collect_rarely
from fl.datasets import Dataset
from fl.engines import Engine, LocalEngine, checked_by
from fl.errors import EngineError, FlError, StrategyError
from fl.evaluation import Evaluation as Evaluation
from fl.evaluation import total_of
from fl.grid import InProcessGrid, Progress
from fl.keys import read_key
from fl.privacy import noise_of
from fl.receipts import Acknowledge, PendingReceipts
from fl.strategies import StrategySpec
from fl.strategy import StationStrategy
from fl.tier1 import FIRST_NODE, Aggregator
from fl.verification import Verifier
from twins.canonical import Json
from twins.contribution import SigningDomain, address_of_key
from twins.errors import TwinsError
from twins.manifest import TwinPolicy
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import DeviceUpdate, History, StationUpdate, device_order


@dataclass(frozen=True)
class Membership:
    """Which devices a station has.

    Attributes:
        partitions: index of each device's data.
        key_files: of the same devices; none if they are elsewhere.
        accounts: of the same devices, then.
    """

    partitions: tuple[int, ...]
    key_files: tuple[Path, ...] = ()
    accounts: tuple[Address, ...] = ()

    def each(self) -> Iterator[tuple[int, Address, Mapping[str, str]]]:
        """Yield index and account of each device, and where its key is for a device of this machine.

        Raises:
            DataError: a key file that can't be read.
        """
        if self.accounts:
            for partition, account in zip(self.partitions, self.accounts, strict=True):
                yield partition, account, {}
            return
        for partition, file in zip(self.partitions, self.key_files, strict=True):
            yield partition, address_of_key(read_key(file)), {"key-file": str(file)}


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


def node_of(partition: int) -> int:
    """Return the node under which a station's grid has the device with this index."""
    return FIRST_NODE + partition


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
        policy: TwinPolicy,
        noise_seed: Callable[[int], bytes] | None = None,
        acknowledge: Acknowledge | None = None,
        receipts: Path | None = None,
        progress: Progress = lambda node: None,
        engine: Engine | None = None,
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
            policy: what the twin asks of every update.
            noise_seed: round to `twins.updates.NOISE` secret bytes, the same after a restart; needed for privacy.
            acknowledge: signs the receipts that devices are given; None for no receipts.
            receipts: folder in which the devices keep theirs; None if they don't.
            progress: told the node when a device has replied.
            engine: runs the devices; None for one after another in this thread.

        Raises:
            DataError: a key file that can't be read.
            StrategyError: a strategy that needs more devices than the station has, a key given twice, or privacy
                without a seed for its noise.
        """
        collect_rarely()
        self._station, self._twin, self._domain = station, twin, domain
        self._dataset, self._spec, self._seed, self._policy = dataset, spec, seed, policy
        if spec.privacy is not None and noise_seed is None:
            raise StrategyError(f"station {station}: expected a seed for the noise of privacy {spec.privacy.kind}")
        self._noise_seed = noise_seed
        kept: dict[str, str] = {} if receipts is None else {"receipts": str(receipts)}
        nodes: dict[int, dict[str, str | int | float | bool]] = {}
        self._accounts: dict[int, Address] = {}
        for partition, account, key in members.each():
            self._accounts[node_of(partition)] = account
            nodes[node_of(partition)] = {
                "dataset": dataset_name,
                "split": split,
                "partition-id": partition,
                "num-partitions": devices,
                **key,
                **kept,
            }
        self.roster: tuple[Address, ...] = tuple(sorted(self._accounts.values(), key=device_order))
        if len(set(self.roster)) != len(self.roster):
            raise StrategyError(f"station {station}: expected a key of its own for every device, got one twice")
        spec.require_devices(len(self.roster))
        self._engine = engine or LocalEngine()
        self._grid = InProcessGrid(app, nodes, progress=progress, engine=self._engine)
        self._receipts = PendingReceipts(acknowledge, twin, station)
        self._aggregator = Aggregator(spec)
        self._absorbed: tuple[int, ...] | None = ()  # by the strategy's state; None: it may be half-way

    def learn(self, base: TwinModel, base_digest: Digest, round_number: int, history: History) -> StationUpdate:
        """Train all devices from ``base`` and aggregate the updates of those that did it well.

        Raises:
            EngineError: no device's update can be used; all are named.
            StrategyError: too few can, for the strategy.
            NonFiniteError: the strategy's own arithmetic overflowed: the twin's policy needs a bound on the norm.
                Nothing was made then; a strategy with state is rebuilt from the history at the next call.
        """
        self._catch_up(history)
        self._absorbed = None
        config = RoundConfig(round_number, self._seed, self._twin, self._station, base_digest, self._domain)
        verifier = Verifier(config, base, self._max_norm(base))
        strategy = StationStrategy(
            self._spec.build(len(self.roster)),
            self._aggregator,
            verifier,
            self._accounts,
            noise_of=lambda updates: self._noise(round_number, base_digest, updates),
            receipts=self._receipts,
            recorded=history.rounds,
        )
        with checked_by(CheckAll(verifier, self._accounts)):
            result = strategy.start(self._grid, to_record(base), num_rounds=1, train_config=config.to_record())
        self._absorbed = (*history.rounds, round_number)
        examples = sum(update.examples for update in strategy.updates)
        losses = [update.metrics()[TRAIN_LOSS] * update.examples for update in strategy.updates]
        update = StationUpdate(
            station=self._station,
            round=round_number,
            base=base_digest,
            model=from_record(result.arrays),
            updates=strategy.updates,
            rejections=strategy.rejections,
            rule=self._spec.rule,
            examples=examples,
            metrics={TRAIN_LOSS: sum(losses) / examples},
            engine=self._facts(),
            noise=strategy.noise,
        )
        self._receipts.accepted(update)
        return update

    def evaluate(self, model: TwinModel) -> Evaluation:
        """Test a model on the devices of the station, each on its own test data.

        A device that fails or answers nonsense is left out, and said in the log: it must not stop the station.

        Raises:
            EngineError: no device has answered, or the model has diverged so far that no loss is finite.
        """
        content = RecordDict({"arrays": to_record(model)})
        nodes = self._grid.get_node_ids()
        requests = [Message(content, node, MessageType.EVALUATE) for node in nodes]
        return total_of(self._grid.send_and_receive(requests), self._accounts)

    def _max_norm(self, base: TwinModel) -> float | None:
        """Return the lower of the twin's bound and that of the privacy."""
        private = None if self._spec.privacy is None else self._spec.privacy.bound(base)
        bounds = (self._policy.max_update_norm, private)
        return min((bound for bound in bounds if bound is not None), default=None)

    def _noise(self, round_number: int, base: Digest, updates: Sequence[DeviceUpdate]) -> bytes:
        if self._spec.privacy is None or self._noise_seed is None:
            return b""
        return noise_of(self._noise_seed(round_number), base, updates)

    def _catch_up(self, history: History) -> None:
        """Rebuild the strategy's state from the record when it differs from what was absorbed here."""
        if self._spec.is_own or self._absorbed == history.rounds:
            return
        self._absorbed = None
        self._aggregator = Aggregator(self._spec)
        for recorded in history.load():
            if recorded.rule == self._spec.rule:  # the replay keeps one state per rule, so must the station
                with suppress(FlError, TwinsError):  # the state then begins anew, as it does in a replay
                    self._aggregator.aggregate(recorded.round, recorded.base, recorded.updates, recorded.noise)
        self._absorbed = history.rounds

    def _facts(self) -> dict[str, Json]:
        task = self._dataset.task
        return {
            **self._engine.facts,
            "strategy": self._spec.name,
            "strategy_arguments": dict(self._spec.arguments),
            "seed": self._seed,
            "epochs": task.epochs,
            "batch": task.batch,
            "learning_rate": task.learning_rate,
            "momentum": task.momentum,
            "flwr": flwr.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        }
