"""A data set of one file, as a user adds one: named ``tests.unit.fl.tiny:DATASET``, in no registry."""

from __future__ import annotations

import numpy as np
from torch import nn

from fl.datasets import Dataset, Partition, Task
from fl.errors import DataError

NAME = "tests.unit.fl.tiny:DATASET"
DEVICES = 8
FEATURES, CLASSES = 4, 3

NOT_A_DATASET = "just a text"


def partition(split: str, devices: int) -> tuple[Partition, ...]:
    """Classes are corners of a cube with noise; every device has its own number of examples."""
    if split != "plain":
        raise DataError(f"unknown split {split!r} of the tiny data: expected plain")
    return tuple(_device(index) for index in range(devices))


def _device(index: int) -> Partition:
    random = np.random.default_rng(index)
    train_x, train_y = _examples(random, 9 + 3 * index)
    return Partition(f"device {index}", train_x, train_y, *_examples(random, 5))


def _examples(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    y = random.integers(0, CLASSES, count)
    x = np.eye(CLASSES, FEATURES)[y] * 2 + random.normal(0, 0.3, (count, FEATURES))
    return x.astype(np.float32), y.astype(np.int64)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 6), nn.ReLU(), nn.Linear(6, CLASSES))


DATASET = Dataset(
    name="tiny",
    description="corners of a cube",
    splits={"plain": "train and test are drawn apart"},
    devices=DEVICES,
    task=Task(build=network, epochs=2, batch=8, learning_rate=0.1, momentum=0.9),
    partition=partition,
)
