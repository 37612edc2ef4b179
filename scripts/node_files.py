"""Devices as their station knows them: one small file for each, which the device's owner hands over.

It holds the device's account, its node's public key and its signature for that key (`twins.nodes`), and no secret.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
    load_ssh_private_key,
)

from fl.keys import read_key
from scripts.cli import BadInputError
from scripts.home import create_private, write_atomically
from twins.contribution import SigningDomain, address_of_key
from twins.errors import TwinsError
from twins.nodes import Node
from twins.types import Address, Digest, sha256_digest


@dataclass(frozen=True)
class NodeFile:
    """One device of a station.

    Attributes:
        index: of its data, and of the seeds that it trains with.
        node: its account, and its statement for its node's key.
        public_key: of the node, PEM, as Flower has it.
    """

    index: int
    node: Node
    public_key: str

    def save(self, folder: Path) -> Path:
        """Write ``device-NNNN.json``."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"device-{self.index:04d}.json"
        body = {"index": self.index, **self.node.to_json(), "public_key": self.public_key}
        write_atomically(file, json.dumps(body, indent=1) + "\n")
        return file

    @classmethod
    def load(cls, file: Path) -> NodeFile:
        """Read a device's file.

        Raises:
            BadInputError: it isn't one, or its key isn't the one that was signed for.
        """
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
            index, public_key = body.pop("index"), body.pop("public_key")
            if type(index) is not int or index < 0 or not isinstance(public_key, str):
                raise ValueError(f"expected an index and a public key, got {index!r} and {public_key!r}")
            node = Node.from_json(body)
            if (key := key_digest(public_key.encode())) != node.key:
                raise ValueError(f"expected a public key with SHA-256 {node.key}, got {key}")
        except (OSError, ValueError, KeyError, AttributeError, TwinsError) as error:
            raise BadInputError(f"node file {file}: {error}") from error
        return cls(index, node, public_key)


def load_nodes(folder: Path) -> tuple[NodeFile, ...]:
    """Read a station's devices, ascending by index.

    Raises:
        BadInputError: none there, one that can't be read, or an index twice.
    """
    found = sorted((NodeFile.load(file) for file in folder.glob("*.json")), key=lambda one: one.index)
    if not found:
        raise BadInputError(f"{folder}: expected a file *.json for each of the station's devices, got none")
    if len({one.index for one in found}) != len(found):
        raise BadInputError(f"{folder}: expected a different index in each file, got {[one.index for one in found]}")
    return tuple(found)


def key_digest(public_key: bytes) -> Digest:
    """Return the digest of a public key in PEM: of its DER bytes, so that a line break changes nothing.

    Raises:
        ValueError: no public key.
    """
    key = load_pem_public_key(public_key)
    return sha256_digest(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def make_node_key(file: Path) -> None:
    """Make a node's private key where there is none: P-384 in OpenSSH's format, as `flower-supernode` reads it."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP384R1())
    create_private(file, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode().strip())


def public_key_of(file: Path, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> str:
    """Return a node's public key, in PEM or as OpenSSH has it.

    Raises:
        BadInputError: no private key in the file.
    """
    try:
        key = load_ssh_private_key(file.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise BadInputError(f"node key {file}: expected an OpenSSH private key, got {type(error).__name__}") from error
    encoding = Encoding.OpenSSH if form is PublicFormat.OpenSSH else Encoding.PEM
    return key.public_key().public_bytes(encoding, form).decode()


def sign_node(index: int, node_key: Path, device_key: Path, station: Address, domain: SigningDomain) -> NodeFile:
    """Let a device sign for its node.

    Raises:
        BadInputError, DataError: keys that can't be read.
    """
    public, secret = public_key_of(node_key), read_key(device_key)
    node = Node.signed(address_of_key(secret), key_digest(public.encode()), station, domain, secret)
    return NodeFile(index, node, public)


def nodes_of_files(files: Sequence[NodeFile]) -> tuple[Node, ...]:
    """Return what the chain is to name."""
    return tuple(file.node for file in files)
