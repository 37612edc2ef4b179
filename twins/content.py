"""Content identifiers, computed here and never believed from elsewhere.

An artifact of at most 1 MiB is one raw block, so its CID carries the SHA-256 of the bytes themselves. A larger one
is the balanced UnixFS tree that Kubo builds with ``--cid-version=1 --raw-leaves --chunker=size-1048576
--max-file-links=174``, so that the embedded store and a real IPFS node name the same bytes alike.

Sources: multiformats/cid (CIDv1), multiformats/multicodec (raw 0x55, dag-pb 0x70, sha2-256 0x12), IPLD dag-pb
specification (PBLink before PBNode.Data), UnixFS v1 specification (Data message, balanced layout).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from twins.errors import FormatError
from twins.types import Cid, Digest, digest_bytes

CHUNK = 1 << 20
"""Bytes in a leaf block."""

FANOUT = 174
"""Links in an inner node (Kubo's default for UnixFS v1)."""

_RAW, _DAG_PB = 0x55, 0x70
_SHA2_256 = b"\x12\x20"


@dataclass(frozen=True)
class _Node:
    """A node of the tree as its parent sees it."""

    codec: int
    hash: bytes
    file_size: int  # bytes of the artifact below this node
    total_size: int  # bytes of all blocks below and including this node (PBLink.Tsize)


def cid_of(data: bytes) -> Cid:
    """Return the CID of an artifact.

    Law: equal bytes, equal CIDs, on every store and every machine.
    """
    nodes = [_leaf(chunk) for chunk in _chunks(data)]
    while len(nodes) > 1:
        nodes = [_parent(nodes[i : i + FANOUT])[0] for i in range(0, len(nodes), FANOUT)]
    return _spell(nodes[0].codec, nodes[0].hash)


def blocks_of(data: bytes) -> Iterator[tuple[Cid, bytes]]:
    """Yield every block of an artifact with its CID: the leaves in order, then the nodes above them, the root last.

    Equal blocks come as often as they are there. Law: the last CID is ``cid_of(data)``.
    """
    nodes = []
    for chunk in _chunks(data):
        nodes.append(_leaf(chunk))
        yield _spell(_RAW, nodes[-1].hash), bytes(chunk)
    while len(nodes) > 1:
        level = [_parent(nodes[i : i + FANOUT]) for i in range(0, len(nodes), FANOUT)]
        yield from ((_spell(node.codec, node.hash), block) for node, block in level)
        nodes = [node for node, _ in level]


def is_block(cid: Cid, block: bytes) -> bool:
    """Tell whether these are the bytes of the block that a CID names.

    Raises:
        FormatError: not a CID.
    """
    return hashlib.sha256(block).digest() == parse_cid(cid)[1]


def children_of(cid: Cid, block: bytes) -> list[Cid] | None:
    """Return the CIDs that a block links to, in order; None for a leaf.

    Raises:
        FormatError: not a CID, or not a dag-pb block whose links are CIDs of this module's kind.
    """
    if parse_cid(cid)[0] == _RAW:
        return None
    links = [payload for number, payload in _fields(block) if number == 2]  # PBNode.Links
    hashes = [dict(_fields(link)).get(1) for link in links if isinstance(link, bytes)]  # PBLink.Hash
    if not hashes:
        raise FormatError(f"{cid}: expected a node with links, got none")
    return [_read_cid(found) for found in hashes]


def size_from_root(cid: Cid, block: bytes) -> int:
    """Return the size in bytes of the artifact below a block, as the block states it.

    Raises:
        FormatError: not a CID, or no block of a UnixFS file.
    """
    if parse_cid(cid)[0] == _RAW:
        return len(block)
    unixfs = dict(_fields(block)).get(1)  # PBNode.Data
    size = dict(_fields(unixfs)).get(3) if isinstance(unixfs, bytes) else None  # Data.filesize
    if not isinstance(size, int):
        raise FormatError(f"{cid}: expected the root of a UnixFS file, got a block without a file size")
    return size


def cid_of_digest(digest: Digest) -> Cid:
    """Return the CID of a single-block artifact (a manifest) from its SHA-256.

    Law: ``digest_of_cid(cid_of_digest(d)) == d``.
    """
    return _spell(_RAW, digest_bytes(digest))


def digest_of_cid(cid: Cid) -> Digest:
    """Return the SHA-256 inside the CID of a single-block artifact.

    Raises:
        FormatError: no CIDv1 of a raw block with SHA-256; a larger artifact's CID does not contain its digest.
    """
    codec, digest = parse_cid(cid)
    if codec != _RAW:
        raise FormatError(f"{cid}: expected the CID of a raw block, got codec 0x{codec:02x}")
    return Digest("0x" + digest.hex())


def parse_cid(text: str) -> tuple[int, bytes]:
    """Split a CID into codec and SHA-256.

    Raises:
        FormatError: not CIDv1, base32 lower case, raw or dag-pb, SHA-256.
    """
    if not isinstance(text, str):
        raise FormatError(f"not a CID: expected text, got {text!r}")
    try:
        raw = base64.b32decode(text[1:].upper() + "=" * (-(len(text) - 1) % 8))
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"not a CID in base32: {text!r}") from error
    # The last condition refuses a second spelling of the same CID (stray bits in the last character).
    if (
        len(raw) != 36
        or raw[0] != 1
        or raw[1] not in (_RAW, _DAG_PB)
        or raw[2:4] != _SHA2_256
        or (_spell(raw[1], raw[4:]) != text)
    ):
        raise FormatError(f"not a CIDv1 (base32, raw or dag-pb, sha2-256): {text!r}")
    return raw[1], raw[4:]


