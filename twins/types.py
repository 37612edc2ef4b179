"""Names for the plain values that cross every boundary.

All are immutable strings or integers in one canonical spelling, so that they compare, hash, print and go into
canonical JSON without conversion.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import NewType

from eth_utils.address import is_checksum_address, to_checksum_address
from eth_utils.crypto import keccak

from twins.errors import FormatError

Digest = NewType("Digest", str)
"""``0x`` and 64 lower-case hex digits: the SHA-256 of canonical bytes; a ``bytes32`` on the chain."""

TwinId = NewType("TwinId", str)
"""``0x`` and 64 lower-case hex digits: keccak-256 of the twin's namespaced name."""

Cid = NewType("Cid", str)
"""Content identifier, CIDv1, base32 lower case (multiformats/cid)."""

Address = NewType("Address", str)
"""Ethereum account with its EIP-55 checksum."""

ZERO_DIGEST = Digest("0x" + "00" * 32)

_DIGEST = re.compile(r"0x[0-9a-f]{64}")


def sha256_digest(data: bytes) -> Digest:
    """Return the SHA-256 of ``data`` (FIPS 180-4) as a digest."""
    return Digest("0x" + hashlib.sha256(data).hexdigest())


def parse_digest(text: object) -> Digest:
    """Check the canonical spelling of a digest: ``parse_digest(d) == d``.

    Raises:
        FormatError: anything but ``0x`` and 64 lower-case hex digits.
    """
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise FormatError(f"not a digest: expected 0x and 64 lower-case hex digits, got {text!r}")
    return Digest(text)


def digest_bytes(digest: Digest | TwinId) -> bytes:
    """Return the 32 bytes of a digest or twin id."""
    return bytes.fromhex(parse_digest(digest)[2:])


def digest_of_bytes(raw: bytes) -> Digest:
    """Spell 32 raw bytes as a digest: the inverse of `digest_bytes`."""
    return parse_digest("0x" + bytes(raw).hex())


def twin_id(name: str) -> TwinId:
    """Return the on-chain identity of a twin: keccak-256 of ``twinledger/`` and its name.

    Raises:
        FormatError: the name is empty, longer than 128 characters or has characters outside
            ``a-z 0-9 . _ / -`` (two spellings of one name would be two twins).
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/-]{0,127}", name):
        raise FormatError(
            f"not a twin's name: expected 1 to 128 of a-z 0-9 . _ / - beginning with a letter or digit, got {name!r}"
        )
    return TwinId("0x" + keccak(text="twinledger/" + name).hex())


def parse_address(text: object) -> Address:
    """Check an address with its EIP-55 checksum.

    Raises:
        FormatError: not an address, or its checksum is wrong (a mistyped account must not become another).
    """
    if not isinstance(text, str) or not _is_address(text):
        raise FormatError(f"not an address with EIP-55 checksum: got {text!r}")
    return Address(text)


@lru_cache(maxsize=2**18)
def _is_address(text: str) -> bool:
    """Check an address once: a roster's are read again in every round, by every voter."""
    return bool(is_checksum_address(text))


def address_of_bytes(raw: bytes) -> Address:
    """Spell 20 raw bytes as a checksummed address."""
    return Address(to_checksum_address(raw))
