"""Devices and stations that lie, for benchmarks: what they send is computed from real data and really signed.

A lying device has its own data, its own key and its own program: it can train on wrong labels and send any update, but
it can't sign for another. So its lies pass every check that a station makes of one update, but for a bound on its
norm.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from flwr.app import Context, Message, MessageType, MetricRecord, RecordDict

from fl import station_trainer
from fl.arrays import fork, from_record, to_record
from fl.client_app import RoundConfig, app
from fl.datasets import Dataset, Partition, watch
from fl.keys import read_key
from twins.contribution import Contribution
from twins.model import TwinModel
from twins.types import sha256_digest
from twins.updates import DeviceUpdate

EPOCHS = 1
"""Local epochs per round, where the demo has 5: a hundred federations are to be trained within minutes."""

_KEPT = 1024  # trained updates per process, 0.2 MB each


@dataclass(frozen=True)
class Attack:
    """What liars do.

    Attributes:
        name: as tables and plots have it.
        flipped: whether a device trains on labels that are all rotated by one: class k is taught as k + 1.
        factor: by which the update (trained model minus base) is multiplied before it is signed.
    """

    name: str
    flipped: bool = False
    factor: float = 1.0

    def scaled(self, model: TwinModel, base: TwinModel) -> TwinModel:
        """Return ``base + factor · (model − base)``, in float64, as float32."""
        tensors = {}
        for name, start in base.tensors.items():
            wide = start.astype(np.float64)
            with np.errstate(over="ignore"):  # beyond float32 it is infinite, and the station says so
                tensors[name] = (wide + self.factor * (model.tensors[name] - wide)).astype(np.float32)
        return TwinModel(tensors)


def _flipped(split: str, devices: int) -> tuple[Partition, ...]:
    parts = watch.DATASET.load(split, devices)
    return tuple(replace(part, train_y=(part.train_y + 1) % watch.CLASSES) for part in parts)


HONEST: Dataset = replace(watch.DATASET, task=replace(watch.DATASET.task, epochs=EPOCHS))
"""The watch data, trained for less long."""

FLIPPED: Dataset = replace(HONEST, partition=_flipped)
"""The same with every training label rotated by one; the test data are true."""


def name_of(attribute: str) -> str:
    """Return how devices find a data set of this module."""
    return f"{__name__}:{attribute}"


class Devices:
    """The program of all devices, some of which lie; called as Flower calls a ``ClientApp``.

    What an honest device sends is a pure function of its data and of the message, so what was trained once for the
    same message is not trained again: federations under different attacks are the same as long as nothing of the
    attack gets through.
    """

    def __init__(self) -> None:
        """Begin with honest devices."""
        self._attack = Attack("none")
        self._liars: frozenset[int] = frozenset()
        self._kept: OrderedDict[tuple[object, ...], RecordDict] = OrderedDict()

    def turn(self, attack: Attack, liars: frozenset[int]) -> None:
        """Choose who lies from now on, by the index of the data, and how."""
        self._attack, self._liars = attack, liars

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a station."""
        lies = int(context.node_config["partition-id"]) in self._liars
        if message.metadata.message_type == MessageType.EVALUATE:
            # The twin serves the honest: liars have no say in how good it is, not even by their true data.
            return _abstained(message) if lies else app(message, context)
        data = name_of("FLIPPED") if lies and self._attack.flipped else str(context.node_config["dataset"])
        reply = self._trained(message, replace(context, node_config={**context.node_config, "dataset": data}))
        return _scaled(message, context, reply, self._attack) if lies and self._attack.factor != 1.0 else reply

    def _trained(self, message: Message, context: Context) -> Message:
        config = message.content.config_records["config"]  # its base digest stands for the arrays
        key = (context.node_config["dataset"], context.node_config["partition-id"], *sorted(config.items()))
        if key not in self._kept:
            reply = app(message, context)
            self._kept[key] = reply.content
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return Message(fork(self._kept[key]), reply_to=message)


@contextmanager
def running(devices: Devices) -> Iterator[None]:
    """Let the devices of the stations that are made meanwhile run this program instead of ours."""
    ours = station_trainer.app
    station_trainer.app = devices  # type: ignore[assignment, attr-defined]
    try:
        yield
    finally:
        station_trainer.app = ours  # type: ignore[attr-defined]


def _abstained(message: Message) -> Message:
    metrics = MetricRecord({"num-examples": 0, "correct": 0, "loss": 0.0})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _scaled(message: Message, context: Context, honest: Message, attack: Attack) -> Message:
    """Return the reply with the update multiplied, signed by the device itself."""
    content = honest.content
    base = from_record(message.content.array_records["arrays"])
    model = attack.scaled(from_record(content.array_records["arrays"]), base)
    metrics = {name: value for name, value in content.metric_records["metrics"].items() if name != "num-examples"}
    examples = int(content.metric_records["metrics"]["num-examples"])  # type: ignore[arg-type]
    config = RoundConfig.from_record(message.content.config_records["config"])
    digest = sha256_digest(DeviceUpdate.encode_payload(model, metrics))  # type: ignore[arg-type]
    statement = Contribution(config.twin, config.round, config.station, config.base, digest, examples)
    content["arrays"] = to_record(model)
    signature = statement.sign(config.domain, read_key(Path(str(context.node_config["key-file"]))))
    content.config_records["contribution"].update(digest=digest, signature=signature)
    return Message(content, reply_to=message)
