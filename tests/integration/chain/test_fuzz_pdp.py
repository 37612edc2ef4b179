"""Python against Solidity: 2,000 products and proofs, honest and not, and never another outcome.

The prover knows the key's order and reduces exponents by it: the same proofs, forty times as fast.
"""

from __future__ import annotations

import random

import gmpy2
import pytest
from gmpy2 import mpz

from chain.encoding import interface
from chain.errors import PDPError
from chain.pdp.challenge import Challenge, batch_transcript
from chain.pdp.verification import find_prime, product_of, verify, verify_claimed
from chain.pdp.words import element
from tests.integration.consortium import Consortium
from tests.slots import known_key

pytestmark = pytest.mark.integration

KEYS = (known_key(0), known_key(1), known_key(0, 132_049), known_key(1, 756_839))
ABI = interface("PDPVerifier").functions


class Differential:
    """Asks both, and compares."""

    def __init__(self, consortium: Consortium, seed: int) -> None:
        self.chain, self.verifier = consortium.chain, consortium.deployment.verifier
        self.random = random.Random(seed)
        self.cases = 0
        self.outcomes: dict[str, int] = {}

    def challenge(self) -> Challenge:
        draw = self.random
        blocks = draw.choice((1, 2, 3, draw.randint(1, 5), 2**32 - 1, draw.randint(1, 2**32 - 1)))
        return Challenge(draw.randbytes(32), draw.randbytes(32), blocks, draw.choice((1, 2, 3)))

    def product(self) -> None:
        key = self.random.choice(KEYS).public
        asked = [self.challenge() for _ in range(self.random.choice((1, 1, 2)))]
        words = (key.modulus_bytes, key.generator_bytes, key.exponent_bits)
        given = [(c.tau, c.sigma, c.blocks, c.size) for c in asked]
        data = self.chain.call(self.verifier, ABI["productOf"].encode(words, given))
        (found,) = ABI["productOf"].decode(data)
        assert found == element(int(product_of(key, asked))), asked
        self.cases += 1

    def proof(self, *, claimed: bool) -> None:
        draw = self.random
        private = draw.choice(KEYS)
        key, n, order = private.public, mpz(private.public.modulus), private.order
        asked = [self.challenge() for _ in range(draw.choice((1, 1, 1, 2)))]
        transcript = asked[0].sigma if len(asked) == 1 else batch_transcript(asked)
        # Any total will do for a tagger: with d it makes the tag that fits.
        total = mpz(draw.choice((0, 1, draw.getrandbits(300), draw.getrandbits(5000))))
        if claimed and draw.random() < 0.4:
            tag = mpz(draw.choice((1, 2, n - 1, n - 2, draw.getrandbits(2047) | 1)))
            inverse = gmpy2.invert(key.generator, n)
            product = gmpy2.powmod(tag, key.exponent % order, n) * gmpy2.powmod(inverse, total % order, n) % n
        else:
            product = product_of(key, asked)
            lifted = product * gmpy2.powmod(key.generator, total % order, n) % n
            tag = gmpy2.powmod(lifted, private.inverse_exponent(order), n)
        prime, nonce = find_prime(transcript, tag, product)
        inverse = gmpy2.invert(key.generator, n)
        quotient = gmpy2.powmod(tag, key.exponent // prime % order, n)
        quotient = quotient * gmpy2.powmod(inverse, total // prime % order, n) % n
        parts = [element(int(tag)), element(int(quotient)), int(total % prime).to_bytes(32, "big")]
        parts += [nonce.to_bytes(2, "big"), element(int(product)) if claimed else b""]
        self.compare(key, asked, transcript, self.mangled(b"".join(parts), int(n), int(prime)), claimed=claimed)

    def mangled(self, proof: bytes, n: int, prime: int) -> bytes:
        """The proof as it is, or with something done to it."""
        draw = self.random
        extreme = element(draw.choice((0, 1, n - 1, n, n + 1, 2**2048 - 1)))
        what = draw.randrange(9)
        if what == 0:
            place = draw.randrange(len(proof))
            return proof[:place] + bytes([proof[place] ^ 1 << draw.randrange(8)]) + proof[place + 1 :]
        if what == 1:
            return proof[:256] + extreme + proof[512:]
        if what == 2:
            return extreme + proof[256:]
        if what == 3:
            residue = draw.choice((0, 1, prime - 1, prime, prime + 1, 2**256 - 1))
            return proof[:512] + residue.to_bytes(32, "big") + proof[544:]
        if what == 4:
            return proof[:256] + element(n - int.from_bytes(proof[256:512], "big")) + proof[512:]
        return proof

    def compare(self, key, asked, transcript, proof, *, claimed: bool) -> None:  # type: ignore[no-untyped-def]
        words = (key.modulus_bytes, key.generator_bytes, key.exponent_bits)
        given = [(c.tau, c.sigma, c.blocks, c.size) for c in asked]
        try:
            if claimed:
                verify_claimed(key, transcript, proof)
            else:
                verify(key, asked, transcript, proof)
            here = "ok"
        except PDPError as error:
            here = type(error).__name__
        calldata = (
            ABI["verifyClaimed"].encode(words, transcript, proof)
            if claimed
            else ABI["verify"].encode(words, given, transcript, proof)
        )
        try:
            self.chain.call(self.verifier, calldata)
            there = "ok"
        except PDPError as error:
            there = type(error).__name__
        assert here == there, (key.exponent_bits, asked, transcript.hex(), proof.hex())
        self.outcomes[here] = self.outcomes.get(here, 0) + 1
        self.cases += 1


def test_products_come_out_the_same(consortium: Consortium) -> None:
    fuzz = Differential(consortium, 1)
    for _ in range(800):
        fuzz.product()
    assert fuzz.cases == 800


@pytest.mark.parametrize("claimed", [False, True], ids=["full", "claimed"])
def test_proofs_are_accepted_and_refused_alike(consortium: Consortium, claimed: bool) -> None:
    fuzz = Differential(consortium, 2 + claimed)
    for _ in range(600):
        fuzz.proof(claimed=claimed)
    assert fuzz.cases == 600
    # All outcomes but a wrong length have happened, the good one most often.
    assert set(fuzz.outcomes) == {"ok", "PDPRange", "PDPNotPrime", "PDPResidue", "PDPEquation"}
    assert fuzz.outcomes["ok"] > 250
