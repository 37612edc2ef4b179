"""Python against the verifier's insides: 2,000 multiplications, powers, hashes and primes, extreme ones among them.

Whole proofs show an error of carry or of aliasing once in 2^32 times (test_fuzz_pdp.py); here it shows at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import gmpy2
import pytest
from gmpy2 import mpz

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.compiler import Compiler
from chain.connection import Chain
from chain.encoding import Interface
from chain.pdp.words import element, full_domain_hash
from tests.integration.consortium import Consortium
from tests.slots import known_key
from twins.types import Address

pytestmark = pytest.mark.integration

FILE = "tests/contracts/harness/PDPHarness.sol"
WORD = 2**256 - 1
MODULI = (
    known_key(0).public.modulus,
    known_key(1).public.modulus,
    2**2048 - 1,
    2**2047 + 1,
    3**1292,
    sum(WORD << 512 * part for part in range(4)) | 1 << 2047,  # full words between empty ones: carries run through
)
ALIASES = range(5)  # none, output is x, output is y, y is x, all three


@cache
def compiled() -> dict[str, Any]:
    """The harness, as the verifier is compiled."""
    compiler = Compiler()
    source = (compiler.project / FILE).read_text(encoding="utf-8")
    output = compiler._run({FILE: source}, compiler.settings_of("PDPVerifier"))
    return dict(output["contracts"][FILE]["PDPHarness"])


class Inside:
    """The library as a test's contract shows it, with memory that was used before."""

    def __init__(self, chain: Chain) -> None:
        code = bytes.fromhex(compiled()["evm"]["bytecode"]["object"])
        created = chain.deploy(Account.from_mnemonic(HARDHAT_MNEMONIC, 60), code).contract_address
        assert created is not None
        self.chain, self.address = chain, Address(created)
        self.functions = Interface.of("PDPHarness", compiled()["abi"]).functions

    def read(self, name: str, *values: object) -> tuple[object, ...]:
        function = self.functions[name]
        return function.decode(self.chain.call(self.address, function.encode(*values)))


@pytest.fixture
def inside(consortium: Consortium) -> Inside:
    return Inside(consortium.chain)


def numbers(draw: random.Random, n: int) -> int:
    """Below n: extreme, close to a word's border, of few words, or anything."""
    border = 1 << 256 * draw.randrange(1, 8)
    extreme = (0, 1, 2, n - 1, n - 2, n // 2, n // 2 + 1, 2**2047 - 1, border - 1, border, n - border)
    kind = draw.randrange(4)
    value = (draw.choice(extreme), draw.getrandbits(2048), draw.getrandbits(draw.randrange(1, 2048)))[min(kind, 2)]
    return value % n


def pairs(draw: random.Random, count: int) -> Iterator[tuple[int, int, int, int]]:
    """Modulus, x, y and which places are the same: every modulus with every alias, equals and neighbours too."""
    for case in range(count):
        n, alias = MODULI[case % len(MODULI)], ALIASES[case // len(MODULI) % len(ALIASES)]
        x = numbers(draw, n)
        y = draw.choice((numbers(draw, n), numbers(draw, n), x, (x + 1) % n, n - 1 - x))
        yield n, x, y, alias


def test_products_of_two_come_out_the_same_wherever_they_are_written(inside: Inside) -> None:
    for n, x, y, alias in pairs(random.Random(1), 600):
        other = x if alias > 2 else y
        result, x_after, y_after, n_after = inside.read("mul4", element(n), element(x), element(y), alias)
        expected = element(4 * x * other % n)
        assert result == expected, (n, x, y, alias)
        assert n_after == element(n)
        assert x_after == (expected if alias in (1, 4) else element(x)), (n, x, y, alias)
        assert y_after == (expected if alias in (2, 4) else element(other)), (n, x, y, alias)


def test_powers_come_out_the_same_in_place_and_elsewhere(inside: Inside) -> None:
    draw = random.Random(2)
    for case in range(500):
        n = MODULI[case % len(MODULI)]
        base = numbers(draw, n)
        exponent = draw.choice((0, 1, 2, 3, 2**32 - 1, 2**255, WORD, draw.getrandbits(32), draw.getrandbits(256)))
        (found,) = inside.read("power", element(n), element(base), exponent, bool(case & 1))
        assert found == element(int(gmpy2.powmod(base, exponent, n))), (n, base, exponent)


def test_full_domain_hashes_come_out_the_same(inside: Inside) -> None:
    draw = random.Random(3)
    for _ in range(500):
        seed = draw.choice((bytes(32), b"\xff" * 32, draw.randbytes(32)))
        index = draw.choice((0, 1, 255, 256, 2**31, 2**32 - 1, draw.getrandbits(32), draw.getrandbits(10)))
        (found,) = inside.read("fullDomainHash", seed, index)
        assert found == element(full_domain_hash(seed, index)), (seed.hex(), index)


def test_candidates_are_primes_for_both_or_for_neither(inside: Inside) -> None:
    draw = random.Random(4)
    primes = 0
    for case in range(400):
        candidate = mpz(draw.getrandbits(256) | 1 | 1 << 255)
        if case % 8 == 0:
            candidate = gmpy2.next_prime(candidate)
        elif case % 8 == 1:  # a product of two primes, which weaker tests are slow to find out
            candidate = gmpy2.next_prime(draw.getrandbits(127) | 1 << 127) * gmpy2.next_prime(draw.getrandbits(126))
        if candidate > WORD:
            continue
        expected = gmpy2.is_prime(candidate, 25)
        primes += expected
        assert inside.read("isPrime", int(candidate)) == (expected,), candidate
    assert primes >= 45
