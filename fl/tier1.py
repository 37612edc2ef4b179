"""Tier 1: what a station makes of its devices' updates. The live path and the replay run this same code.

Flower's strategies are given float64 copies of the float32 weights. NumPy's partition leaves equal halves in an order
that depends on the processor (AVX2, AVX-512), and a float32 mean over them (Bulyan, FedTrimmedAvg) rounds by that
order: an auditor with another processor would accuse an honest station. In float64 such sums of float32 values are
exact or nearly so, and the one cast at the end gives the same bits.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from flwr.app import ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import Strategy

from fl._flower_private import SERVER_NODE
from fl.arrays import from_record, to_record
from fl.errors import StrategyError, UpdateRejectedError
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
    """

    def __init__(self, spec: StrategySpec) -> None:
        """Begin without state."""
        self.spec = spec
        self._strategy = None if spec.is_mean else spec.build(1)

    def aggregate(self, round_number: int, base: TwinModel, updates: Sequence[DeviceUpdate]) -> TwinModel:
        """Aggregate updates that have been verified.

        A strategy that carries state may have changed it before it fails: make a new aggregator then.

        Args:
            round_number: of the twin.
            base: what the devices trained on.
            updates: theirs, in any order.

        Raises:
            StrategyError: the strategy can't aggregate these (too few for Bulyan, say).
            UpdateRejectedError: a device twice.
            SchemaError: an update of another shape.
            NonFiniteError: the aggregate isn't finite.
        """
        ordered = sorted(updates, key=lambda update: device_order(update.device))
        for earlier, later in pairwise(ordered):
            if earlier.device == later.device:  # it would count twice
                raise UpdateRejectedError(later.device, "expected one update of every device, got two")
        models = [update.model() for update in ordered]
        for update, model in zip(ordered, models, strict=True):
            model.require_schema(base.schema(), f"update of device {update.device}")
        if self._strategy is None:
            result = weighted_mean([(m, update.examples) for m, update in zip(models, ordered, strict=True)])
        else:
            result = self._by_flower(self._strategy, round_number, base, list(zip(ordered, models, strict=True)))
        result.require_finite(f"aggregate of round {round_number} by {self.spec.name}")
        result.require_schema(base.schema(), f"aggregate of round {round_number} by {self.spec.name}")
        return result

    def _by_flower(
        self,
        strategy: Strategy,
        round_number: int,
        base: TwinModel,
        updates: Sequence[tuple[DeviceUpdate, TwinModel]],
    ) -> TwinModel:
        grid = InProcessGrid(ClientApp(), {FIRST_NODE + index: {} for index in range(len(updates))})
        for name, value in (("min_train_nodes", len(updates)), ("min_available_nodes", len(updates))):
            if hasattr(strategy, name):
                setattr(strategy, name, value)
        # FedAvgM keeps its own last result as the base; here the base is what tier 2 made of all stations.
        if "current_arrays" in vars(strategy):
            vars(strategy)["current_arrays"] = None
        try:
            with _quick_collections():
                list(strategy.configure_train(round_number, to_record(base, np.float64), ConfigRecord(), grid))
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


def _replies(grid: InProcessGrid, updates: Sequence[tuple[DeviceUpdate, TwinModel]]) -> Iterator[Message]:
    """Rebuild the devices' replies as Flower's strategies expect them."""
    for index, (update, model) in enumerate(updates):
        request = grid.create_message(RecordDict(), MessageType.TRAIN, FIRST_NODE + index, "")
        metrics = MetricRecord({"num-examples": update.examples, **update.metrics()})
        yield Message(RecordDict({"arrays": to_record(model, np.float64), "metrics": metrics}), reply_to=request)
