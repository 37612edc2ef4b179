"""A data set of a few hundred numbers and a net of 195 parameters: real training, in milliseconds."""

from __future__ import annotations

import numpy as np
from torch import nn

from fl.datasets import Dataset, Partition, Task

FEATURES, CLASSES = 8, 3


def _build() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, CLASSES))


def _partition(split: str, devices: int) -> tuple[Partition, ...]:
    parts = []
    for index in range(devices):
        random = np.random.default_rng(index)
        # Another number of examples on every device: a weight that is mixed up changes the mean.
        count = 20 + 4 * index
        y = random.integers(0, CLASSES, count)
        x = (random.normal(size=(count, FEATURES)) + y[:, None]).astype(np.float32)
        parts.append(Partition(f"device {index}", x[:-4], y[:-4], x[-4:], y[-4:]))
    return tuple(parts)


DATASET = Dataset(
    name="tiny",
    description="three clouds of points",
    splits={"all": "the last four examples of every device are its test data"},
    devices=6,
    task=Task(_build, epochs=1, batch=8, learning_rate=0.05, momentum=0.9),
    partition=_partition,
)
