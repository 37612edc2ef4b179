"""What is hashed: sequences of 32-byte words, so that Solidity's ``abi.encode`` of static types hashes the same."""

from __future__ import annotations

from eth_hash.auto import keccak

from twins.types import Address, Digest, TwinId

MODULUS_BYTES = 256
"""Of a group element, big-endian."""


def word(value: int | str | bytes) -> bytes:
    """Return one 32-byte word: a number big-endian, an address padded on the left, a digest as it is.

    Raises:
        ValueError: bytes or a hex string of neither 20 nor 32 bytes.
        OverflowError: a number below 0 or of more than 256 bits.
    """
    if isinstance(value, int):
        return value.to_bytes(32, "big")
    raw = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else value
    if len(raw) not in (20, 32):
        raise ValueError(f"expected a word of 32 bytes or an address of 20, got {len(raw)} bytes")
    return raw.rjust(32, b"\0")


def tagged(name: str, *values: int | str | bytes) -> bytes:
    """Return keccak-256 of the domain ``twin-pdp/v1/name`` and the words, 32 bytes."""
    return keccak(DOMAINS[name] + b"".join(word(value) for value in values))


def element(value: int) -> bytes:
    """Return a group element as 256 bytes, big-endian."""
    return int(value).to_bytes(MODULUS_BYTES, "big")


def full_domain_hash(seed: bytes, index: int) -> int:
    """Return a number below 2^2047, as if drawn at random for (seed, index).

    The defence against tags that follow from other tags by Bézout's identity (docs/protocol-pdp.md, A3).

    Args:
        seed: 32 bytes.
        index: below 2^32.
    """
    prefix, first = bytes(seed), 256 * index
    digest = b"".join(keccak(prefix + (first + part).to_bytes(32, "big")) for part in range(8))
    return int.from_bytes(digest, "big") & ((1 << 2047) - 1)


Word = int | Address | Digest | TwinId | bytes
"""What `word` takes, by the names of its values."""

DOMAINS = {
    name: keccak(b"twin-pdp/v1/" + name.encode())
    for name in (
        "key",
        "generator",
        "tag",
        "link",
        "reveal",
        "seed",
        "challenge",
        "batch",
        "prime",
        "miller-rabin",
        "quorum",
        "claim",
        "witness",
    )
}
"""Domain separation: no hash of one purpose is ever one of another."""
