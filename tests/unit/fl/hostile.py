"""What a hostile device may send: replies changed after signing, and lies that it signed itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from fl.arrays import from_record, to_record
from fl.client_app import RoundConfig
from tests.unit.fl.world import account, digest_of, genesis, key
from twins.contribution import Contribution, SigningDomain
from twins.model import TwinModel
from twins.types import sha256_digest
from twins.updates import DeviceUpdate
from twins.updates import RejectionReason as Why

BAD = 1
"""The device that lies."""


def signed(
    request: Message,
    model: TwinModel,
    metrics: dict[str, object],
    examples: object = 12,
    *,
    by: str = f"device {BAD}",
    declare: Callable[[RoundConfig], RoundConfig] = lambda config: config,
    change: Callable[[RoundConfig], RoundConfig] = lambda config: config,
    record: ArrayRecord | None = None,
) -> RecordDict:
    """Return a reply that its device really signed: a hostile device has a key of its own."""
    told = RoundConfig.from_record(request.content.config_records["config"])
    config, declared = change(told), declare(told)
    payload = DeviceUpdate.encode_payload(model, metrics)  # type: ignore[arg-type]
    digest = sha256_digest(payload)
    statement = Contribution(config.twin, config.round, config.station, config.base, digest, int(examples))  # type: ignore[call-overload]
    return RecordDict(
        {
            "arrays": record or to_record(model),
            "metrics": MetricRecord({"num-examples": examples, **metrics}),  # type: ignore[dict-item]
            "contribution": ConfigRecord(
                {
                    "device": account(by),
                    "round": declared.round,
                    "base": declared.base,
                    "digest": digest,
                    "signature": statement.sign(config.domain, key(by)),
                }
            ),
        }
    )


def replied(request: Message, content: RecordDict) -> Message:
    return Message(content, reply_to=request)


LOSS: dict[str, object] = {"train_loss": 0.5}


def poisoned(value: float) -> TwinModel:
    tensors = {name: array.copy() for name, array in genesis().tensors.items()}
    tensors["2.bias"][1] = value
    return TwinModel(tensors)


def drop(name: str) -> Callable[[Message, Message], None]:
    def tamper(request: Message, reply: Message) -> None:
        del reply.content[name]

    return tamper


Tamper = Callable[[Message, Message], Message | None]


def bent(name: str, why: Why, change: Callable[[RecordDict], object]) -> tuple[str, Why, Tamper]:
    def tamper(request: Message, reply: Message) -> None:
        change(reply.content)

    return name, why, tamper


def set_weights(content: RecordDict, model: TwinModel) -> None:
    content["arrays"] = to_record(model)


def set_metric(content: RecordDict, name: str, value: object) -> None:
    content.metric_records["metrics"][name] = value  # type: ignore[assignment]


def declare(content: RecordDict, name: str, value: object) -> None:
    content.config_records["contribution"][name] = value  # type: ignore[assignment]


def nudge(content: RecordDict) -> None:
    tensors = {n: a.copy() for n, a in from_record(content.array_records["arrays"]).tensors.items()}
    tensors["0.bias"][0] = np.nextafter(tensors["0.bias"][0], np.float32(9))
    set_weights(content, TwinModel(tensors))


def garbage(content: RecordDict, data: bytes, stype: str = "numpy.ndarray") -> None:
    arrays = content.array_records["arrays"]
    old = arrays["0.bias"]
    arrays["0.bias"] = Array(dtype=old.dtype, shape=old.shape, stype=stype, data=data)


def bit_flipped(content: RecordDict) -> None:
    signature = bytearray(content.config_records["contribution"]["signature"])  # type: ignore[arg-type]
    signature[7] ^= 1
    content.config_records["contribution"]["signature"] = bytes(signature)


def malleated(content: RecordDict) -> None:
    """The other valid signature of the same statement (EIP-2)."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    old = bytes(content.config_records["contribution"]["signature"])  # type: ignore[arg-type]
    s = order - int.from_bytes(old[32:64], "big")
    new = old[:32] + s.to_bytes(32, "big") + bytes([55 - old[64]])
    content.config_records["contribution"]["signature"] = new


