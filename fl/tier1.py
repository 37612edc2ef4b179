"""Tier 1: what a station makes of its devices' updates. The live path and the replay run this same code."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flwr.app import ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fl._flower_private import SERVER_NODE
from fl.arrays import from_record, to_record
from fl.errors import StrategyError
from fl.grid import InProcessGrid
from fl.strategies import StrategySpec
from twins.aggregation import weighted_mean
from twins.model import TwinModel
from twins.updates import DeviceUpdate, device_order

FIRST_NODE = SERVER_NODE + 1


class Aggregator:
    """One station's rule, with the state that some rules carry from round to round.

    Attributes:
        spec: which strategy.
        rounds: the rounds it has absorbed or, as another rule's, passed over, in order.
    """

    def __init__(self, spec: StrategySpec) -> None:
        """Begin without state."""
        self.spec = spec
        self.rounds: list[int] = []
        self._strategy = None if spec.is_mean else spec.build(1)

    def aggregate(self, round_number: int, base: TwinModel, updates: Sequence[DeviceUpdate]) -> TwinModel:
        """Aggregate updates that have been verified.

        Args:
            round_number: of the twin.
            base: what the devices trained on.
            updates: theirs, in any order.

        Raises:
            StrategyError: the strategy can't aggregate these (too few for Krum, say).
            SchemaError: an update of another shape.
        """
        ordered = sorted(updates, key=lambda update: device_order(update.device))
        for update in ordered:
            update.model().require_schema(base.schema(), f"update of device {update.device}")
        if self._strategy is None:
            result = weighted_mean([(update.model(), update.examples) for update in ordered])
        else:
            result = self._by_flower(round_number, base, ordered)
        result.require_finite(f"aggregate of round {round_number} by {self.spec.name}")
        result.require_schema(base.schema(), f"aggregate of round {round_number} by {self.spec.name}")
        self.rounds.append(round_number)
        return result

    def _by_flower(self, round_number: int, base: TwinModel, updates: Sequence[DeviceUpdate]) -> TwinModel:
        strategy = self._strategy
        assert strategy is not None
        grid = InProcessGrid(ClientApp(), {FIRST_NODE + index: {} for index in range(len(updates))})
        for name, value in (("min_train_nodes", len(updates)), ("min_available_nodes", len(updates))):
            if hasattr(strategy, name):
                setattr(strategy, name, value)
        # FedAvgM keeps its own last result as the base; here the base is what tier 2 made of all stations.
        if "current_arrays" in vars(strategy):
            vars(strategy)["current_arrays"] = None
        try:
            with _quick_collections():
                list(strategy.configure_train(round_number, to_record(base), ConfigRecord(), grid))
                arrays, _ = strategy.aggregate_train(round_number, list(_replies(grid, updates)))
        except Exception as error:  # third-party code: whatever it raises, the update can't be made
            raise StrategyError(f"{self.spec.name} cannot aggregate {len(updates)} updates: {error}") from error
        if arrays is None:
            raise StrategyError(f"{self.spec.name} gave no aggregate of {len(updates)} updates")
        return from_record(arrays)


@contextmanager
def _quick_collections() -> Iterator[None]:
    """Set what lives already apart from the garbage collector.

    QFedAvg and Bulyan call ``gc.collect()`` once per device, which takes 0.3 s each time with all of torch loaded.
    """
    if gc.get_freeze_count():  # the program froze its objects itself, and unfreezing has no halves
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _replies(grid: InProcessGrid, updates: Sequence[DeviceUpdate]) -> Iterator[Message]:
    """Rebuild the devices' replies as Flower's strategies expect them."""
    for index, update in enumerate(updates):
        request = grid.create_message(RecordDict(), MessageType.TRAIN, FIRST_NODE + index, "")
        metrics = MetricRecord({"num-examples": update.examples, **update.metrics()})
        yield Message(RecordDict({"arrays": to_record(update.model()), "metrics": metrics}), reply_to=request)
