"""Device updates sealed by one station for two readers: what the tests of encryption try to open."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import strategies as st

from tests.unit.twins.strategies import addresses, twin_ids
from twins.encryption import Encryption, Grant, Keyring, ReaderKey, StationSecret, encryption_context
from twins.types import Digest, address_of_bytes, twin_id

TWIN = twin_id("plant/pump")
ADDRESS = address_of_bytes(bytes.fromhex("0aBc" * 10))
CONTEXT = encryption_context(TWIN, 7, ADDRESS)
UPDATE = Digest("0x" + "77" * 32)
PLAINTEXT = b"TLBUNDL2\0 the devices' updates"

KEY = b"\x01" * 32
STATION, OTHER_STATION = StationSecret.from_key(KEY), StationSecret.from_key(b"\x02" * 32)
AUDITOR, SECOND, STRANGER = (ReaderKey.from_bytes(bytes([n]) * 32) for n in (3, 4, 5))
SEALED, HOW = STATION.seal(PLAINTEXT, CONTEXT, [AUDITOR.public, SECOND.public])

contexts = st.builds(encryption_context, twin_ids, st.integers(0, 2**64 - 1), addresses)


def grant_of(reader: ReaderKey, encryption: Encryption = HOW) -> Grant:
    return next(grant for grant in encryption.grants if grant.reader == reader.public)


def opened(
    *readers: ReaderKey, encryption: Encryption = HOW, context: bytes = CONTEXT, sealed: bytes = SEALED
) -> bytes:
    return Keyring(readers).open(UPDATE, encryption, context, sealed)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 for 32 bytes, written once more."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)