def _spell(codec: int, digest: bytes) -> Cid:
    raw = bytes([1, codec]) + _SHA2_256 + digest
    return Cid("b" + base64.b32encode(raw).decode().rstrip("=").lower())


def _chunks(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    for start in range(0, max(len(data), 1), CHUNK):
        yield view[start : start + CHUNK]


def _leaf(chunk: memoryview) -> _Node:
    return _Node(_RAW, hashlib.sha256(chunk).digest(), len(chunk), len(chunk))


def _parent(children: list[_Node]) -> tuple[_Node, bytes]:
    """Build the dag-pb node over ``children``, and its block: links in order, then the UnixFS Data message.

    A lone last child is wrapped too: in the balanced layout every leaf has the same depth.
    """
    links = b"".join(
        _field(2, _field(1, bytes([1, c.codec]) + _SHA2_256 + c.hash) + _field(2, b"") + _number(3, c.total_size))
        for c in children
    )
    file_size = sum(c.file_size for c in children)
    unixfs = _number(1, 2) + _number(3, file_size) + b"".join(_number(4, c.file_size) for c in children)
    block = links + _field(1, unixfs)
    total = len(block) + sum(c.total_size for c in children)
    return _Node(_DAG_PB, hashlib.sha256(block).digest(), file_size, total), block


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    """Length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    """Varint protobuf field."""
    return _varint(number << 3) + _varint(value)


def _read_cid(raw: int | bytes | None) -> Cid:
    if not isinstance(raw, bytes) or len(raw) != 36 or raw[0] != 1 or raw[2:4] != _SHA2_256:
        raise FormatError("expected a link to a CIDv1 with SHA-256, got another")
    return _spell(raw[1], raw[4:])


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read a protobuf message of varint and length-delimited fields."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2 and at + value <= len(message):
            yield key >> 3, message[at : at + value]
            at += value
        else:
            raise FormatError(f"expected a dag-pb block, got wire type {key & 7} or a field that is cut short")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at
    raise FormatError("expected a dag-pb block, got a number that is cut short or has more than 64 bits")
