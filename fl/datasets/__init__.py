"""Data sets: a registry in which a new one is one file.

A module ``fl/datasets/NAME.py`` with an attribute ``DATASET`` is the data set NAME; anybody else's is named
``module:attribute``. `get` finds it, `Dataset.load` gives one `Partition` per device.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fl.errors import DataError, UnknownDatasetError


@dataclass(frozen=True)
class Partition:
    """One device's private data.

    Attributes:
        name: of the device.
        train_x: float32, ``train_x[i, ...]`` is the i-th example.
        train_y: int64 class labels.
        test_x: as ``train_x``; never trained on.
        test_y: as ``train_y``.
    """

    name: str
    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """What is learnt, and how a device trains.

    Attributes:
        build: makes the untrained network; the caller seeds torch before.
        epochs: local epochs per round.
        batch: examples per step.
        learning_rate: of SGD.
        momentum: of SGD.
    """

    build: Callable[[], nn.Module]
    epochs: int
    batch: int
    learning_rate: float
    momentum: float


@dataclass(frozen=True)
class Dataset:
    """A data set that is spread over devices.

    Attributes:
        name: in the registry.
        description: one line.
        splits: split to what it means.
        devices: how many devices it has at most.
        task: what is learnt on it.
        partition: (split, number of devices) to the devices' data; see `load`.
    """

    name: str
    description: str
    splits: dict[str, str]
    devices: int
    task: Task
    partition: Callable[[str, int], tuple[Partition, ...]]

    def load(self, split: str, devices: int) -> tuple[Partition, ...]:
        """Return the data of the first ``devices`` devices.

        Raises:
            DataError: too many or too few devices, an unknown split, or data that isn't what it should be.
        """
        if not 1 <= devices <= self.devices:
            raise DataError(f"data set {self.name}: expected 1 to {self.devices} devices, got {devices}")
        return self.partition(split, devices)


def names() -> tuple[str, ...]:
    """Return the registered data sets."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def get(name: str) -> Dataset:
    """Find a data set.

    Args:
        name: in the registry, or ``module:attribute``.

    Raises:
        UnknownDatasetError: there is none; the message lists those there are.
    """
    module, _, attribute = name.partition(":")
    if attribute:
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError, TypeError) as error:  # TypeError: a relative module
            raise UnknownDatasetError(f"data set {name}: {error}") from error
    elif name in names():
        found = importlib.import_module(f"{__name__}.{name}").DATASET
    else:
        raise UnknownDatasetError(
            f"unknown data set {name!r}: expected one of {', '.join(names())}, or module:attribute of your own"
        )
    if not isinstance(found, Dataset):
        raise UnknownDatasetError(f"data set {name}: expected a fl.datasets.Dataset, got {type(found).__name__}")
    return found
