"""The station's Flower strategy: any strategy of Flower, with every update verified and recorded on the way.

It wraps the named strategy as Flower's own differential-privacy wrappers do: hooks only, never ``start``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fl.arrays import from_record, to_record
from fl.client_app import RoundConfig
from fl.errors import EngineError, NonFiniteUpdateError, UpdateRejectedError
from fl.tier1 import Aggregator
from twins.contribution import Contribution
from twins.errors import NonFiniteError, TwinsError
from twins.model import TwinModel
from twins.types import Address
from twins.updates import DeviceUpdate, device_order


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
            EngineError: a device that didn't train.
        """
        updates = [self._verified(reply) for reply in replies]
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
        device = self._roster[reply.metadata.src_node_id]
        if reply.has_error():
            raise EngineError(f"device {device} did not train: {reply.error.reason}")
        content = reply.content
        try:
            model = from_record(content.array_records["arrays"])
            metrics = dict(content.metric_records["metrics"])
            examples = metrics.pop("num-examples")
            signature = content.config_records["contribution"]["signature"]
            if not isinstance(signature, bytes) or not isinstance(examples, int) or examples < 1:
                raise UpdateRejectedError(device, f"expected a signature and at least 1 example, got {examples}")
            model.require_finite(f"update of device {device}")
            model.require_schema(self._base.schema(), f"update of device {device}")
            # The bytes are made here again: what the device signed must be what is aggregated and stored.
            payload = DeviceUpdate.encode_payload(model, metrics)  # type: ignore[arg-type]
            update = DeviceUpdate(device, examples, payload, signature)
            self._require_signed(update)
        except NonFiniteError as error:
            raise NonFiniteUpdateError(device, str(error)) from error
        except (TwinsError, KeyError) as error:
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
