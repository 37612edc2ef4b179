"""The station's Flower strategy: any strategy of Flower, with every update verified and recorded on the way.

It wraps the named strategy as Flower's own differential-privacy wrappers do: hooks only, never ``start``. Whatever a
device sends or doesn't send, the round goes on with the others, and the record says of every device of the roster
that its update was used or why it wasn't: no device can be left out silently.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fl.arrays import to_record
from fl.checked import checked_update
from fl.errors import EngineError, UpdateRejectedError
from fl.receipts import PendingReceipts
from fl.tier1 import Aggregator
from fl.verification import Verifier
from twins.types import Address
from twins.updates import DeviceUpdate, Rejection, RejectionReason, device_order, one_line

NoiseOf = Callable[[Sequence[DeviceUpdate]], bytes]
"""Verified updates to what the rule's noise is drawn from; empty if it draws none."""


class StationStrategy(Strategy):
    """One station's strategy for one round.

    Attributes:
        updates: after ``aggregate_train``, the verified updates, ascending by device.
        rejections: all other devices of the roster, ascending.
        noise: what the rule's noise was drawn from.
    """

    def __init__(
        self,
        inner: Strategy,
        aggregator: Aggregator,
        verifier: Verifier,
        roster: Mapping[int, Address],
        *,
        noise_of: NoiseOf = lambda updates: b"",
        receipts: PendingReceipts | None = None,
        recorded: Container[int] = (),
    ) -> None:
        """Wrap a strategy.

        Args:
            inner: chooses the devices and what they are told.
            aggregator: the station's, with its state.
            verifier: of the round.
            roster: node id to the device that is enrolled behind it.
            noise_of: draws what the rule's noise is drawn from.
            receipts: what devices are still to be given.
            recorded: rounds whose update is recorded.
        """
        self.updates: tuple[DeviceUpdate, ...] = ()
        self.rejections: tuple[Rejection, ...] = ()
        self.noise = b""
        self._inner = inner
        self._aggregator = aggregator
        self._verifier = verifier
        self._roster = roster
        self._noise_of = noise_of
        self._receipts = receipts
        self._recorded = recorded

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the inner strategy choose, and add receipts; it is told the twin's round, not Flower's count."""
        for message in self._inner.configure_train(self._verifier.config.round, arrays, config, grid):
            device = self._roster.get(message.metadata.dst_node_id)
            if self._receipts is None or device is None:
                yield message
            else:
                yield self._receipts.add_to(message, device, self._recorded)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Verify every reply, then aggregate what is left in the order of the devices' addresses.

        Raises:
            EngineError: no update is left.
            StrategyError: too few are, for the strategy.
        """
        number = self._verifier.config.round
        self._sort_out(self._by_node(replies))
        if not self.updates:
            each = "; ".join(f"device {one.device}: {one.reason}: {one.detail}" for one in self.rejections)
            raise EngineError(f"round {number}: expected one update that can be used at least, got none ({each})")
        self.noise = self._noise_of(self.updates)
        return to_record(self._aggregator.aggregate(number, self._verifier.base, self.updates, self.noise)), None

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

    def _by_node(self, replies: Iterable[Message]) -> dict[int, list[Message]]:
        """Return the replies of every node of the roster; others can't be named in a record, and don't count."""
        found: dict[int, list[Message]] = {node: [] for node in self._roster}
        for reply in replies:
            node = reply.metadata.src_node_id
            if node in found:
                found[node].append(reply)
            else:
                logging.getLogger(__name__).warning("reply of node %d, which isn't enrolled here: ignored", node)
        return found

    def _sort_out(self, replies: Mapping[int, Sequence[Message]]) -> None:
        """Put every device of the roster among the updates or among the rejections, never both, never neither."""
        updates, rejections = [], []
        for node, device in self._roster.items():
            try:
                updates.append(self._update_of(device, replies[node]))
            except UpdateRejectedError as error:
                rejections.append(Rejection(device, error.reason, one_line(error.detail)))
        self.updates = tuple(sorted(updates, key=lambda update: device_order(update.device)))
        self.rejections = tuple(sorted(rejections, key=lambda rejection: device_order(rejection.device)))

    def _update_of(self, device: Address, replies: Sequence[Message]) -> DeviceUpdate:
        if not replies:
            raise UpdateRejectedError(device, RejectionReason.MISSING, "did not answer")
        if len(replies) > 1:  # one sent twice would count twice, and of two nobody could say which counts
            raise UpdateRejectedError(device, RejectionReason.MALFORMED, f"expected one reply, got {len(replies)}")
        if self._receipts is not None and not replies[0].has_error():
            self._receipts.delivered(device)
        checked = checked_update(self._verifier, device, replies[0])
        return self._verifier.verified(device, replies[0]) if checked is None else checked
