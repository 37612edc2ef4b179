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
        nodes = [_parent(nodes[i : i + FANOUT]) for i in range(0, len(nodes), FANOUT)]
    return _spell(nodes[0].codec, nodes[0].hash)


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


def _parent(children: list[_Node]) -> _Node:
    """Build the dag-pb node over ``children``: links in order, then the UnixFS Data message.

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
    return _Node(_DAG_PB, hashlib.sha256(block).digest(), file_size, total)


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
