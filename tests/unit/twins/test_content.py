"""CIDs: those that the world knows, another implementation's trees, then other spellings."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.twins.strategies import digests
from twins.content import CHUNK, FANOUT, cid_of, cid_of_digest, digest_of_cid, parse_cid
from twins.errors import FormatError
from twins.types import Digest, sha256_digest

pytestmark = pytest.mark.unit

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "cids.json").read_text())["vectors"]

HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"  # printf "hello world" | ipfs add --cid-version=1
SMALL = cid_of(b"small")
LARGE = cid_of(bytes(CHUNK + 1))


def content(size: int) -> memoryview:
    """As make_cids.mjs makes it: byte i of block b is (31 i + b) mod 251."""
    first = bytes(31 * i % 251 for i in range(251)) * (CHUNK // 251 + 1)
    whole = bytearray(size)
    for block, start in enumerate(range(0, size, CHUNK)):
        shift = bytes((value + block) % 251 for value in range(256))
        whole[start : start + CHUNK] = first[: min(CHUNK, size - start)].translate(shift)
    return memoryview(whole)


def spell(raw: bytes) -> str:
    return "b" + base64.b32encode(raw).decode().rstrip("=").lower()


def test_the_empty_artifact_has_the_cid_that_every_ipfs_node_gives_it() -> None:
    assert cid_of(b"") == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


def test_hello_world_has_the_cid_that_kubo_gives_it() -> None:
    assert cid_of(b"hello world") == HELLO


def test_trees_of_every_shape_equal_those_of_the_reference_importer() -> None:
    largest = content(max(vector["size"] for vector in VECTORS))
    sizes = {vector["size"] for vector in VECTORS}
    # One block; one node; a full node; a second level whose last child stands alone.
    assert {CHUNK, CHUNK + 1, FANOUT * CHUNK, FANOUT * CHUNK + 1} <= sizes
    for vector in VECTORS:
        assert cid_of(largest[: vector["size"]]) == vector["cid"], vector["size"]  # type: ignore[arg-type]


@given(st.binary(max_size=2000))
def test_the_cid_of_one_block_contains_the_sha_256_of_its_bytes(data: bytes) -> None:
    assert parse_cid(cid_of(data)) == (0x55, hashlib.sha256(data).digest())
    assert cid_of_digest(sha256_digest(data)) == cid_of(data)


@given(digests)
def test_a_digest_comes_back_from_its_cid(digest: Digest) -> None:
    assert digest_of_cid(cid_of_digest(digest)) == digest


def test_the_cid_of_a_large_artifact_gives_no_digest() -> None:
    assert parse_cid(LARGE)[0] == 0x70
    with pytest.raises(FormatError, match="raw block"):
        digest_of_cid(LARGE)


def test_a_changed_byte_in_any_block_changes_the_cid() -> None:
    data = bytearray(2 * CHUNK + 5)
    cids = {cid_of(bytes(data))}
    for position in (0, CHUNK - 1, CHUNK, 2 * CHUNK, len(data) - 1):
        data[position] ^= 1
        cids.add(cid_of(bytes(data)))
        data[position] ^= 1
    assert len(cids) == 6


@pytest.mark.parametrize("bad", ["digest", "0x" + "g" * 64, "", HELLO])
def test_only_a_digest_becomes_a_cid(bad: str) -> None:
    with pytest.raises(FormatError):
        cid_of_digest(Digest(bad))


_RAW = base64.b32decode(SMALL[1:].upper() + "======")
_HASH = hashlib.sha256(b"small").digest()

REFUSED = {
    "upper case (base32upper)": SMALL.upper(),
    "upper case behind a lower-case prefix": "b" + SMALL[1:].upper(),
    "one letter in upper case": SMALL[:-1] + SMALL[-1].upper()
    if SMALL[-1].isalpha()
    else SMALL[:5].upper() + SMALL[5:],
    "upper-case prefix": "B" + SMALL[1:],
    "base58btc": "zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA",
    "base16": "f" + _RAW.hex(),
    "base64url": "u" + base64.urlsafe_b64encode(_RAW).decode().rstrip("="),
    "CIDv0": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
    "version 0 in base32": spell(b"\0" + _RAW[1:]),
    "version 2": spell(b"\2" + _RAW[1:]),
    "codec dag-cbor": spell(b"\x01\x71\x12\x20" + _HASH),
    "codec libp2p-key": spell(b"\x01\x72\x12\x20" + _HASH),
    "codec in two bytes": spell(b"\x01\xd5\x00\x12\x20" + _HASH),
    "hash sha2-512": spell(b"\x01\x55\x13\x40" + hashlib.sha512(b"small").digest()),
    "hash identity, carrying its own content": spell(b"\x01\x55\x00\x05small"),
    "hash blake3": spell(b"\x01\x55\x1e\x20" + _HASH),
    "digest of 31 bytes": spell(b"\x01\x55\x12\x1f" + _HASH[:31]),
    "digest cut short": spell(_RAW[:-1]),
    "bytes left over": spell(_RAW + b"\0"),
    "one character too few": SMALL[:-1],
    "one character too many": SMALL + "a",
    "padding": SMALL + "======",
    "stray bits in the last character": SMALL[:-1] + chr(ord(SMALL[-1]) + 1),
    "line break at the end": SMALL + "\n",
    "space before": " " + SMALL,
    "path behind": SMALL + "/model.safetensors",
    "path before": "/ipfs/" + SMALL,
    "parent folder": "../../" + SMALL,
    "NUL": SMALL[:-1] + "\0",
    "a letter that becomes I in upper case": SMALL.replace("i", "ı", 1),  # noqa: RUF001
    "the prefix alone": "b",
    "nothing": "",
    "no text": 5,
    "None": None,
    "bytes": SMALL.encode(),
    "a list": [SMALL],
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_everything_but_the_one_spelling_of_a_cid_is_refused(text: str) -> None:
    assert text != SMALL
    with pytest.raises(FormatError):
        parse_cid(text)


@given(st.text(max_size=70) | st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=58, max_size=58).map("b".__add__))
def test_random_text_is_no_cid_or_its_only_spelling(text: str) -> None:
    try:
        codec, digest = parse_cid(text)
    except FormatError:
        return
    assert text == spell(bytes([1, codec, 0x12, 0x20]) + digest)
