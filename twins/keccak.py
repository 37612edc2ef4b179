"""Keccak-256, as Ethereum has it: FIPS 202 before its padding was changed."""

from __future__ import annotations

from Crypto.Hash import keccak as _keccak


def keccak(data: bytes) -> bytes:
    """Return the 32 bytes of the hash.

    Law: equals ``eth_utils.keccak(data)``, which asks the same library and takes half as long again: each device's
    update is hashed ten times over in every round.
    """
    return _keccak.new(data=data, digest_bytes=32).digest()
