"""What a station takes from a device: every check of one reply, and the reason for each refusal."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord
from flwr.common.constant import ErrorCode

from fl.arrays import from_record, record_named
from fl.client_app import TRAIN_LOSS, RoundConfig
from fl.errors import UpdateRejectedError
from fl.evaluation import MAX_EXAMPLES
from twins.contribution import Contribution
from twins.errors import NonFiniteError, SchemaError, SignatureError
from twins.model import TwinModel
from twins.types import Address
from twins.updates import DeviceUpdate, RejectionReason, update_norm


@dataclass(frozen=True)
class Verifier:
    """Holds replies to one round's training against what was asked.

    Attributes:
        config: what the devices were told.
        base: what they were to train on.
        max_norm: how far training may move a model (`twins.updates.update_norm`); None for no bound.
    """

    config: RoundConfig
    base: TwinModel
    max_norm: float | None = None

    def verified(self, device: Address, reply: Message) -> DeviceUpdate:
        """Return the update of the device that is enrolled behind the node that replied.

        What a device says is judged only after its signature: else whoever carries the message could have an honest
        device refused for nonsense of his own.

        Raises:
            UpdateRejectedError: with the reason that the record will have.
        """
        if reply.has_error():
            logging.getLogger(__name__).warning("device %s did not train: %s", device, reply.error.reason)
            raise UpdateRejectedError(device, RejectionReason.MISSING, f"did not train: {_kind(reply.error)}")
        update, model, declared = _read(device, reply)
        config = self.config
        if declared != (config.round, config.base):
            detail = f"expected training for round {config.round} on {config.base}, got {declared[0]} on {declared[1]}"
            raise UpdateRejectedError(device, RejectionReason.BASE, detail)
        self._require_signed(update)
        try:
            model.require_finite("update")
            model.require_schema(self.base.schema(), "update")
        except NonFiniteError as error:
            raise UpdateRejectedError(device, RejectionReason.NON_FINITE, str(error)) from error
        except SchemaError as error:
            raise UpdateRejectedError(device, RejectionReason.SCHEMA, str(error)) from error
        if self.max_norm is not None and (moved := update_norm(model, self.base)) > self.max_norm:
            detail = f"expected a norm of at most {self.max_norm:.9g}, got {moved:.9g}"
            raise UpdateRejectedError(device, RejectionReason.NORM, detail)
        return update

    def stated(self, update: DeviceUpdate) -> Contribution:
        """Return what a device must have signed."""
        config = self.config
        return Contribution(config.twin, config.round, config.station, config.base, update.digest, update.examples)

    def _require_signed(self, update: DeviceUpdate) -> None:
        """Refuse what another device sent, and replays of another round, twin, station, base or chain."""
        try:
            signer = self.stated(update).signer(self.config.domain, update.signature)
        except SignatureError as error:
            raise UpdateRejectedError(update.device, RejectionReason.SIGNATURE, str(error)) from error
        if signer != update.device:
            raise UpdateRejectedError(update.device, RejectionReason.SIGNATURE, f"it recovers to {signer}")


def _kind(error: Error) -> str:
    """Return the type of a device's error, or Flower's code of it.

    Not its text: the record is public and for ever, and an error's text may have a path, a host or data in it.
    """
    named = re.match(r"[A-Za-z_]\w*(?=: )", error.reason or "")
    return named[0] if named and error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION else f"error {error.code}"


def _read(device: Address, reply: Message) -> tuple[DeviceUpdate, TwinModel, tuple[Any, Any]]:
    """Return the update, its model, and the round and base that the device says it trained for and on.

    The update's bytes are made here again: what the device signed must be what is aggregated and stored.
    """
    try:
        metrics = dict(record_named(reply.content, "metrics", MetricRecord))
        examples: Any = metrics.pop("num-examples")
        stated: Mapping[str, Any] = record_named(reply.content, "contribution", ConfigRecord)
        signature, declared = stated["signature"], (stated["round"], stated["base"])
        if not isinstance(signature, bytes):
            raise TypeError(f"expected a signature of 65 bytes, got {signature!r}")
        if type(metrics.get(TRAIN_LOSS)) is not float:
            raise TypeError(f"expected its {TRAIN_LOSS}, got the metrics {metrics}")
        model = from_record(record_named(reply.content, "arrays", ArrayRecord))
        update = DeviceUpdate.of(device, examples, model, metrics, signature)  # type: ignore[arg-type]
        update.metrics()
    except Exception as error:  # bytes of a stranger: whatever they make a parser raise is the stranger's doing
        detail = f"{type(error).__name__}: {error}"
        raise UpdateRejectedError(device, RejectionReason.MALFORMED, detail) from error
    if type(examples) is not int or not 1 <= examples <= MAX_EXAMPLES:
        detail = f"expected 1 to {MAX_EXAMPLES} examples, got {examples!r}"
        raise UpdateRejectedError(device, RejectionReason.EXAMPLES, detail)
    return update, model, declared
