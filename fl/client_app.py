"""The device: a Flower ``ClientApp`` that trains on its private data and signs what it sends.

The same app runs in the in-process grid, in Flower's simulation and as a SuperNode: it knows its data and its key
only through ``context.node_config``, and the round only through the message.

Node configuration: ``dataset``, ``split``, ``partition-id``, ``num-partitions``, ``key-file``, and ``receipts`` if the
device is to keep its station's receipts in that folder.
Message configuration (``config``): see `RoundConfig`, and `fl.receipts` for what may come with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import fixedclipping_mod
from flwr.clientapp.typing import ClientAppCallable
from torch import nn

from fl._flower_private import KEY_CLIPPING_NORM
from fl.arrays import from_record, to_record
from fl.datasets import Partition, Task, get
from fl.keys import read_key
from fl.receipts import keep_receipt
from fl.training import Examples, device_seed, evaluate, load_model, to_model, train
from twins.contribution import Contribution, SigningDomain, address_of_key
from twins.types import Address, Digest, TwinId, sha256_digest
from twins.updates import DeviceUpdate

app = ClientApp()

TRAIN_LOSS = "train_loss"
"""The metric that every update carries; QFedAvg weighs by it."""


@dataclass(frozen=True)
class RoundConfig:
    """What a station tells its devices of a round.

    Attributes:
        round: of the twin.
        seed: of the run.
        twin: whose model.
        station: who asks.
        base: manifest digest of the model that comes with this.
        domain: under which to sign.
    """

    round: int
    seed: int
    twin: TwinId
    station: Address
    base: Digest
    domain: SigningDomain

    def to_record(self) -> ConfigRecord:
        """Return it as Flower sends it."""
        return ConfigRecord(
            {
                "server-round": self.round,
                "seed": self.seed,
                "twin": self.twin,
                "station": self.station,
                "base": self.base,
                "chain-id": self.domain.chain_id,
                "contract": self.domain.contract,
            }
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RoundConfig:
        """Read what Flower brought."""
        return cls(
            record["server-round"],
            record["seed"],
            record["twin"],
            record["station"],
            record["base"],
            SigningDomain(record["chain-id"], record["contract"]),
        )


@dataclass(frozen=True)
class _Device:
    """What stays in the process from message to message; the key doesn't."""

    index: int
    task: Task
    network: nn.Module
    training: Examples
    testing: Examples


def sign_what_is_sent(message: Message, context: Context, train: ClientAppCallable) -> Message:
    """Sign the update as it leaves the device, whatever else has changed it after the training; a mod of Flower's."""
    received = message.content.config_records["config"]
    config = RoundConfig.from_record(received)
    key = read_key(Path(str(context.node_config["key-file"])))
    folder = context.node_config.get("receipts")
    if folder is not None:  # first: it is about an earlier round, whatever becomes of this one
        keep_receipt(received, Path(str(folder)), address_of_key(key), config.domain)
    reply = train(message, context)
    if reply.has_error():
        return reply
    metrics = dict(reply.content.metric_records["metrics"])
    examples = metrics.pop("num-examples")
    payload = DeviceUpdate.encode_payload(from_record(reply.content.array_records["arrays"]), metrics)  # type: ignore[arg-type]
    contribution = Contribution(
        config.twin,
        config.round,
        config.station,
        config.base,
        sha256_digest(payload),
        int(examples),  # type: ignore[arg-type]
    )
    reply.content["contribution"] = ConfigRecord(
        {
            "device": address_of_key(key),
            # Said beside the signature, so that a station can tell a wrong base from a wrong signature.
            "round": config.round,
            "base": config.base,
            "digest": contribution.digest,
            "signature": contribution.sign(config.domain, key),
        }
    )
    return reply


def clip_if_told(message: Message, context: Context, train: ClientAppCallable) -> Message:
    """Clip the update to the norm that the station names, if it does, before it is signed; a mod of Flower's."""
    if KEY_CLIPPING_NORM in message.content.config_records["config"]:
        return fixedclipping_mod(message, context, train)
    return train(message, context)


@app.train(mods=[sign_what_is_sent, clip_if_told])
def train_on_device(message: Message, context: Context) -> Message:
    """Train from the base."""
    device = _device(context)
    config = message.content.config_records["config"]
    round_config = RoundConfig.from_record(config)
    load_model(device.network, from_record(message.content.array_records["arrays"]))
    loss = train(
        device.network,
        device.task,
        device.training,
        seed=device_seed(round_config.seed, round_config.round, device.index),
        proximal_mu=float(config.get("proximal-mu", 0.0)),  # type: ignore[arg-type]
    )
    model = to_model(device.network)
    # Training that diverged is said here, with the tensor: a station would only see a signature over nonsense.
    model.require_finite("the trained model")
    metrics = MetricRecord({"num-examples": len(device.training), TRAIN_LOSS: loss})
    return Message(RecordDict({"arrays": to_record(model), "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate_on_device(message: Message, context: Context) -> Message:
    """Test a model on the device's own test data."""
    device = _device(context)
    load_model(device.network, from_record(message.content.array_records["arrays"]))
    correct, loss = evaluate(device.network, device.testing)
    metrics = MetricRecord({"num-examples": len(device.testing), "correct": correct, "loss": loss})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _device(context: Context) -> _Device:
    config = context.node_config
    return _load_device(
        str(config["dataset"]),
        str(config["split"]),
        int(config["partition-id"]),
        int(config["num-partitions"]),
    )


@lru_cache(maxsize=1024)
def _load_device(dataset: str, split: str, index: int, count: int) -> _Device:
    found = get(dataset)
    part = _partitions(dataset, split, count)[index]
    return _Device(
        index=index,
        task=found.task,
        network=found.task.build(),
        training=Examples.of(part.train_x, part.train_y),
        testing=Examples.of(part.test_x, part.test_y),
    )


@lru_cache(maxsize=1)
def _partitions(dataset: str, split: str, count: int) -> tuple[Partition, ...]:
    """Spread the data once, not once per device that this process simulates."""
    return get(dataset).load(split, count)
