"""The device: a Flower ``ClientApp`` that trains on its private data and signs what it sends.

The same app runs in the in-process grid, in Flower's simulation and as a SuperNode: it knows its data and its key
only through ``context.node_config``, and the round only through the message.

Node configuration: ``dataset``, ``partition-id``, ``key-file``, and either ``data-file``, in which the device's own
examples are (`fl.data_files`), or ``split`` and ``num-partitions``, by which it takes them from the data set; and
``receipts`` if the device is to keep its station's receipts in that folder. In Flower's simulation a node has only
``partition-id`` and ``num-partitions``; the rest is the run's, and its key is one that anybody can derive.
Message configuration (``config``): see `RoundConfig`, and `fl.receipts` for what may come with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import fixedclipping_mod
from flwr.clientapp.typing import ClientAppCallable

from fl._flower_private import KEY_CLIPPING_NORM, record_with, reply_with
from fl.arrays import from_record, record_named, to_record
from fl.devices import described, device_of
from fl.engines import Trained, prepared_test, prepared_training, training_of
from fl.keys import public_key_material, read_key
from fl.packing import unpack_what_comes
from fl.receipts import keep_receipt
from fl.training import evaluate, load_model, to_model, train
from twins.contribution import Contribution, SigningDomain, address_of_key
from twins.types import Address, Digest, TwinId
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


def sign_what_is_sent(message: Message, context: Context, train: ClientAppCallable) -> Message:
    """Sign the update as it leaves the device, whatever else has changed it after the training; a mod of Flower's."""
    received = record_named(message.content, "config", ConfigRecord)
    config = RoundConfig.from_record(received)
    key = _key(context)
    folder = context.node_config.get("receipts")
    if folder is not None:  # first: it is about an earlier round, whatever becomes of this one
        keep_receipt(received, str(folder), address_of_key(key), config.domain)
    reply = train(message, context)
    if reply.has_error():
        return reply
    metrics = dict(record_named(reply.content, "metrics", MetricRecord))
    examples = metrics.pop("num-examples")
    model = from_record(record_named(reply.content, "arrays", ArrayRecord))
    digest = model.digest(DeviceUpdate.note(metrics))  # type: ignore[arg-type]
    contribution = Contribution(config.twin, config.round, config.station, config.base, digest, int(examples))  # type: ignore[arg-type]
    reply.content["contribution"] = record_with(
        ConfigRecord,
        {
            "device": address_of_key(key),
            # Said beside the signature, so that a station can tell a wrong base from a wrong signature.
            "round": config.round,
            "base": config.base,
            "digest": contribution.digest,
            "signature": contribution.sign(config.domain, key),
        },
    )
    return reply


def clip_if_told(message: Message, context: Context, train: ClientAppCallable) -> Message:
    """Clip the update to the norm that the station names, if it does, before it is signed; a mod of Flower's."""
    if KEY_CLIPPING_NORM in record_named(message.content, "config", ConfigRecord):
        return fixedclipping_mod(message, context, train)
    return train(message, context)


def _key(context: Context) -> bytes:
    """Return the device's key; a simulation's device has a public one, whose signatures no station's roster takes."""
    file = context.node_config.get("key-file")
    if file is not None:
        return read_key(str(file))
    described_as = described(context.node_config, context.run_config)
    return public_key_material(int(str(described_as["seed"])), int(str(described_as["partition-id"])))


@app.query()
def tell_number(message: Message, context: Context) -> Message:
    """Say which part of the data set this device has: a simulation's server doesn't know its nodes otherwise."""
    number = ConfigRecord({"partition-id": int(str(context.node_config["partition-id"]))})
    return Message(RecordDict({"config": number}), reply_to=message)


@app.train(mods=[unpack_what_comes, sign_what_is_sent, clip_if_told])
def train_on_device(message: Message, context: Context) -> Message:
    """Train from the base."""
    device = device_of(described(context.node_config, context.run_config))
    base = from_record(record_named(message.content, "arrays", ArrayRecord))
    seed, proximal_mu = training_of(message, device)
    trained = prepared_training(device.index, seed, proximal_mu, base)
    if trained is None:
        load_model(device.network, base)
        loss = train(device.network, device.task, device.training, seed=seed, proximal_mu=proximal_mu)
        trained = Trained(to_model(device.network), loss)
    # Training that diverged is said here, with the tensor: a station would only see a signature over nonsense.
    trained.model.require_finite("the trained model")
    metrics = record_with(MetricRecord, {"num-examples": len(device.training), TRAIN_LOSS: trained.loss})
    return reply_with(record_with(RecordDict, {"arrays": to_record(trained.model), "metrics": metrics}), message)


@app.evaluate(mods=[unpack_what_comes])
def evaluate_on_device(message: Message, context: Context) -> Message:
    """Test a model on the device's own test data."""
    device = device_of(described(context.node_config, context.run_config))
    model = from_record(record_named(message.content, "arrays", ArrayRecord))
    tested = prepared_test(device.index, model)
    if tested is None:
        load_model(device.network, model)
        tested = evaluate(device.network, device.testing)
    correct, loss = tested
    metrics = record_with(MetricRecord, {"num-examples": len(device.testing), "correct": correct, "loss": loss})
    return reply_with(record_with(RecordDict, {"metrics": metrics}), message)
