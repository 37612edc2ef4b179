"""Attacks A3 and A5 carried out to the end, each beside the scheme that falls to it; and garbage instead of proofs."""

from __future__ import annotations

from collections.abc import Iterator

import gmpy2
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import PDPEquation, PDPError, PDPLength, PDPRange
from chain.pdp.challenge import Challenge
from chain.pdp.proof import Aggregate, aggregate
from chain.pdp.sources import BytesSource, block_number
from chain.pdp.verification import check_claim, find_prime, product_of, verify, verify_claimed
from chain.pdp.words import element, full_domain_hash
from tests.slots import content, known_key
from tests.vectors.make_pdp import Artifact

pytestmark = pytest.mark.unit

KEY = known_key(0)
PUBLIC, N, E, G = KEY.public, mpz(KEY.public.modulus), KEY.public.exponent, KEY.public.generator
B = 4096
DATA = content("forged", 4 * B)
ARTIFACT = Artifact.of(DATA, KEY)


def power(base: mpz, exponent: mpz) -> mpz:
    """Modulo N; whoever knows the order is quick, and this file makes attacks quickly."""
    return gmpy2.powmod(base, exponent % KEY.order, N)


def answer(made: Aggregate, transcript: bytes) -> bytes:
    """A proof by somebody who doesn't look whether it holds."""
    tag, product = made.tag % N, made.product % N
    prime, nonce = find_prime(transcript, tag, product)
    quotient = power(tag, E // prime) * power(gmpy2.invert(G, N), made.total // prime) % N
    parts = (element(int(tag)), element(int(quotient)), int(made.total % prime).to_bytes(32, "big"))
    return b"".join(parts) + nonce.to_bytes(2, "big")


def with_blocks(challenge: Challenge, tags: list[mpz], blocks: list[mpz]) -> bytes:
    """The answer of somebody who has these tags and numbers."""
    tag, total = mpz(1), mpz(0)
    for index, coefficient in challenge.indices():
        tag = tag * power(tags[index], mpz(coefficient)) % N
        total += coefficient * blocks[index]
    return answer(Aggregate(tag, total, product_of(PUBLIC, [challenge])), challenge.sigma)


def parts_of(artifact: Artifact) -> tuple[list[mpz], list[mpz]]:
    """Tags and blocks."""
    numbers = [mpz(block_number(artifact.data[at : at + B], B)) for at in range(0, len(artifact.data), B)]
    return [mpz(artifact.tags[index]) for index in range(artifact.tags.blocks)], numbers


def test_whoever_has_tags_and_blocks_is_believed() -> None:
    challenge = ARTIFACT.challenge()
    verify(PUBLIC, [challenge], challenge.sigma, with_blocks(challenge, *parts_of(ARTIFACT)))


def test_a3_a_tag_made_of_two_others_by_bezout_is_refused() -> None:
    tags, blocks = parts_of(ARTIFACT)
    hashes = [mpz(full_domain_hash(ARTIFACT.tags.tau, index)) for index in range(4)]
    fits = [(i, j, k) for i in range(4) for j in range(i) for k in range(4) if k not in (i, j)]
    i, j, k = next(ijk for ijk in fits if hashes[ijk[2]] % gmpy2.gcd(hashes[ijk[0]], hashes[ijk[1]]) == 0)
    divisor, u, v = gmpy2.gcdext(hashes[i], hashes[j])
    first, second = u * hashes[k] // divisor, v * hashes[k] // divisor
    number = (first * blocks[i] + second * blocks[j]) % KEY.order
    # With h_i = g^H(i) it is the tag of block k, which is nobody's.
    d = KEY.inverse_exponent(KEY.order)
    weak = [power(G, (hashed + block) * d) for hashed, block in zip(hashes, blocks, strict=True)]
    assert power(power(weak[i], first) * power(weak[j], second), E) == power(G, hashes[k] + number)
    tags[k], blocks[k] = power(tags[i], first) * power(tags[j], second) % N, number
    challenge = ARTIFACT.challenge()
    with pytest.raises(PDPEquation):
        verify(PUBLIC, [challenge], challenge.sigma, with_blocks(challenge, tags, blocks))


def test_a5_two_contents_give_away_the_root_of_g_under_one_domain_and_not_here() -> None:
    def root(other_tags: list[mpz], other_blocks: list[mpz]) -> mpz:
        tags, blocks = parts_of(ARTIFACT)
        _, u, v = gmpy2.gcdext(blocks[0] - other_blocks[0], E)
        return power(tags[0] * gmpy2.invert(other_tags[0], N) % N, u) * power(G, v) % N

    def forged(root_of_g: mpz) -> bytes:
        tags, blocks = parts_of(ARTIFACT)
        moved = [tag * power(root_of_g, mpz(12345)) % N for tag in tags]
        return with_blocks(challenge, moved, [block + 12345 for block in blocks])

    challenge = ARTIFACT.challenge()
    other_tags, other_blocks = parts_of(Artifact.of(content("another content", len(DATA)), KEY))
    with pytest.raises(PDPEquation):
        verify(PUBLIC, [challenge], challenge.sigma, forged(root(other_tags, other_blocks)))
    d = KEY.inverse_exponent(KEY.order)
    shared = [
        power(full_domain_hash(ARTIFACT.tags.tau, i) * power(G, block) % N, d) for i, block in enumerate(other_blocks)
    ]
    found = root(shared, other_blocks)
    assert power(found, E) == G  # what one domain for both would disclose
    verify(PUBLIC, [challenge], challenge.sigma, forged(found))


class Untouched(list[Challenge]):
    """Challenges that nobody may look at yet."""

    def __iter__(self) -> Iterator[Challenge]:
        raise AssertionError("a product was computed for what can't be a proof")


@pytest.mark.parametrize("value", [0, int(N), int(N) + 1, 2**2048 - 1])
def test_what_is_no_element_is_refused_before_anything_is_computed(value: int) -> None:
    asked = Untouched([ARTIFACT.challenge()])
    for proof in (element(value) + element(1), element(1) + element(value), 2 * element(value)):
        with pytest.raises(PDPRange):
            verify(PUBLIC, asked, bytes(32), proof + bytes(34))


@given(st.one_of(st.binary(max_size=900), st.binary(min_size=546, max_size=546), st.binary(min_size=802, max_size=802)))
@settings(max_examples=120, deadline=None)
def test_garbage_is_refused_by_name_whatever_it_is(data: bytes) -> None:
    challenge = ARTIFACT.challenge()
    for check in (
        lambda: verify(PUBLIC, [challenge], challenge.sigma, data),
        lambda: verify_claimed(PUBLIC, challenge.sigma, data),
        lambda: check_claim(PUBLIC, [challenge], challenge.sigma, data),
    ):
        with pytest.raises(PDPError) as caught:
            check()
        assert len(data) in (546, 802) or isinstance(caught.value, PDPLength)


def test_an_answer_for_another_total_is_refused() -> None:
    challenge = ARTIFACT.challenge()
    made = aggregate(BytesSource(DATA), ARTIFACT.tags, PUBLIC, challenge)
    verify(PUBLIC, [challenge], challenge.sigma, answer(made, challenge.sigma))
    for total in (made.total + 1, made.total - 1, made.total % 2**256, mpz(0)):
        proof = answer(Aggregate(made.tag, total, made.product), challenge.sigma)
        with pytest.raises(PDPEquation):
            verify(PUBLIC, [challenge], challenge.sigma, proof)
    moved = Aggregate(made.tag * G % N, made.total + E, made.product)  # the same modulo e: the same blocks
    verify(PUBLIC, [challenge], challenge.sigma, answer(moved, challenge.sigma))
