"""Verification: the same checks, in the same order, under the same names as `contracts/lib/PDP.sol`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gmpy2
from eth_hash.auto import keccak
from gmpy2 import mpz

from chain.errors.pdp import PDPClaim, PDPDataError, PDPEquation, PDPLength, PDPNotPrime, PDPRange, PDPResidue
from chain.pdp.challenge import Challenge
from chain.pdp.keys import PublicKey
from chain.pdp.products import product_of_powers
from chain.pdp.words import DOMAINS, MODULUS_BYTES, element, full_domain_hash

PROOF_BYTES = 546
CLAIMED_BYTES = PROOF_BYTES + MODULUS_BYTES
MAX_NONCE = 1 << 16
"""A grinding prover gains no more than its bits."""


@dataclass(frozen=True)
class Proof:
    """A proof, taken apart.

    Attributes:
        tag: T.
        quotient: Q.
        residue: r.
        nonce: of the transcript.
    """

    tag: mpz
    quotient: mpz
    residue: mpz
    nonce: int

    @classmethod
    def parse(cls, data: bytes) -> Proof:
        """Take 546 bytes apart; `verify` judges them.

        Raises:
            PDPLength: another length.
        """
        if len(data) != PROOF_BYTES:
            raise PDPLength(PROOF_BYTES, len(data))
        tag, quotient, residue = (
            mpz(int.from_bytes(part, "big")) for part in (data[:256], data[256:512], data[512:544])
        )
        return cls(tag, quotient, residue, int.from_bytes(data[544:], "big"))


def verify(key: PublicKey, challenges: Sequence[Challenge], transcript: bytes, proof: bytes) -> None:
    """Check a proof of one or several artifacts under one key.

    Args:
        key: as registered.
        challenges: one for each artifact.
        transcript: sigma of the one challenge, or `chain.pdp.challenge.batch_transcript` of several.
        proof: 546 bytes.

    Raises:
        PDPLength, PDPRange, PDPNotPrime, PDPResidue, PDPEquation: the first check that fails.
    """
    _check(key, transcript, Proof.parse(proof), lambda: product_of(key, challenges))


def verify_claimed(key: PublicKey, transcript: bytes, claimed: bytes) -> mpz:
    """Check that a claimed proof (802 bytes) fits the product that it claims, and return that product.

    This alone proves nothing: choose any T and M, claim P = T^e · g^-M, and all of it passes: see `check_claim`.

    Raises:
        PDPLength, PDPRange, PDPNotPrime, PDPResidue, PDPEquation: the first check that fails.
    """
    if len(claimed) != CLAIMED_BYTES:
        raise PDPLength(CLAIMED_BYTES, len(claimed))
    product = mpz(int.from_bytes(claimed[PROOF_BYTES:], "big"))
    _check(key, transcript, Proof.parse(claimed[:PROOF_BYTES]), lambda: product)
    return product


def check_claim(key: PublicKey, challenges: Sequence[Challenge], transcript: bytes, claimed: bytes) -> None:
    """Check a claimed proof completely: what a watcher does, and a dispute on the chain.

    Raises:
        PDPLength, PDPRange, PDPNotPrime, PDPResidue, PDPEquation: the first check that fails.
        PDPClaim: the product isn't that of the challenged tags.
    """
    if verify_claimed(key, transcript, claimed) != product_of(key, challenges):
        raise PDPClaim("claim: expected the product of the challenged tags' hashes, got another; dispute it")


def product_of(key: PublicKey, challenges: Sequence[Challenge]) -> mpz:
    """Return P, the product of the challenged tags' domain hashes to their coefficients."""
    hashes, coefficients = [], []
    for challenge in challenges:
        for index, coefficient in challenge.indices():
            hashes.append(mpz(full_domain_hash(challenge.tau, index)))
            coefficients.append(coefficient)
    return product_of_powers(hashes, coefficients, mpz(key.modulus))


def transcript_prime(transcript: bytes, tag: bytes, product: bytes, nonce: int) -> mpz:
    """Return the candidate for the prime of a transcript: 256 bits, odd."""
    hashed = keccak(DOMAINS["prime"] + transcript + tag + product + nonce.to_bytes(32, "big"))
    return mpz(int.from_bytes(hashed, "big") | 1 | 1 << 255)


def find_prime(transcript: bytes, tag: mpz, product: mpz) -> tuple[mpz, int]:
    """Return the first prime of a transcript and its nonce.

    Raises:
        PDPDataError: none below the bound; it happens never.
    """
    tag_bytes, product_bytes = element(int(tag)), element(int(product))
    for nonce in range(MAX_NONCE):
        prime = transcript_prime(transcript, tag_bytes, product_bytes, nonce)
        if gmpy2.is_prime(prime, 25):
            return prime, nonce
    raise PDPDataError(f"proof: expected a prime within {MAX_NONCE} trials, got none")


def _check(key: PublicKey, transcript: bytes, proof: Proof, product: Callable[[], mpz]) -> None:
    n = mpz(key.modulus)
    # 0 and N make both sides of the equation 0 (A2); a second spelling would be a second proof. What was sent is looked
    # at first: garbage costs nobody a product.
    if not (0 < proof.tag < n and 0 < proof.quotient < n):
        raise PDPRange
    value = product()
    if not 0 < value < n:
        raise PDPRange
    prime = transcript_prime(transcript, element(int(proof.tag)), element(int(value)), proof.nonce)
    # With a composite whose factors are known a quotient could be found without the data.
    if not gmpy2.is_prime(prime, 25):
        raise PDPNotPrime
    if proof.residue >= prime:
        raise PDPResidue
    left = gmpy2.powmod(proof.quotient, prime, n) * gmpy2.powmod(proof.tag, key.exponent % prime, n) % n
    right = value * gmpy2.powmod(key.generator, proof.residue, n) % n
    if left != right:  # multiplied out, never divided: nothing here needs an inverse
        raise PDPEquation
