"""What stays of a device in a process from message to message: its data and its network, never its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import nn

from fl.data_files import read_partition
from fl.datasets import Partition, Task, get
from fl.training import Examples


def described(node: Mapping[str, object], run: Mapping[str, object]) -> dict[str, object]:
    """Return a node's configuration; what isn't in it is the run's: a simulation's nodes know only their number."""
    return {**{name: run[name] for name in ("dataset", "split", "seed") if name in run}, **node}


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

    A device with a ``data-file`` has its examples there, and reads nobody else's: no data set is looked up.

    Raises:
        DataError: there is no such data.
    """
    dataset, index = str(config["dataset"]), int(str(config["partition-id"]))
    file = config.get("data-file")
    if file is not None:
        return _device(dataset, index, _own(Path(str(file))))
    split, count = str(config["split"]), int(str(config["num-partitions"]))
    known = _devices(dataset, split, count)
    if index not in known:
        known[index] = _device(dataset, index, _partitions(dataset, split, count)[index])
    return known[index]


def _device(dataset: str, index: int, part: Partition) -> Device:
    training, testing = Examples.of(part.train_x, part.train_y), Examples.of(part.test_x, part.test_y)
    return Device(index, get(dataset).task, _network(dataset), training, testing)


@lru_cache(maxsize=1)
def _devices(dataset: str, split: str, count: int) -> dict[int, Device]:
    """Hold those of a data set that this process has simulated already."""
    return {}


@lru_cache(maxsize=1)
def _own(file: Path) -> Partition:
    return read_partition(file)


@lru_cache(maxsize=1)
def _partitions(dataset: str, split: str, count: int) -> tuple[Partition, ...]:
    """Spread the data once, not once per device that this process simulates."""
    return get(dataset).load(split, count)


@lru_cache(maxsize=1)
def _network(dataset: str) -> nn.Module:
    """Build one network for all devices: each begins with the base's weights."""
    return get(dataset).task.build()
