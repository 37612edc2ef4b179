"""Which node a device connects with: the device's own statement about its node's authentication key.

A node authenticates itself to its station with a key of its own, which is no key of the chain. The device signs for
that key with the key that its roster knows it by, so that a station can't put another's node in a device's place; and
the station names all statements on the chain, so that nobody else can let a node in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from eth_utils.crypto import keccak

from twins import canonical
from twins.canonical import Json
from twins.contribution import SigningDomain, Statement
from twins.errors import FormatError, ManifestError, SignatureError
from twins.manifest import ArtifactRef, Manifest
from twins.types import Address, Digest, digest_bytes, parse_address, parse_digest
from twins.updates import device_order


@dataclass(frozen=True)
class NodeKey(Statement):
    """A device's statement that its node connects to a station with a key.

    Attributes:
        station: the only one that it is for.
        key: SHA-256 of the node's public key (DER SubjectPublicKeyInfo, RFC 5280, section 4.1).
    """

    TYPE = keccak(text="NodeKey(address station,bytes32 key)")
    station: Address
    key: Digest

    def _fields(self) -> tuple[tuple[str, object], ...]:
        return (("address", self.station), ("bytes32", digest_bytes(self.key)))


@dataclass(frozen=True)
class Node:
    """A device's node.

    Attributes:
        device: its account.
        key: as `NodeKey.key`.
        signature: the device's, of the `NodeKey`.
    """

    device: Address
    key: Digest
    signature: bytes

    @classmethod
    def signed(cls, device: Address, key: Digest, station: Address, domain: SigningDomain, private_key: bytes) -> Node:
        """Let a device sign for its node."""
        return cls(device, key, NodeKey(station, key).sign(domain, private_key))

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values."""
        return {"device": self.device, "key": self.key, "signature": "0x" + self.signature.hex()}

    @classmethod
    def from_json(cls, body: Json) -> Node:
        """Read what `to_json` gave.

        Raises:
            FormatError: it isn't that.
        """
        if not isinstance(body, dict) or set(body) != {"device", "key", "signature"}:
            raise FormatError(f"node: expected device, key and signature, got {body!r}"[:200])
        signature = body["signature"]
        if not isinstance(signature, str) or len(signature) != 132 or signature[:2] != "0x":
            raise FormatError(f"node: expected a signature of 65 bytes, got {signature!r}"[:200])
        try:
            raw = bytes.fromhex(signature[2:])
        except ValueError as error:
            raise FormatError(f"node: expected a signature in hex, got {signature!r}") from error
        return cls(parse_address(body["device"]), parse_digest(body["key"]), raw)


@dataclass(frozen=True)
class NodesManifest(Manifest):
    """Which nodes a station's devices connect with: what stands behind `TwinRegistry.setNodes`.

    Attributes:
        station: whose.
        devices: how many.
        nodes: the devices' statements (`encode_nodes`).
    """

    KIND = "nodes"
    station: Address
    devices: int
    nodes: ArtifactRef


def encode_nodes(nodes: Sequence[Node]) -> bytes:
    """Return canonical JSON: a list, strictly ascending by device."""
    return canonical.encode([node.to_json() for node in nodes])


def decode_nodes(data: bytes) -> tuple[Node, ...]:
    """Read what `encode_nodes` wrote.

    Raises:
        ManifestError: it isn't that.
    """
    try:
        body = canonical.decode(data)
        if not isinstance(body, list):
            raise FormatError(f"expected a list of nodes, got {type(body).__name__}")
        return tuple(Node.from_json(entry) for entry in body)
    except FormatError as error:
        raise ManifestError(f"nodes: {error}") from error


def require_valid(nodes: Sequence[Node], station: Address, domain: SigningDomain) -> None:
    """Check every statement, and that none stands there twice.

    Raises:
        ManifestError: devices that aren't strictly ascending, or a key of two devices.
        SignatureError: a statement that its device hasn't signed for this station and ledger.
    """
    for earlier, later in pairwise(nodes):
        if device_order(earlier.device) >= device_order(later.device):
            raise ManifestError(
                f"nodes: expected devices strictly ascending, got {later.device} after {earlier.device}"
            )
    owners: dict[Digest, Address] = {}
    for node in nodes:
        # Stops one node from answering for two devices.
        if node.key in owners:
            raise ManifestError(
                f"node of device {node.device}: expected a key of its own, got that of device {owners[node.key]}"
            )
        owners[node.key] = node.device
        # Stops a node of another's in a device's place, and the replay of a statement for another station or chain.
        signer = NodeKey(station, node.key).signer(domain, node.signature)
        if signer != node.device:
            raise SignatureError(
                f"node of device {node.device}: expected its signature for station {station}, got one of {signer}"
            )
