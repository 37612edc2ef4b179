"""Proofs: 546 bytes that only somebody who has the challenged blocks can make.

The holder has tags T_i with T_i^e = h_i · g^(m_i). For coefficients a_j it shows that it knows an M with
T^e = P · g^M, where T and P are the products of T_i and h_i to their coefficients: a proof of exponentiation and of
knowledge of an exponent (Boneh, Bünz and Fisch, CRYPTO 2019, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gmpy2
from gmpy2 import mpz

from chain.errors.pdp import PDPDataError
from chain.pdp.challenge import Challenge
from chain.pdp.keys import PublicKey
from chain.pdp.products import product_of_powers
from chain.pdp.sources import Source, block_number, read_block
from chain.pdp.tags import Tags
from chain.pdp.verification import PROOF_BYTES, find_prime, product_of
from chain.pdp.words import element


@dataclass(frozen=True)
class Aggregate:
    """The challenged blocks of one artifact put together.

    Attributes:
        tag: T, product of the tags to their coefficients.
        total: M, sum of the blocks times their coefficients.
        product: P, product of the domain hashes to their coefficients.
    """

    tag: mpz
    total: mpz
    product: mpz

    def __mul__(self, other: Aggregate) -> Aggregate:
        """Put two artifacts under one key together; not reduced."""
        return Aggregate(self.tag * other.tag, self.total + other.total, self.product * other.product)


def aggregate(source: Source, tags: Tags, key: PublicKey, challenge: Challenge) -> Aggregate:
    """Read what a challenge asks for, a block at a time.

    Raises:
        PDPDataError: the tags are of another domain, or the bytes end too early.
    """
    if (tags.tau, tags.blocks) != (challenge.tau, challenge.blocks):
        raise PDPDataError(
            f"tags: expected domain {challenge.tau.hex()} of {challenge.blocks} blocks, "
            f"got {tags.tau.hex()} of {tags.blocks}"
        )
    total, chosen, coefficients = mpz(0), [], []
    for index, coefficient in challenge.indices():
        chosen.append(mpz(tags[index]))
        coefficients.append(coefficient)
        total += coefficient * mpz(block_number(read_block(source, index, key.block), key.block))
    tag = product_of_powers(chosen, coefficients, mpz(key.modulus))
    return Aggregate(tag, total, product_of(key, [challenge]))


def prove(source: Source, tags: Tags, key: PublicKey, challenge: Challenge) -> bytes:
    """Answer a challenge: 546 bytes. Needs no secret; a third of a second with blocks of 16 KiB.

    Raises:
        PDPDataError: the bytes, or the tags, aren't those that were tagged: nobody could prove anything with them.
    """
    return prove_together([aggregate(source, tags, key, challenge)], key, challenge.sigma)[:PROOF_BYTES]


def prove_together(aggregates: Sequence[Aggregate], key: PublicKey, transcript: bytes) -> bytes:
    """Answer the challenges of several artifacts under one key at once.

    Args:
        aggregates: of each artifact.
        key: theirs.
        transcript: sigma of the one challenge, or `chain.pdp.challenge.batch_transcript` of several.

    Returns:
        The claimed proof, 802 bytes: the first 546 are the proof itself.

    Raises:
        PDPDataError: as `prove`.
    """
    whole = aggregates[0]
    for one in aggregates[1:]:
        whole = whole * one
    n = mpz(key.modulus)
    tag, product = whole.tag % n, whole.product % n
    generator = key.generator
    inverse = gmpy2.invert(generator, n)
    # The prime depends on the tag, so a proof whose sign was mended begins anew.
    for candidate in (tag, n - tag):
        prime, nonce = find_prime(transcript, candidate, product)
        power = gmpy2.powmod(inverse, whole.total // prime, n)
        quotient = gmpy2.powmod(candidate, key.exponent // prime, n) * power % n
        residue = whole.total % prime
        left = gmpy2.powmod(quotient, prime, n) * gmpy2.powmod(candidate, key.exponent % prime, n) % n
        right = product * gmpy2.powmod(generator, residue, n) % n
        if left == right:
            nonce_bytes = nonce.to_bytes(2, "big")
            parts = (element(int(candidate)), element(int(quotient)), int(residue).to_bytes(32, "big"), nonce_bytes)
            return b"".join(parts) + element(int(product))
        if left != n - right:
            break
    raise PDPDataError(
        "proof: expected the bytes that were tagged, got others: some block or tag is missing or altered"
    )
