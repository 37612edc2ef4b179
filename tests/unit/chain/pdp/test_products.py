"""Products of many powers are the same numbers as one power after another, whatever the numbers."""

from __future__ import annotations

from functools import reduce

import pytest
from gmpy2 import mpz, powmod
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chain.pdp.products import product_of_powers
from tests.slots import known_key

pytestmark = pytest.mark.unit

N = known_key(0).public.modulus
BASES = st.one_of(st.sampled_from([0, 1, 2, N - 1, N, N + 1, 2**2048 - 1]), st.integers(0, 2**2048 - 1))
EXPONENTS = st.one_of(st.sampled_from([0, 1, 2, 2**31, 2**32 - 1, 2**64 - 1]), st.integers(0, 2**64 - 1))


def one_after_another(bases: list[int], exponents: list[int], modulus: int) -> int:
    powers = (powmod(base, exponent, modulus) for base, exponent in zip(bases, exponents, strict=True))
    return int(reduce(lambda product, power: product * power % modulus, powers, mpz(1)))


@given(st.lists(st.tuples(BASES, EXPONENTS), max_size=40), st.sampled_from([N, 3**1292, 3, 2**2048 - 1]))
@settings(max_examples=150, deadline=None)
@example([(N - 1, 2**32 - 1)] * 5, N)
@example([(7, 0)] * 9, N)
@example([(0, 0)] * 5 + [(0, 1)], N)
@example([(N, 1)] * 6, N)
@example([], N)
def test_a_product_of_powers_is_what_one_power_after_another_makes(powers: list[tuple[int, int]], modulus: int) -> None:
    bases, exponents = [base for base, _ in powers], [exponent for _, exponent in powers]
    found = product_of_powers([mpz(base) for base in bases], exponents, mpz(modulus))
    assert int(found) == one_after_another(bases, exponents, modulus)


@pytest.mark.parametrize("count", [4, 5, 100, 460, 1024])
def test_as_many_as_a_challenge_may_ask_for_come_out_right(count: int) -> None:
    bases = [pow(3, index, N) for index in range(count)]
    exponents = [(0x9E3779B1 * index) % 2**32 or 1 for index in range(count)]
    found = product_of_powers([mpz(base) for base in bases], exponents, mpz(N))
    assert int(found) == pow(3, sum(index * exponent for index, exponent in enumerate(exponents)), N)


@pytest.mark.parametrize("count", [2, 9])
def test_each_base_has_its_exponent(count: int) -> None:
    for bases, exponents in (([mpz(2)] * count, [1] * (count - 1)), ([mpz(2)] * (count - 1), [1] * count)):
        with pytest.raises(ValueError, match="zip"):
            product_of_powers(bases, exponents, mpz(N))
