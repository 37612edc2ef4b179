"""The station's Flower strategy: any strategy of Flower, with every update verified and recorded on the way.

It wraps the named strategy as Flower's own differential-privacy wrappers do: hooks only, never ``start``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fl.arrays import from_record, to_record
from fl.client_app import TRAIN_LOSS, RoundConfig
from fl.errors import EngineError, NonFiniteUpdateError, UpdateRejectedError
from fl.tier1 import Aggregator
from twins.contribution import Contribution
from twins.errors import NonFiniteError, TwinsError
from twins.model import TwinModel
from twins.types import Address
from twins.updates import DeviceUpdate, device_order

MAX_EXAMPLES = 2**32
"""That one device may claim: sums over all devices of a twin then stay whole numbers in JSON and in float64."""


class StationStrategy(Strategy):
    """One station's strategy for one round.

    Attributes:
        updates: after ``aggregate_train``, the verified updates, ascending by device.
    """

    def __init__(
        self,
        inner: Strategy,
        aggregator: Aggregator,
        config: RoundConfig,
        base: TwinModel,
        roster: Mapping[int, Address],
    ) -> None:
        """Wrap a strategy.

        Args:
            inner: chooses the devices and what they are told.
            aggregator: the station's, with its state.
            config: of the round.
            base: what the devices train on.
            roster: node id to the device that is enrolled behind it.
        """
        self.updates: tuple[DeviceUpdate, ...] = ()
        self._inner = inner
        self._aggregator = aggregator
        self._config = config
        self._base = base
        self._roster = roster

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the inner strategy choose; it is told the twin's round, not Flower's count of this run."""
        return self._inner.configure_train(self._config.round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Verify every reply, then aggregate in the order of the devices' addresses.

        Raises:
            UpdateRejectedError: a reply that must not be aggregated; its device is named.
            EngineError: a device that didn't train, or none that did.
        """
        updates = [self._verified(reply) for reply in replies]
        if not updates:
            raise EngineError("no device trained: expected the strategy to choose at least one")
        self.updates = tuple(sorted(updates, key=lambda update: device_order(update.device)))
        return to_record(self._aggregator.aggregate(self._config.round, self._base, self.updates)), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Evaluate nothing here: what counts is the model after tier 2."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing was evaluated."""
        return None

    def summary(self) -> None:
        """Log the inner strategy's summary."""
        self._inner.summary()

    def _verified(self, reply: Message) -> DeviceUpdate:
        node = reply.metadata.src_node_id
        device = self._roster.get(node)
        if device is None:  # somebody who isn't enrolled at this station
            raise UpdateRejectedError(f"of node {node}", f"expected one of the nodes {sorted(self._roster)}")
        if reply.has_error():
            raise EngineError(f"device {device} did not train: {reply.error.reason}")
        model, metrics, examples, signature = _read(device, reply)
        if type(examples) is not int or not 1 <= examples <= MAX_EXAMPLES:
            raise UpdateRejectedError(device, f"expected 1 to {MAX_EXAMPLES} examples, got {examples!r}")
        if not isinstance(signature, bytes):
            raise UpdateRejectedError(device, f"expected a signature of 65 bytes, got {signature!r}")
        if type(metrics.get(TRAIN_LOSS)) is not float:
            raise UpdateRejectedError(device, f"expected its {TRAIN_LOSS}, got the metrics {metrics}")
        try:
            model.require_finite(f"update of device {device}")
            model.require_schema(self._base.schema(), f"update of device {device}")
            # The bytes are made here again: what the device signed must be what is aggregated and stored.
            payload = DeviceUpdate.encode_payload(model, metrics)
            update = DeviceUpdate(device, examples, payload, signature)
            update.metrics()
            self._require_signed(update)
        except NonFiniteError as error:
            raise NonFiniteUpdateError(device, str(error)) from error
        except TwinsError as error:
            raise UpdateRejectedError(device, str(error)) from error
        return update

    def _require_signed(self, update: DeviceUpdate) -> None:
        """Refuse what another device sent, and replays of another round, twin, station, base or chain."""
        config = self._config
        contribution = Contribution(
            config.twin, config.round, config.station, config.base, update.digest, update.examples
        )
        signer = contribution.signer(config.domain, update.signature)
        if signer != update.device:
            raise UpdateRejectedError(update.device, f"its signature recovers to {signer}")


def _read(device: Address, reply: Message) -> tuple[TwinModel, dict[str, Any], Any, Any]:
    """Return weights, metrics, number of examples and signature, none of them checked."""
    try:
        metrics = dict(reply.content.metric_records["metrics"])
        return (
            from_record(reply.content.array_records["arrays"]),
            metrics,
            metrics.pop("num-examples"),
            reply.content.config_records["contribution"]["signature"],
        )
    except Exception as error:  # bytes of a stranger: whatever they make a parser raise is the stranger's doing
        raise UpdateRejectedError(device, f"malformed: {type(error).__name__}: {error}") from error
