"""Whose node is whose: only what a device has signed, for this station and ledger, and each once."""

from __future__ import annotations

import hashlib

import pytest

from twins import canonical
from twins.contribution import SigningDomain, address_of_key
from twins.errors import ManifestError, SignatureError
from twins.nodes import Node, decode_nodes, encode_nodes, require_valid
from twins.types import Address, address_of_bytes, sha256_digest
from twins.updates import device_order

pytestmark = pytest.mark.unit

STATION, OTHER = address_of_bytes(b"\x01" * 20), address_of_bytes(b"\x02" * 20)
DOMAIN = SigningDomain(31337, address_of_bytes(b"\x03" * 20))


def secret(index: int) -> bytes:
    return hashlib.sha256(f"device {index}".encode()).digest()


def node(index: int, key: str = "", station: Address = STATION, domain: SigningDomain = DOMAIN) -> Node:
    """A device's own statement, unless it is about another's key, station or ledger."""
    digest = sha256_digest((key or f"node {index}").encode())
    return Node.signed(address_of_key(secret(index)), digest, station, domain, secret(index))


def nodes(count: int = 4) -> tuple[Node, ...]:
    return tuple(sorted((node(index) for index in range(count)), key=lambda one: device_order(one.device)))


def refused(kind: type[Exception], *listed: Node) -> None:
    with pytest.raises(kind):
        require_valid(sorted(listed, key=lambda one: device_order(one.device)), STATION, DOMAIN)


def test_what_is_written_is_read_again_and_valid() -> None:
    assert decode_nodes(encode_nodes(nodes())) == nodes()
    require_valid(nodes(), STATION, DOMAIN)
    require_valid((), STATION, DOMAIN)


def test_a_statement_for_another_station_is_refused() -> None:
    refused(SignatureError, node(0), node(1, station=OTHER))


@pytest.mark.parametrize("domain", [SigningDomain(1, DOMAIN.contract), SigningDomain(31337, OTHER)])
def test_a_statement_for_another_chain_or_ledger_is_refused(domain: SigningDomain) -> None:
    refused(SignatureError, node(0), node(1, domain=domain))


def test_a_station_cannot_put_another_node_in_a_devices_place() -> None:
    own, foreign = node(0), node(1)
    refused(SignatureError, Node(own.device, foreign.key, own.signature))
    refused(SignatureError, Node(own.device, foreign.key, foreign.signature))


def test_one_node_cannot_answer_for_two_devices() -> None:
    refused(ManifestError, node(0, "shared"), node(1, "shared"))


def test_a_device_stands_there_once_and_in_order() -> None:
    refused(ManifestError, node(0), node(0, "another"))
    with pytest.raises(ManifestError):
        require_valid(nodes()[::-1], STATION, DOMAIN)


@pytest.mark.parametrize(
    "body",
    [
        {},
        ["node"],
        [{"device": STATION, "key": "0x12", "signature": "0x" + "00" * 65}],
        [{"device": STATION, "key": sha256_digest(b""), "signature": "0x00"}],
        [{"device": STATION, "key": sha256_digest(b""), "signature": "0x" + "zz" * 65}],
        [{"device": STATION, "key": sha256_digest(b"")}],
    ],
)
def test_bytes_that_are_no_nodes_are_refused(body: canonical.Json) -> None:
    with pytest.raises(ManifestError):
        decode_nodes(canonical.encode(body))