def shaped(shape: tuple[int, ...]) -> TwinModel:
    return TwinModel({**genesis().tensors, "2.bias": np.zeros(shape, np.float32)})


# After signing: a station, or whoever carries the message, that would change what the device said.
CHANGED: list[tuple[str, Why, Tamper]] = [
    bent("one weight by its last bit", Why.SIGNATURE, nudge),
    bent("all weights", Why.SIGNATURE, lambda content: set_weights(content, genesis(99))),
    bent("the loss", Why.SIGNATURE, lambda content: set_metric(content, "train_loss", 0.25)),
    bent("one more metric", Why.SIGNATURE, lambda content: set_metric(content, "bonus", 1.0)),
    bent("more examples than signed", Why.SIGNATURE, lambda content: set_metric(content, "num-examples", 10_000)),
    bent("fewer examples than signed", Why.SIGNATURE, lambda content: set_metric(content, "num-examples", 1)),
    bent("its examples set to none", Why.EXAMPLES, lambda content: set_metric(content, "num-examples", 0)),
    bent("a negative number of examples", Why.EXAMPLES, lambda content: set_metric(content, "num-examples", -12)),
    bent("a fraction of examples", Why.EXAMPLES, lambda content: set_metric(content, "num-examples", 12.0)),
    bent("a list of examples", Why.EXAMPLES, lambda content: set_metric(content, "num-examples", [12])),
    bent("the loss gone", Why.MALFORMED, lambda content: content.metric_records["metrics"].pop("train_loss")),
    bent("no number of examples", Why.MALFORMED, lambda content: content.metric_records["metrics"].pop("num-examples")),
    bent("a NaN loss", Why.MALFORMED, lambda content: set_metric(content, "train_loss", float("nan"))),
    bent("a bit of the signature", Why.SIGNATURE, bit_flipped),
    bent("the signature malleated", Why.SIGNATURE, malleated),
    bent("no signature", Why.MALFORMED, lambda content: content.config_records["contribution"].pop("signature")),
    bent("a short signature", Why.SIGNATURE, lambda c: c.config_records["contribution"].update(signature=b"\x1b" * 64)),
    bent(
        "a text as signature",
        Why.MALFORMED,
        lambda c: c.config_records["contribution"].update(signature="0x" + "1b" * 65),
    ),
    bent(
        "a list as signature",
        Why.MALFORMED,
        lambda c: c.config_records["contribution"].update(signature=[b"\x1b"] * 65),
    ),
    bent(
        "zeros as signature",
        Why.SIGNATURE,
        lambda c: c.config_records["contribution"].update(signature=bytes(64) + b"\x1b"),
    ),
    bent("an array that is no array", Why.MALFORMED, lambda content: garbage(content, b"garbage")),
    bent("an empty array", Why.MALFORMED, lambda content: garbage(content, b"")),
    bent("an array of another kind", Why.MALFORMED, lambda content: garbage(content, b"x", "pickle")),
    bent("an array too few", Why.SIGNATURE, lambda content: content.array_records["arrays"].pop("0.bias")),
    bent("no arrays", Why.MALFORMED, lambda content: content.array_records["arrays"].clear()),
    bent("another round declared", Why.BASE, lambda content: declare(content, "round", 9)),
    bent("another base declared", Why.BASE, lambda content: declare(content, "base", digest_of(genesis(98)))),
    bent("a round that is no number", Why.BASE, lambda content: declare(content, "round", "1")),
    bent("a list as base", Why.BASE, lambda content: declare(content, "base", ["0x" + "00" * 32] * 99)),
    bent("no round declared", Why.MALFORMED, lambda c: c.config_records["contribution"].pop("round")),
    bent("no base declared", Why.MALFORMED, lambda c: c.config_records["contribution"].pop("base")),
    ("no record of arrays", Why.MALFORMED, drop("arrays")),
    ("no record of metrics", Why.MALFORMED, drop("metrics")),
    ("no record of the contribution", Why.MALFORMED, drop("contribution")),
]

