"""Between `TwinModel` and Flower's records, without copies inside one process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common.typing import NDArray

from fl._flower_private import record_with
from twins.model import TwinModel

R = TypeVar("R", ArrayRecord, ConfigRecord, MetricRecord)

_NUMPY = "numpy.ndarray"  # Flower's name of the only way that it serialises arrays


@lru_cache(maxsize=16)
def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name  # NumPy makes it anew each time


class HeldArray(Array):
    """An array that is serialised when it leaves the process, and not before; nobody can write to it.

    Flower's own is bytes from the beginning, in NumPy's format: making and reading those of a small model takes as long
    as training it.

    Attributes:
        source: the model that it is part of, and under which name; None if it is none's.
    """

    # The name under which Flower's receiving side looks for the class that reads it.
    __qualname__ = "Array"

    source: tuple[TwinModel, str] | None

    def __init__(self, array: NDArray, source: tuple[TwinModel, str] | None = None) -> None:
        """Hold an array, without a copy: whoever has it must not write to it either."""
        held = array
        if held.flags.writeable:
            held = array.view()
            held.flags.writeable = False
        self.__dict__.update(
            dtype=_name(array.dtype), shape=tuple(array.shape), stype=_NUMPY, source=source, _held=held, _data=None
        )

    @property
    def data(self) -> bytes:  # type: ignore[override]  # a field there
        """The bytes that Flower sends."""
        if self.__dict__["_data"] is None:
            self.__dict__["_data"] = Array(self.__dict__["_held"]).data
        return self.__dict__["_data"]  # type: ignore[no-any-return]

    def numpy(self) -> NDArray:
        """Return a copy, as Flower's own does: QFedAvg computes in it."""
        return self.__dict__["_held"].copy()  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process of this machine: a model once, with all its arrays."""
        if self.source is None:
            return _of_array, (self.__dict__["_held"],)
        return _of_model, self.source


def _of_array(array: NDArray) -> HeldArray:
    return HeldArray(array)


def _of_model(model: TwinModel, name: str) -> HeldArray:
    return HeldArray(model.tensors[name], (model, name))


def to_record(model: TwinModel) -> ArrayRecord:
    """Return a model as Flower sends it."""
    return record_of({name: HeldArray(array, (model, name)) for name, array in model.tensors.items()})


def record_of(arrays: Mapping[str, HeldArray]) -> ArrayRecord:
    """Put arrays into a record as they are: Flower's own constructor would serialise them."""
    return record_with(ArrayRecord, dict(arrays))


def from_record(record: ArrayRecord) -> TwinModel:
    """Read a model as Flower brought it: the very one, if it comes from this process unchanged.

    Strategies compute in float64: cast to the model's type, once.
    """
    same = _source(record.items())
    if same is not None and len(record) == len(same.tensors):
        return same
    return TwinModel({name: np.asarray(array.numpy(), dtype=np.float32) for name, array in record.items()})


def _source(items: Iterable[tuple[str, Array]]) -> TwinModel | None:
    """Return the one model that all these arrays are of, each under its own name."""
    found: TwinModel | None = None
    for name, array in items:
        source = array.source if isinstance(array, HeldArray) else None
        if source is None or source[1] != name or (found is not None and source[0] is not found):
            return None
        found = source[0]
    return found


def record_named(content: RecordDict, name: str, kind: type[R]) -> R:
    """Return one record: Flower's properties (``config_records``, ...) build a dictionary of all of a kind each time.

    Raises:
        KeyError: there is none of this name.
        TypeError: it is of another kind.
    """
    record = content[name]
    if not isinstance(record, kind):
        raise TypeError(f"expected {name} to be a {kind.__name__}, got a {type(record).__name__}")
    return record


def fork(content: RecordDict) -> RecordDict:
    """Return records that one device may change without changing another's.

    Flower's strategies put one and the same RecordDict into all messages. Arrays are immutable: shared.
    """
    return record_with(RecordDict, {name: _copy(record) for name, record in content.items()})


def _copy(record: ArrayRecord | ConfigRecord | MetricRecord) -> ArrayRecord | ConfigRecord | MetricRecord:
    own: Any = record.copy()
    if not isinstance(record, ArrayRecord):
        for key, value in record.items():
            if isinstance(value, list):
                own[key] = list(value)
    return own  # type: ignore[no-any-return]
