"""Between `TwinModel` and Flower's records."""

from __future__ import annotations

import copy

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from twins.model import TwinModel


def to_record(model: TwinModel) -> ArrayRecord:
    """Return a model as Flower sends it."""
    return ArrayRecord({name: Array(array) for name, array in model.tensors.items()})


def from_record(record: ArrayRecord) -> TwinModel:
    """Read a model as Flower brought it.

    Strategies compute in float64: cast to the model's type, once.
    """
    return TwinModel({name: np.asarray(array.numpy(), dtype=np.float32) for name, array in record.items()})


def fork(content: RecordDict) -> RecordDict:
    """Return records that one device may change without changing another's.

    Flower's strategies put one and the same RecordDict into all messages. Arrays are immutable bytes: shared.
    """
    forked = RecordDict()
    for name, record in content.items():
        forked[name] = copy.deepcopy(record) if isinstance(record, ConfigRecord | MetricRecord) else record.copy()
    return forked
