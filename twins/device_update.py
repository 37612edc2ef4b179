"""One device's update: the weights and metrics that it signed."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from twins import canonical
from twins.entries import Entry
from twins.errors import BundleError, FormatError
from twins.model import TwinModel
from twins.types import Address, Digest, sha256_digest


@dataclass(frozen=True)
class DeviceUpdate:
    """One device's update, as it was signed.

    Attributes:
        device: the device's account.
        examples: training examples behind it.
        payload: safetensors of the trained weights, with the training metrics as their note.
        signature: 65 bytes over the `Contribution` that names this payload's digest.
    """

    device: Address
    examples: int
    payload: bytes
    signature: bytes

    @staticmethod
    def encode_payload(model: TwinModel, metrics: Mapping[str, float]) -> bytes:
        """Serialise weights and metrics, so that the device's signature covers both.

        Raises:
            FormatError: a metric that is not finite.
        """
        return model.to_bytes(note=DeviceUpdate.note(metrics))

    @staticmethod
    def note(metrics: Mapping[str, float]) -> str:
        """Return the metrics as the note that a payload carries.

        Raises:
            FormatError: a metric that is not finite.
        """
        return canonical.encode(metrics).decode()

    @classmethod
    def of(
        cls, device: Address, examples: int, model: TwinModel, metrics: Mapping[str, float], signature: bytes
    ) -> DeviceUpdate:
        """Return the update that has these weights and metrics; what is known of them isn't computed again.

        Raises:
            FormatError: a metric that is not finite.
        """
        note = cls.note(metrics)
        update = cls(device, examples, model.to_bytes(note), signature)
        known: dict[str, object] = {"digest": model.digest(note)}
        if note.isascii() and all(type(value) in (int, float) for value in metrics.values()):
            # As `_metrics` reads them: canonical JSON has one zero.
            known["_metrics"] = {name: float(metrics[name]) + 0.0 for name in sorted(metrics)}
        update.__dict__.update(known)
        return update

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process of this machine with what is known of it, so that it isn't worked out again."""
        known = {name: self.__dict__[name] for name in ("digest", "_metrics") if name in self.__dict__}
        leaf = self.entry.__dict__.get("leaf_digest")
        return _arrived, (self.device, self.examples, self.payload, self.signature, known, leaf)

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 of the payload."""
        return sha256_digest(self.payload)

    @cached_property
    def entry(self) -> Entry:
        """What everybody may know of it."""
        return Entry(self.device, self.digest, self.examples, self.signature, len(self.payload))

    def model(self) -> TwinModel:
        """Read the weights.

        Raises:
            ModelFormatError: the payload is no model.
        """
        return self._model

    @cached_property
    def _model(self) -> TwinModel:
        return TwinModel.from_bytes(self.payload)

    def metrics(self) -> dict[str, float]:
        """Read the metrics that the device reported.

        Raises:
            BundleError: the payload carries none.
        """
        return dict(self._metrics)

    @cached_property
    def _metrics(self) -> dict[str, float]:
        try:
            (length,) = struct.unpack_from("<Q", self.payload)
            note = canonical.decode_any(self.payload[8 : 8 + length])["__metadata__"]["note"]
            metrics = canonical.decode(note.encode())
            if not all(type(value) in (int, float) for value in metrics.values()):
                raise TypeError(f"expected numbers, got {metrics}")  # float("nan") would read a text as NaN
            # Canonical JSON writes 1.0 as 1: read all as float again.
            return {name: float(value) for name, value in metrics.items()}
        except (
            FormatError,
            struct.error,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise BundleError(f"update of device {self.device}: no metrics in its payload: {error}") from error


def _arrived(
    device: Address, examples: int, payload: bytes, signature: bytes, known: dict[str, Any], leaf: Digest | None
) -> DeviceUpdate:
    update = DeviceUpdate(device, examples, payload, signature)
    update.__dict__.update(known)
    if leaf is not None:
        update.entry.__dict__["leaf_digest"] = leaf
    return update
