"""A twin's model: named float32 arrays, and their one spelling in bytes.

Bytes are safetensors (https://github.com/huggingface/safetensors, format specification): data only, no code can
hide in them as it can in a pickle. Laws::

    TwinModel.from_bytes(m.to_bytes()) == m
    TwinModel.from_bytes(b).to_bytes() == b      for every b that to_bytes made
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from twins import layout
from twins.errors import ModelFormatError, NonFiniteError, SchemaError
from twins.types import Digest, sha256_digest

Array = NDArray[np.float32]
Schema = Mapping[str, list[int]]


@dataclass(frozen=True, eq=False)
class TwinModel:
    """Weights of a twin's model.

    Attributes:
        tensors: name to float32 array in C order, any shape; sorted by name, read-only.
    """

    tensors: Mapping[str, Array]
    _written: dict[str | None, bytes] = field(default_factory=dict, init=False, repr=False)  # by note, the newest
    _digests: dict[str | None, Digest] = field(default_factory=dict, init=False, repr=False)  # of these bytes

    def __post_init__(self) -> None:
        """Sort by name and refuse anything but float32."""
        if not self.tensors:
            raise ModelFormatError("a model without tensors")
        for name, array in self.tensors.items():
            if name == "__metadata__":
                raise ModelFormatError("a tensor named '__metadata__': safetensors keeps that for itself")
            if array.dtype != np.float32:
                raise ModelFormatError(f"tensor {name!r}: expected float32, got {array.dtype}")
        object.__setattr__(self, "tensors", {name: _held(self.tensors[name]) for name in sorted(self.tensors)})

    def __eq__(self, other: object) -> bool:
        """Same names, shapes and bits (NaN equals the same NaN; 0.0 differs from -0.0)."""
        if not isinstance(other, TwinModel):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        """Hash of the bytes."""
        return hash(self.to_bytes())

    def to_bytes(self, note: str | None = None) -> bytes:
        """Serialise deterministically; the newest bytes are kept, for whoever signs, checks and stores them.

        Args:
            note: text to carry beside the weights. There is one key only: safetensors writes several in an order
                that changes from call to call.
        """
        if note not in self._written:
            self._written.clear()
            self._digests.clear()
            self._written[note] = layout.write(self.tensors, note)
        return self._written[note]

    def digest(self, note: str | None = None) -> Digest:
        """Return the SHA-256 of `to_bytes`, computed once for whoever signs, checks and stores them."""
        data = self.to_bytes(note)
        if note not in self._digests:
            self._digests[note] = sha256_digest(data)
        return self._digests[note]

    @classmethod
    def from_bytes(cls, data: bytes) -> TwinModel:
        """Read a model.

        Raises:
            ModelFormatError: not safetensors, or not all float32.
        """
        try:
            return cls(layout.read(data))
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise ModelFormatError(f"not a model in safetensors of float32: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as bytes: those that it was written to last, if it was."""
        note, data = next(iter(self._written.items()), None) or (None, self.to_bytes())
        return _read, (note, data, self._digests.get(note))

    def schema(self) -> dict[str, list[int]]:
        """Return name to shape."""
        return {name: list(shape) for name, shape in self._shapes.items()}

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self.tensors.items()}

    def parameter_count(self) -> int:
        """Return the number of scalars."""
        return sum(math.prod(array.shape) for array in self.tensors.values())

    def require_finite(self, what: str) -> None:
        """Refuse NaN and infinity: one such value from one device poisons the mean of all.

        Raises:
            NonFiniteError: naming ``what`` and the first tensor concerned.
        """
        if self._first_bad is not None:
            raise NonFiniteError(what, *self._first_bad)

    @cached_property
    def _first_bad(self) -> tuple[str, int] | None:
        """The first tensor with a value that isn't finite, and how many; looked for once, by whoever asks first."""
        with np.errstate(over="ignore", invalid="ignore"):
            for name, array in self.tensors.items():
                if math.isfinite(array.sum()):  # a sum with one term that isn't finite isn't, either
                    continue
                bad = int(array.size - np.count_nonzero(np.isfinite(array)))
                if bad:
                    return name, bad
        return None

    def require_schema(self, schema: Schema, what: str) -> None:
        """Refuse a model of another shape.

        Raises:
            SchemaError: with what is missing, what is unknown and what has another shape.
        """
        own = self._shapes
        if own.keys() == schema.keys() and all(list(shape) == schema[name] for name, shape in own.items()):
            return
        differences = list(_differences(schema, self.schema()))
        if differences:
            raise SchemaError(f"{what}: not the twin's schema: " + "; ".join(differences))


def _held(array: Array) -> Array:
    if array.flags.c_contiguous and not array.flags.writeable:
        return array
    # Not ascontiguousarray: it makes a vector of a scalar, and the schema would change.
    held = np.asarray(array, order="C").view()
    held.flags.writeable = False
    return held


def _read(note: str | None, data: bytes, digest: Digest | None) -> TwinModel:
    model = TwinModel.from_bytes(data)
    model._written[note] = data
    if digest is not None:
        model._digests[note] = digest
    return model


def _differences(expected: Schema, actual: Schema) -> Iterator[str]:
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            yield f"{name}: expected {expected.get(name, 'no such tensor')}, got {actual.get(name, 'no such tensor')}"