# Signed by the device itself, which may sign what it likes.
SIGNED: list[tuple[str, Why, Tamper]] = [
    ("NaN", Why.NON_FINITE, lambda q, r: replied(q, signed(q, poisoned(float("nan")), LOSS))),
    ("infinity", Why.NON_FINITE, lambda q, r: replied(q, signed(q, poisoned(float("-inf")), LOSS))),
    ("another shape", Why.SCHEMA, lambda q, r: replied(q, signed(q, shaped((4,)), LOSS))),
    ("a shape that would broadcast", Why.SCHEMA, lambda q, r: replied(q, signed(q, shaped((1,)), LOSS))),
    (
        "one tensor too many",
        Why.SCHEMA,
        lambda q, r: replied(q, signed(q, TwinModel({**genesis().tensors, "x": np.ones(1, "f4")}), LOSS)),
    ),
    ("no loss", Why.MALFORMED, lambda q, r: replied(q, signed(q, genesis(99), {}))),
    ("no examples", Why.EXAMPLES, lambda q, r: replied(q, signed(q, genesis(99), LOSS, 0))),
    ("more examples than JSON can count", Why.EXAMPLES, lambda q, r: replied(q, signed(q, genesis(99), LOSS, 2**60))),
    ("more examples than the chain can count", Why.EXAMPLES, lambda q, r: replied(q, _huge(q))),
    ("a list as loss", Why.MALFORMED, lambda q, r: replied(q, signed(q, genesis(99), {"train_loss": [0.5]}))),
    ("another device's key", Why.SIGNATURE, lambda q, r: replied(q, signed(q, genesis(99), LOSS, by="device 0"))),
    ("a key that nobody enrolled", Why.SIGNATURE, lambda q, r: replied(q, signed(q, genesis(99), LOSS, by="stranger"))),
    ("an older round", Why.SIGNATURE, lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_older))),
    ("another twin", Why.SIGNATURE, lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_twin))),
    ("another station", Why.SIGNATURE, lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_station))),
    ("another base", Why.SIGNATURE, lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_base))),
    ("another chain", Why.SIGNATURE, lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_chain))),
    ("an older round, and says so", Why.BASE, lambda q, r: replied(q, _said(q, _older))),
    ("another base, and says so", Why.BASE, lambda q, r: replied(q, _said(q, _other_base))),
    ("another contract", Why.SIGNATURE, lambda q, r: replied(q, signed(q, genesis(99), LOSS, change=_other_contract))),
]


def _said(request: Message, change: Callable[[RoundConfig], RoundConfig]) -> RecordDict:
    return signed(request, genesis(99), LOSS, change=change, declare=change)


def _huge(request: Message) -> RecordDict:
    content = signed(request, genesis(99), LOSS)
    set_metric(content, "num-examples", 2**70)
    return content


def _older(config: RoundConfig) -> RoundConfig:
    return replace(config, round=config.round - 1)


def _other_twin(config: RoundConfig) -> RoundConfig:
    return replace(config, twin=digest_of(genesis(98)))


def _other_station(config: RoundConfig) -> RoundConfig:
    return replace(config, station=account("station 1"))


def _other_base(config: RoundConfig) -> RoundConfig:
    return replace(config, base=digest_of(genesis(98)))


def _other_chain(config: RoundConfig) -> RoundConfig:
    return replace(config, domain=SigningDomain(1, config.domain.contract))


def _other_contract(config: RoundConfig) -> RoundConfig:
    return replace(config, domain=SigningDomain(config.domain.chain_id, account("contract")))
