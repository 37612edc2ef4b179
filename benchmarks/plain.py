"""Federated rounds without provenance: Flower at every station, a mean over the stations, and nothing else.

The devices are those of a recorded run: the same data, the same seeds, the same training and tests, on the same engine.
But nothing is signed, verified, hashed, sealed, stored or recorded. It is what the price of provenance is measured
against.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import perf_counter

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from fl.arrays import from_record, to_record
from fl.client_app import evaluate_on_device, train_on_device
from fl.datasets import get
from fl.engines import Engine
from fl.evaluation import Evaluation, total_of
from fl.grid import InProcessGrid
from fl.station_trainer import deal
from fl.tier1 import FIRST_NODE
from fl.training import initial_model
from fl.workers import WorkerEngine
from scripts.settings import RunSettings
from twins.aggregation import weighted_mean
from twins.model import TwinModel
from twins.types import Address

app = ClientApp()
"""The devices' program without the mod that signs."""

app.train()(train_on_device)
app.evaluate()(evaluate_on_device)


class _AtRound(FedAvg):
    """Flower's FedAvg, but what it tells the devices is the twin's round: they draw their batches by it."""

    number = 0

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        return super().configure_train(self.number, arrays, config, grid)


@dataclass(frozen=True)
class PlainRound:
    """One round.

    Attributes:
        model: after it.
        evaluation: of the model, on all devices' test data.
        seconds: in all.
        phases: seconds of ``train``, ``merge`` and ``evaluate``.
    """

    model: TwinModel
    evaluation: Evaluation
    seconds: float
    phases: dict[str, float]


@dataclass
class PlainFederation:
    """All stations of a run, in this process.

    Attributes:
        settings: of the run; its twin, policy and windows are of no account here.
        engine: runs the devices, as `for_plain` makes it.
    """

    settings: RunSettings
    engine: Engine
    _grids: list[InProcessGrid] = field(init=False)
    _examples: list[int] = field(init=False)

    def __post_init__(self) -> None:
        """Put the devices behind their stations' grids."""
        settings = self.settings
        parts = deal(settings.devices, settings.stations)
        data = get(settings.dataset).load(settings.split, settings.devices)
        # Every device answers, so the stations' weights are known beforehand.
        self._examples = [sum(len(data[index].train_y) for index in part) for part in parts]
        shared: dict[str, str | int | float | bool] = {"dataset": settings.dataset, "split": settings.split}
        shared["num-partitions"] = settings.devices
        self._grids = [
            InProcessGrid(app, {FIRST_NODE + i: {**shared, "partition-id": i} for i in part}, engine=self.engine)
            for part in parts
        ]

    def evaluate(self, model: TwinModel) -> Evaluation:
        """Test a model on all devices."""
        return Evaluation.total(self._tested(grid, model) for grid in self._grids)

    def rounds(self, count: int) -> Iterator[PlainRound]:
        """Run from the genesis; as in a recorded run, the first round tests the base as well."""
        base = initial_model(get(self.settings.dataset).task, self.settings.seed)
        for number in range(1, count + 1):
            began = perf_counter()
            if number == 1:
                self.evaluate(base)
            tested = perf_counter()
            models = [self._trained(grid, base, number) for grid in self._grids]
            trained = perf_counter()
            base = weighted_mean(list(zip(models, self._examples, strict=True)))
            merged = perf_counter()
            evaluation = self.evaluate(base)
            ended = perf_counter()
            phases = {
                "train": trained - tested,
                "merge": merged - trained,
                "evaluate": (ended - merged) + (tested - began),
            }
            yield PlainRound(base, evaluation, ended - began, phases)

    def _trained(self, grid: InProcessGrid, base: TwinModel, number: int) -> TwinModel:
        nodes = len(grid.nodes)
        strategy = _AtRound(min_train_nodes=nodes, min_available_nodes=nodes, fraction_evaluate=0.0)
        strategy.number = number
        config = ConfigRecord({"seed": self.settings.seed})
        return from_record(strategy.start(grid, to_record(base), num_rounds=1, train_config=config).arrays)

    @staticmethod
    def _tested(grid: InProcessGrid, model: TwinModel) -> Evaluation:
        content = RecordDict({"arrays": to_record(model)})
        requests = [Message(content, node, MessageType.EVALUATE) for node in grid.get_node_ids()]
        names = {node: Address(f"of node {node}") for node in grid.nodes}
        return total_of(grid.send_and_receive(requests), names)


def for_plain(engine: Engine) -> Engine:
    """Return an engine that hasn't started yet, made to run this module's devices."""
    if isinstance(engine, WorkerEngine):
        engine.app = f"{__name__}:app"
    return engine
