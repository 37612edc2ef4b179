"""Solidity's ABI, both ways, without contract objects.

Selector plus ``eth_abi`` is some 25 times faster than building calldata through a contract object, and the
committed ABIs (``chain/abi``) are all it needs. On the Python side digests and twin ids are canonical
strings, addresses carry their checksum, bytes are bytes, arrays are sequences (in) and tuples (out), structs are
dataclasses (in) and tuples (out).

Source: Solidity, "Contract ABI Specification".
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_abi.exceptions import EncodingError as AbiEncodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain.errors import REVERTS, ContractRevertError, EncodingError, UnknownRevertError
from twins import canonical
from twins.types import Digest, digest_bytes, digest_of_bytes, sha256_digest

ABI_DIRECTORY = Path(__file__).parent / "abi"

CONTRACTS = ("TwinRegistry", "RoundLedger", "PDPVerifier", "SyncAudit")
"""The contracts whose ABIs are committed."""

Converter = Callable[[Any], Any]


def snake_case(name: str) -> str:
    """Spell Solidity's ``camelCase`` as Python does; ``from``, a word of Python's, is ``from_``."""
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)
    return "from_" if snake == "from" else snake


def canonical_type(item: Mapping[str, Any]) -> str:
    """Return the type of an ABI input or output with its tuples spelled out."""
    kind = str(item["type"])
    if kind.startswith("tuple"):
        return "(" + ",".join(canonical_type(part) for part in item["components"]) + ")" + kind[len("tuple") :]
    return kind


def _arguments(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    parts: Sequence[Mapping[str, Any]] = item["components"]
    return parts


def _element(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an array holds: ``tuple`` of ``tuple[]``."""
    return {**item, "type": str(item["type"]).rpartition("[")[0]}


def _to_solidity(item: Mapping[str, Any]) -> Converter:
    kind = str(item["type"])
    if kind.endswith("]"):
        element = _to_solidity(_element(item))
        return lambda values: [element(value) for value in values]
    if kind == "bytes32":
        return lambda value: digest_bytes(Digest(value)) if isinstance(value, str) else value
    if kind == "tuple":
        parts = [(snake_case(part["name"]), _to_solidity(part)) for part in _arguments(item)]

        def convert(value: Any) -> tuple[Any, ...]:
            if dataclasses.is_dataclass(value):
                return tuple(to(getattr(value, name)) for name, to in parts)
            return tuple(to(part) for (_, to), part in zip(parts, value, strict=True))

        return convert
    return lambda value: value


def _to_python(item: Mapping[str, Any]) -> Converter:
    kind = str(item["type"])
    if kind.endswith("]"):
        element = _to_python(_element(item))
        return lambda values: tuple(element(value) for value in values)
    if kind == "bytes32":
        return digest_of_bytes
    if kind == "address":
        return to_checksum_address
    if kind == "tuple":
        parts = [_to_python(part) for part in _arguments(item)]
        return lambda value: tuple(to(part) for to, part in zip(parts, value, strict=True))
    return lambda value: value


@dataclass(frozen=True)
class Tuple:
    """A sequence of ABI values: a function's inputs or outputs, or an event's data.

    Attributes:
        items: as the ABI JSON has them.
    """

    items: tuple[Mapping[str, Any], ...]

    @cached_property
    def types(self) -> tuple[str, ...]:
        """Canonical types."""
        return tuple(canonical_type(item) for item in self.items)

    @cached_property
    def _encoders(self) -> tuple[Converter, ...]:
        return tuple(_to_solidity(item) for item in self.items)

    @cached_property
    def _decoders(self) -> tuple[Converter, ...]:
        return tuple(_to_python(item) for item in self.items)

    def encode(self, values: Sequence[object], what: str) -> bytes:
        """Encode values.

        Raises:
            EncodingError: a value doesn't fit its type, e.g. a round number of more than 32 bits.
            FormatError: a string that is no digest.
        """
        if len(values) != len(self.items):
            raise EncodingError(f"{what}: expected {len(self.items)} arguments, got {len(values)}")
        converted = [convert(value) for convert, value in zip(self._encoders, values, strict=True)]
        try:
            return abi_encode(self.types, converted)
        except AbiEncodingError as error:
            raise EncodingError(f"{what}({', '.join(self.types)}): {error}") from error

    def decode(self, data: bytes, what: str, *, strict: bool = True) -> tuple[Any, ...]:
        """Decode bytes: ``decode(encode(values)) == values``.

        Args:
            data: all of them.
            what: named in errors.
            strict: False for what strangers have encoded and a contract has accepted: contracts don't look at the
                padding behind bytes.

        Raises:
            EncodingError: the bytes aren't of these types.
        """
        try:
            values = abi_decode(self.types, data, strict=strict)
        except (DecodingError, OverflowError) as error:
            raise EncodingError(
                f"{what}: expected {', '.join(self.types) or 'nothing'}, got {len(data)} bytes that aren't "
                f"that: {error}"
            ) from error
        return tuple(convert(value) for convert, value in zip(self._decoders, values, strict=True))


