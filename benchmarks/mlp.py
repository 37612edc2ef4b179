"""The small network on synthetic data that the speed of engines is measured with: arithmetic costs next to nothing.

As in other simulators' comparisons: an MLP 32-64-64-2, ten SGD steps of 32 examples for each update. As a data set of
one's own: ``--dataset benchmarks.mlp:DATASET``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from torch import nn

from fl.datasets import Dataset, Partition, Task
from fl.errors import DataError

FEATURES, CLASSES, ROWS, TEST = 32, 2, 320, 32
DEVICES = 100_000


def network() -> nn.Module:
    """Return the untrained network: 6,402 parameters."""
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, CLASSES))


@lru_cache(maxsize=1)
def _recording() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((DEVICES + ROWS + TEST, FEATURES), dtype=np.float32)
    hidden = np.tanh(x @ generator.standard_normal((FEATURES, 8), dtype=np.float32) / 4)
    return x, (hidden.sum(axis=1) > 0).astype(np.int64)


def partition(split: str, devices: int) -> tuple[Partition, ...]:
    """Give each device a window of one long recording: 100,000 devices fit into memory, and no two have the same."""
    if split != "iid":
        raise DataError(f"unknown split {split!r} of the synthetic data: expected iid")
    x, y = _recording()
    end = ROWS + TEST
    return tuple(
        Partition(f"device {i}", x[i : i + ROWS], y[i : i + ROWS], x[i + ROWS : i + end], y[i + ROWS : i + end])
        for i in range(devices)
    )


DATASET = Dataset(
    name="mlp",
    description="synthetic: 320 examples of 32 features a device, for measuring engines",
    splits={"iid": "all devices' examples come from one distribution"},
    devices=DEVICES,
    task=Task(build=network, epochs=1, batch=32, learning_rate=0.05, momentum=0.9),
    partition=partition,
)
