"""What stays of a device in a process from message to message: its data and its network, never its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from torch import nn

from fl.datasets import Partition, Task, get
from fl.training import Examples


@dataclass(frozen=True)
class Device:
    """A device's data, and the network that it trains.

    Attributes:
        index: among all devices of the data set.
        task: what is learnt, and how.
        network: all devices' own, overwritten by whoever trains or tests.
        training: its examples.
        testing: never trained on.
    """

    index: int
    task: Task
    network: nn.Module
    training: Examples
    testing: Examples


def device_of(config: Mapping[str, object]) -> Device:
    """Return the device that a node's configuration names.

    Raises:
        DataError: there is no such data.
    """
    dataset, split, count = str(config["dataset"]), str(config["split"]), int(str(config["num-partitions"]))
    index = int(str(config["partition-id"]))
    part = _partitions(dataset, split, count)[index]
    training, testing = Examples.of(part.train_x, part.train_y), Examples.of(part.test_x, part.test_y)
    return Device(index, get(dataset).task, _network(dataset), training, testing)


@lru_cache(maxsize=1)
def _partitions(dataset: str, split: str, count: int) -> tuple[Partition, ...]:
    """Spread the data once, not once per device that this process simulates."""
    return get(dataset).load(split, count)


@lru_cache(maxsize=1)
def _network(dataset: str) -> nn.Module:
    """Build one network for all devices: each begins with the base's weights."""
    return get(dataset).task.build()