@dataclass(frozen=True)
class Function:
    """One function of a contract.

    Attributes:
        name: Solidity's.
        inputs: its arguments.
        outputs: what it returns.
    """

    name: str
    inputs: Tuple
    outputs: Tuple

    @cached_property
    def selector(self) -> bytes:
        """First 4 bytes of the signature's keccak-256."""
        return keccak(text=f"{self.name}({','.join(self.inputs.types)})")[:4]

    def encode(self, *values: object) -> bytes:
        """Return calldata."""
        return self.selector + self.inputs.encode(values, self.name)

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """Decode what a call returned."""
        return self.outputs.decode(data, self.name)


@dataclass(frozen=True)
class EventAbi:
    """One event of a contract.

    Attributes:
        name: Solidity's.
        names: of all arguments in their order, in snake case.
        indexed: which are topics.
        topics: types of those.
        data: the others.
    """

    name: str
    names: tuple[str, ...]
    indexed: tuple[bool, ...]
    topics: Tuple
    data: Tuple
    topic: bytes

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """Decode a log into its arguments by name.

        Raises:
            EncodingError: the log isn't of this event.
        """
        if len(topics) != 1 + len(self.topics.items) or topics[0] != self.topic:
            raise EncodingError(f"event {self.name}: expected its {len(self.topics.items)} topics, got another log")
        # Topics of value types are 32-byte words, exactly as in data.
        fixed = iter(self.topics.decode(b"".join(topics[1:]), self.name))
        others = iter(self.data.decode(data, self.name))
        return {
            name: next(fixed if indexed else others) for name, indexed in zip(self.names, self.indexed, strict=True)
        }


@dataclass(frozen=True)
class Interface:
    """The ABI of one contract.

    Attributes:
        name: of the contract.
        abi: as the compiler wrote it.
        functions: by name (the contracts overload none).
        events: by name.
        constructor: its arguments.
    """

    name: str
    abi: tuple[Mapping[str, Any], ...]
    functions: Mapping[str, Function]
    events: Mapping[str, EventAbi]
    constructor: Tuple

    @classmethod
    def of(cls, name: str, abi: Sequence[Mapping[str, Any]]) -> Interface:
        """Index an ABI."""
        constructor = next((tuple(item["inputs"]) for item in abi if item["type"] == "constructor"), ())
        return cls(
            name=name,
            abi=tuple(abi),
            functions={
                item["name"]: Function(item["name"], Tuple(tuple(item["inputs"])), Tuple(tuple(item["outputs"])))
                for item in abi
                if item["type"] == "function"
            },
            events={item["name"]: _event(item) for item in abi if item["type"] == "event"},
            constructor=Tuple(constructor),
        )

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 of the ABI as canonical JSON: two deployments with the same one speak the same language."""
        return sha256_digest(canonical.encode(list(self.abi)))


def _event(item: Mapping[str, Any]) -> EventAbi:
    inputs = tuple(item["inputs"])
    signature = f"{item['name']}({','.join(canonical_type(part) for part in inputs)})"
    return EventAbi(
        name=item["name"],
        names=tuple(snake_case(part["name"]) for part in inputs),
        indexed=tuple(part["indexed"] for part in inputs),
        topics=Tuple(tuple(part for part in inputs if part["indexed"])),
        data=Tuple(tuple(part for part in inputs if not part["indexed"])),
        topic=keccak(text=signature),
    )


@lru_cache
def interface(name: str) -> Interface:
    """Return the committed ABI of a contract (one of `CONTRACTS`)."""
    return Interface.of(name, json.loads((ABI_DIRECTORY / f"{name}.json").read_text(encoding="utf-8")))


def decode_revert(data: bytes) -> ContractRevertError:
    """Turn revert data into the exception of its custom error (EIP-838's selectors)."""
    kind = REVERTS.get(data[:4])
    if kind is None:
        return UnknownRevertError(data)
    items = Tuple(tuple({"type": name} for name in kind.types))
    try:
        return kind(*items.decode(data[4:], kind.__name__))
    except (EncodingError, ValueError):
        # The same four bytes with other arguments, text that isn't UTF-8, a status of a later version: not ours.
        return UnknownRevertError(data)
