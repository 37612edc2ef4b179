"""Updates: what a device sends to its station, and what a station makes of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

from twins import canonical
from twins.aggregation import Rule
from twins.canonical import Json
from twins.contribution import LEAF_TYPES, contribution_leaf
from twins.errors import BundleError, FormatError
from twins.merkle import StandardMerkleTree
from twins.model import TwinModel
from twins.types import Address, Digest, parse_address, sha256_digest

_MAGIC = b"TLBUNDL1"


@dataclass(frozen=True)
class DeviceUpdate:
    """One device's update, as it was signed.

    Attributes:
        device: the device's account.
        examples: training examples behind it.
        payload: safetensors of the trained weights, with the training metrics as their note.
        signature: 65 bytes over the `Contribution` that names this payload's digest.
    """

    device: Address
    examples: int
    payload: bytes
    signature: bytes

    @staticmethod
    def encode_payload(model: TwinModel, metrics: Mapping[str, float]) -> bytes:
        """Serialise weights and metrics, so that the device's signature covers both.

        Raises:
            FormatError: a metric that is not finite.
        """
        return model.to_bytes(note=canonical.encode(metrics).decode())

    @cached_property
    def digest(self) -> Digest:
        """SHA-256 of the payload."""
        return sha256_digest(self.payload)

    def model(self) -> TwinModel:
        """Read the weights.

        Raises:
            ModelFormatError: the payload is no model.
        """
        return TwinModel.from_bytes(self.payload)

    def metrics(self) -> dict[str, float]:
        """Read the metrics that the device reported.

        Raises:
            BundleError: the payload carries none.
        """
        try:
            (length,) = struct.unpack_from("<Q", self.payload)
            note = canonical.decode_any(self.payload[8 : 8 + length])["__metadata__"]["note"]
            metrics = canonical.decode(note.encode())
            if not all(type(value) in (int, float) for value in metrics.values()):
                raise TypeError(f"expected numbers, got {metrics}")  # float("nan") would read a text as NaN
            # Canonical JSON writes 1.0 as 1: read all as float again.
            return {name: float(value) for name, value in metrics.items()}
        except (
            FormatError,
            struct.error,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise BundleError(f"update of device {self.device}: no metrics in its payload: {error}") from error


@dataclass(frozen=True)
class StationUpdate:
    """What one station made of its devices' updates in one round.

    Attributes:
        station: its account.
        round: for which round.
        base: manifest digest of the model that was trained on.
        model: the tier-1 aggregate.
        updates: the devices' updates behind it, strictly ascending by `device_order`.
        rule: how they were aggregated.
        examples: sum over the updates.
        metrics: what the station measured (it may lie; the audit says what it can recompute).
        engine: what computed it: versions, threads, seed.
    """

    station: Address
    round: int
    base: Digest
    model: TwinModel
    updates: tuple[DeviceUpdate, ...]
    rule: Rule
    examples: int
    metrics: Mapping[str, Json]
    engine: Mapping[str, Json]


@dataclass(frozen=True)
class RecordedRound:
    """What the record holds of one station in one round: enough to aggregate again."""

    round: int
    base: TwinModel
    updates: tuple[DeviceUpdate, ...]
    rule: Rule


class History(Protocol):
    """A station's recorded rounds, oldest first."""

    @property
    def rounds(self) -> tuple[int, ...]:
        """Their numbers, at no cost."""

    def load(self) -> Iterator[RecordedRound]:
        """Fetch them."""


class Tier1Replay(Protocol):
    """Aggregates a station's recorded updates again.

    Called in round order for each station, because some rules carry state from round to round.
    """

    def __call__(
        self, *, station: Address, round: int, rule: Rule, base: TwinModel, updates: Sequence[DeviceUpdate]
    ) -> TwinModel:
        """Return the model that ``rule`` makes of ``updates``."""


def device_order(address: Address) -> str:
    """Sort key of devices and stations: their address as a number."""
    return address.lower()


def contributions_tree(updates: Sequence[DeviceUpdate]) -> StandardMerkleTree:
    """Return the tree whose root stands on the chain for all of a station's devices."""
    return StandardMerkleTree.of(
        LEAF_TYPES, (contribution_leaf(u.device, u.digest, u.examples, u.signature) for u in updates)
    )


def roster_tree(devices: Sequence[Address]) -> StandardMerkleTree:
    """Return the tree over a station's devices, as `TwinRegistry.setRoster` takes its root."""
    return StandardMerkleTree.of(("address",), ((device,) for device in devices))


def encode_bundle(updates: Sequence[DeviceUpdate]) -> bytes:
    """Pack all device updates of one station and round into one artifact.

    Layout: ``TLBUNDL1``, 4-byte big-endian length of the index, the index in canonical JSON (device, examples,
    signature, size per update), then the payloads in the index's order.

    Raises:
        BundleError: not strictly ascending by device (unsorted, or a device twice).
    """
    _require_ascending([update.device for update in updates])
    index = canonical.encode(
        [
            {
                "device": u.device,
                "examples": u.examples,
                "signature": "0x" + u.signature.hex(),
                "size": len(u.payload),
            }
            for u in updates
        ]
    )
    return b"".join([_MAGIC, len(index).to_bytes(4, "big"), index, *(u.payload for u in updates)])


def decode_bundle(data: bytes) -> tuple[DeviceUpdate, ...]:
    """Unpack a bundle; signatures and digests are the caller's to check.

    Law: ``encode_bundle(decode_bundle(b)) == b`` for every ``b`` that this accepts.

    Raises:
        BundleError: another layout, unsorted, a device twice, or bytes left over.
    """
    if data[:8] != _MAGIC:
        raise BundleError(f"not a bundle: expected it to begin with {_MAGIC!r}, got {data[:8]!r}")
    start = 12 + int.from_bytes(data[8:12], "big")
    updates = []
    try:
        for entry in canonical.decode(data[12:start]):
            if set(entry) != {"device", "examples", "signature", "size"} or type(entry["size"]) is not int:
                raise BundleError(f"not an entry of a bundle's index: {entry}")
            size = entry["size"]
            if type(entry["examples"]) is not int or entry["examples"] < 0:
                raise BundleError(f"expected a whole number of examples from 0, got {entry['examples']!r}")
            if size < 0 or start + size > len(data):
                raise BundleError(f"bundle is cut short: entry {entry} ends beyond {len(data)} bytes")
            signature = bytes.fromhex(entry["signature"].removeprefix("0x"))
            device = parse_address(entry["device"])
            updates.append(DeviceUpdate(device, entry["examples"], data[start : start + size], signature))
            start += size
    except BundleError:
        raise
    except (FormatError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"not a bundle: {error}") from error
    if start != len(data):
        raise BundleError(f"bundle has {len(data) - start} bytes too many")
    _require_ascending([update.device for update in updates])
    if encode_bundle(updates) != data:
        raise BundleError("bundle is not in canonical form")
    return tuple(updates)


def _require_ascending(devices: Sequence[Address]) -> None:
    # A device twice would count twice in the mean.
    for earlier, later in pairwise(devices):
        if device_order(earlier) >= device_order(later):
            raise BundleError(f"expected devices strictly ascending by address, got {earlier} before {later}")
