"""Tier 1: what a station makes of its devices' updates. The live path and the replay run this same code.

Flower's strategies are given float64 copies of the float32 weights. NumPy's partition leaves equal halves in an order
that depends on the processor (AVX2, AVX-512), and a float32 mean over them (Bulyan, FedTrimmedAvg) rounds by that
order: an auditor with another processor would accuse an honest station. In float64 such sums of float32 values are
exact or nearly so, and the one cast at the end gives the same bits. The copies hold no -0.0: which of two equal zeros
a partition leaves in the middle depends on the processor too, and a device could send both to set an auditor against
its station.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import Strategy

from fl._flower_private import SERVER_NODE
from fl.arrays import HeldArray, from_record, record_of
from fl.errors import StrategyError, UpdateRejectedError
from fl.grid import InProcessGrid
from fl.privacy import drawn_from
from fl.strategies import StrategySpec
from twins.aggregation import Rule, function_of
from twins.model import TwinModel
from twins.updates import NOISE, DeviceUpdate, RejectionReason, device_order, update_norm

FIRST_NODE = SERVER_NODE + 1

_ALONE = threading.Lock()
"""Flower draws noise from NumPy's one generator, and the garbage collector is one: stations of a process take turns."""


class Aggregator:
    """One station's rule, with the state that some rules carry from round to round.

    A round that fails leaves none behind: the next one begins as the first did. Live and in replay alike, so that one
    bad round in a record doesn't make all later ones look wrong.

    Attributes:
        spec: which strategy.
    """

    def __init__(self, spec: StrategySpec, rule: Rule | None = None) -> None:
        """Begin without state.

        Args:
            spec: which strategy.
            rule: as a record has it, if its version is older than ``spec.rule``'s.
        """
        self.spec = spec
        self._merge = function_of(rule or spec.rule) if spec.is_own else None
        self._begin()

    def _begin(self) -> None:
        self._strategy = self.spec.plain.build(1)
        self._clipping_norm: float | None = None  # where it adapts, from the second round on

    def aggregate(
        self, round_number: int, base: TwinModel, updates: Sequence[DeviceUpdate], noise: bytes = b""
    ) -> TwinModel:
        """Aggregate updates that have been verified.

        Args:
            round_number: for which the devices trained.
            base: what they trained on.
            updates: theirs, in any order.
            noise: what the rule's noise is drawn from, `twins.updates.NOISE` bytes; empty if it draws none.

        Raises:
            StrategyError: the strategy can't aggregate these (too few for Krum, say), or other noise than it draws.
            UpdateRejectedError: a device twice, or an update that its device should have clipped.
            SchemaError: an update of another shape.
            NonFiniteError: the aggregate isn't finite.
        """
        try:
            return self._aggregate(round_number, base, updates, noise)
        except BaseException:
            self._begin()
            raise

    def _aggregate(
        self, round_number: int, base: TwinModel, updates: Sequence[DeviceUpdate], noise: bytes
    ) -> TwinModel:
        wanted = 0 if self.spec.privacy is None else NOISE
        if len(noise) != wanted:
            raise StrategyError(f"{self.spec.name}: expected {wanted} bytes of noise, got {len(noise)}")
        ordered = sorted(updates, key=lambda update: device_order(update.device))
        for earlier, later in pairwise(ordered):
            if earlier.device == later.device:  # it would count twice
                raise UpdateRejectedError(later.device, RejectionReason.MALFORMED, "expected one update, got two")
        self.spec.require_devices(len(ordered))
        models = [update.model() for update in ordered]
        for update, model in zip(ordered, models, strict=True):
            model.require_schema(base.schema(), f"update of device {update.device}")
        pairs = list(zip(ordered, models, strict=True))
        if self._merge is not None:
            result = self._merge([(model, update.examples) for update, model in pairs])
        else:
            self._require_clipped(base, pairs)
            result = self._by_flower(self._strategy, round_number, base, pairs, noise)
        result.require_finite(f"aggregate of round {round_number} by {self.spec.name}")
        result.require_schema(base.schema(), f"aggregate of round {round_number} by {self.spec.name}")
        return result

    def _require_clipped(self, base: TwinModel, updates: Sequence[tuple[DeviceUpdate, TwinModel]]) -> None:
        """Refuse a record in which a station let an unclipped update through: its noise would hide too little."""
        bound = None if self.spec.privacy is None else self.spec.privacy.bound(base)
        if bound is None:
            return
        for update, model in updates:
            if (moved := update_norm(model, base)) > bound:
                detail = f"expected it clipped to {bound:g}, got a norm of {moved:g}"
                raise UpdateRejectedError(update.device, RejectionReason.NORM, detail)

    def _by_flower(
        self,
        strategy: Strategy,
        round_number: int,
        base: TwinModel,
        updates: Sequence[tuple[DeviceUpdate, TwinModel]],
        noise: bytes,
    ) -> TwinModel:
        grid = InProcessGrid(ClientApp(), {FIRST_NODE + index: {} for index in range(len(updates))})
        for name, value in (("min_train_nodes", len(updates)), ("min_available_nodes", len(updates))):
            if hasattr(strategy, name):
                setattr(strategy, name, value)
        # FedAvgM keeps its own last result as the base; here the base is what tier 2 made of all stations.
        if "current_arrays" in vars(strategy):
            vars(strategy)["current_arrays"] = None
        privacy = self.spec.privacy
        if privacy is not None:
            # For as many devices as there are: with those of the roster that failed counted too, the noise would be
            # too little.
            strategy = privacy.wrap(strategy, len(updates), self._clipping_norm)
        try:
            replies = list(_replies(grid, updates, alike=privacy is not None))
            with _ALONE, _quick_collections(), drawn_from(noise) if noise else nullcontext():
                list(strategy.configure_train(round_number, _wide(base), ConfigRecord(), grid))
                arrays, _ = strategy.aggregate_train(round_number, replies)
        except Exception as error:  # third-party code: whatever it raises, the update can't be made
            raise StrategyError(f"{self.spec.name} cannot aggregate {len(updates)} updates: {error}") from error
        if arrays is None:
            raise StrategyError(f"{self.spec.name} gave no aggregate of {len(updates)} updates")
        if privacy is not None:
            self._clipping_norm = privacy.next_norm(strategy)
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


def _replies(
    grid: InProcessGrid, updates: Sequence[tuple[DeviceUpdate, TwinModel]], *, alike: bool
) -> Iterator[Message]:
    """Rebuild the devices' replies as Flower's strategies expect them.

    Args:
        grid: whose nodes the devices are.
        updates: theirs.
        alike: whether all weigh the same: under privacy no device may have more influence for having more examples.
    """
    for index, (update, model) in enumerate(updates):
        request = grid.create_message(RecordDict(), MessageType.TRAIN, FIRST_NODE + index, "")
        metrics = MetricRecord({**update.metrics(), "num-examples": 1 if alike else update.examples})
        yield Message(RecordDict({"arrays": _wide(model), "metrics": metrics}), reply_to=request)


def _wide(model: TwinModel) -> ArrayRecord:
    """Return a model in float64, its negative zeros as zeros."""
    return record_of({name: HeldArray(array.astype(np.float64) + 0.0) for name, array in model.tensors.items()})
