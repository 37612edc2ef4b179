"""A tagger's keys: RSA moduli of two safe primes, and exponents larger than any block.

Whoever knows the factors can prove without any data: a tagger vouches in its own lane only, and makes a new key often
(docs/protocol-pdp.md, "what the tagger can do").
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

import gmpy2
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gmpy2 import mpz

from chain.errors.pdp import PDPBadKey, PDPDataError
from chain.pdp.words import element, full_domain_hash, tagged
from twins.types import Digest

BLOCK_BYTES = {44_497: 4_096, 132_049: 16_384, 756_839: 65_536}
"""Bits of the exponent to bytes of a block. 2^x - 1 is a prime above every block: with a smaller exponent a holder
keeps each block modulo the exponent and drops the rest (docs/protocol-pdp.md, A1)."""

DEFAULT_EXPONENT_BITS = 132_049

_CONTAINER_EXPONENT = 65_537  # of the PKCS#8 file; never used by the protocol, whose exponent doesn't fit there


@dataclass(frozen=True)
class PublicKey:
    """What holders and verifiers know.

    Attributes:
        exponent_bits: x; the exponent is the Mersenne prime 2^x - 1.
        modulus: N, 2048 bits, odd.
    """

    exponent_bits: int
    modulus: int

    def __post_init__(self) -> None:
        """Refuse what the contract refuses.

        Raises:
            PDPBadKey: an exponent that isn't in the table; a modulus that is even or not of 2048 bits.
        """
        if self.exponent_bits not in BLOCK_BYTES or not self.modulus & 1 or self.modulus.bit_length() != 2048:
            raise PDPBadKey
        if self.generator <= 1:
            raise PDPBadKey

    @property
    def block(self) -> int:
        """Bytes of a block."""
        return BLOCK_BYTES[self.exponent_bits]

    @property
    def exponent(self) -> mpz:
        """The public exponent e, a prime."""
        return (mpz(1) << self.exponent_bits) - 1

    @cached_property
    def key_id(self) -> Digest:
        """Name of the key."""
        return Digest("0x" + self._key_id.hex())

    @property
    def _key_id(self) -> bytes:
        return tagged("key", self.exponent_bits, *_words(element(self.modulus)))

    @cached_property
    def generator(self) -> mpz:
        """The base g of the blocks: a square that follows from the key, so that nobody chooses it."""
        hashed = full_domain_hash(tagged("generator", self._key_id), 0)
        return gmpy2.powmod(hashed, 2, self.modulus)

    @cached_property
    def modulus_bytes(self) -> bytes:
        """N, 256 bytes."""
        return element(self.modulus)

    @cached_property
    def generator_bytes(self) -> bytes:
        """The generator, 256 bytes."""
        return element(int(self.generator))


@dataclass(frozen=True)
class PrivateKey:
    """What only the tagger knows. Erase it after the last version under the key.

    Attributes:
        p: a prime factor of the modulus.
        q: the other.
        exponent_bits: x of the public exponent.
    """

    p: int = field(repr=False)
    q: int = field(repr=False)
    exponent_bits: int = DEFAULT_EXPONENT_BITS

    def __post_init__(self) -> None:
        """Refuse factors that are no primes.

        Raises:
            PDPDataError: not two different primes, or an exponent that divides the order of the group.
        """
        if self.p == self.q or not all(gmpy2.is_prime(mpz(f), 25) for f in (self.p, self.q)):
            raise PDPDataError("private key: expected two different primes, got others")
        _ = self.public

    @classmethod
    def generate(
        cls,
        exponent_bits: int = DEFAULT_EXPONENT_BITS,
        ceremony: str = "safe",
        notice: Callable[[str], None] = lambda text: None,
    ) -> PrivateKey:
        """Make a key from the operating system's randomness: about a second.

        Args:
            exponent_bits: x of the public exponent; decides the size of a block.
            ceremony: ``safe`` for safe primes; ``rsa`` for ordinary ones, made in no time, for tests.
            notice: told what happens.

        Raises:
            PDPDataError: another ceremony.
            PDPBadKey: an exponent that isn't in the table.
        """
        if exponent_bits not in BLOCK_BYTES:
            raise PDPBadKey
        if ceremony == "rsa":
            numbers = rsa.generate_private_key(_CONTAINER_EXPONENT, 2048).private_numbers()
            return cls(numbers.p, numbers.q, exponent_bits)
        if ceremony != "safe":
            raise PDPDataError(f"ceremony: expected safe or rsa, got {ceremony!r}")
        notice("looking for the first safe prime of a tagging key")
        p = safe_prime()
        notice("looking for the second safe prime of a tagging key")
        return cls(p, next(q for q in iter(safe_prime, 0) if q != p), exponent_bits)

    @cached_property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self.exponent_bits, int(mpz(self.p) * self.q))

    @cached_property
    def order(self) -> mpz:
        """φ(N)."""
        return (mpz(self.p) - 1) * (mpz(self.q) - 1)

    @cached_property
    def ceremony(self) -> str:
        """``safe`` if both factors are safe primes, else ``rsa``."""
        return "safe" if all(gmpy2.is_prime(mpz(f) >> 1, 25) for f in (self.p, self.q)) else "rsa"

    def inverse_exponent(self, order: mpz) -> mpz:
        """Return e^-1 modulo ``order`` (φ(N), p - 1 or q - 1)."""
        return gmpy2.invert(self.public.exponent, order)

    def to_pem(self, password: bytes) -> bytes:
        """Return the key as an encrypted PKCS#8 file: ``from_pem(k.to_pem(w), w, x) == k``."""
        d = int(gmpy2.invert(_CONTAINER_EXPONENT, self.order))
        public = rsa.RSAPublicNumbers(_CONTAINER_EXPONENT, self.public.modulus)
        numbers = rsa.RSAPrivateNumbers(
            p=self.p,
            q=self.q,
            d=d,
            dmp1=rsa.rsa_crt_dmp1(d, self.p),
            dmq1=rsa.rsa_crt_dmq1(d, self.q),
            iqmp=rsa.rsa_crt_iqmp(self.p, self.q),
            public_numbers=public,
        )
        encryption = serialization.BestAvailableEncryption(password)
        formats = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
        return numbers.private_key().private_bytes(*formats, encryption)

    @classmethod
    def from_pem(cls, data: bytes, password: bytes, exponent_bits: int) -> PrivateKey:
        """Read what `to_pem` wrote.

        Raises:
            PDPDataError: no such file, or another password.
        """
        try:
            key = serialization.load_pem_private_key(data, password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise PDPDataError(
                f"tagging key: expected an encrypted PKCS#8 file of this password, got {error}"
            ) from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise PDPDataError(f"tagging key: expected an RSA key, got {type(key).__name__}")
        numbers = key.private_numbers()
        return cls(numbers.p, numbers.q, exponent_bits)


def safe_prime(bits: int = 1024) -> int:
    """Return a random p = 2p' + 1, both prime, its two top bits set: about half a second for 1024 bits.

    A fresh random start for every window, from the operating system: never a seeded generator.
    """
    while True:
        start = secrets.randbits(bits - 3) | 3 << bits - 3  # p' has bits - 1 bits
        start -= (start - 5) % 6  # p' = 5 modulo 6, or 3 would divide p' or p
        for offset in _sieve(start):
            half = mpz(start + 6 * offset)
            whole = 2 * half + 1
            if gmpy2.powmod(2, half - 1, half) != 1 or gmpy2.powmod(2, whole - 1, whole) != 1:
                continue
            if gmpy2.is_prime(half, 40) and gmpy2.is_prime(whole, 40) and whole.bit_length() == bits:
                return int(whole)


_WINDOW = 1 << 16


def _sieve(start: int) -> list[int]:
    """Return the k below `_WINDOW` for which no small prime divides p' = start + 6k or 2p' + 1."""
    alive = bytearray(b"\1") * _WINDOW
    for prime in _small_primes():
        sixth = pow(6, -1, prime)
        first = -start * sixth % prime  # p' = 0
        second = (-start * 2 - 1) * sixth * ((prime + 1) // 2) % prime  # 2p' + 1 = 0
        for k in (first, second):
            alive[k::prime] = bytes(len(range(k, _WINDOW, prime)))
    return [k for k, is_alive in enumerate(alive) if is_alive]


def _small_primes(limit: int = 1 << 17) -> list[int]:
    if not _PRIMES:
        flags = bytearray(b"\1") * limit
        for n in count(2):
            if n * n >= limit:
                break
            if flags[n]:
                flags[n * n :: n] = bytes(len(range(n * n, limit, n)))
        _PRIMES.extend(n for n in range(5, limit) if flags[n])
    return _PRIMES


_PRIMES: list[int] = []  # those from 5, made at first use


def _words(data: bytes) -> list[bytes]:
    return [data[at : at + 32] for at in range(0, len(data), 32)]
