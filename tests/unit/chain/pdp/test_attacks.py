"""Attacks that textbook schemes fell to (docs/protocol-pdp.md, A1 to A5), on this one; and bytes that aren't whole."""

from __future__ import annotations

import gmpy2
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import PDPBadKey, PDPDataError, PDPEquation, PDPError, PDPNotPrime, PDPTagsError
from chain.pdp import tags as tagging
from chain.pdp.challenge import Challenge
from chain.pdp.keys import BLOCK_BYTES, PublicKey
from chain.pdp.proof import Aggregate, aggregate, prove, prove_together
from chain.pdp.sources import BytesSource, merkle_root
from chain.pdp.tags import HEADER_BYTES, TagDomain, Tags, check_tags, make_tags
from chain.pdp.verification import product_of, verify
from chain.pdp.words import element
from tests.slots import content, known_key
from tests.vectors.make_pdp import CONTRACT, Artifact

pytestmark = pytest.mark.unit

KEY = known_key(0)
B = 4096
DATA = content("attacked", 5 * B - 77)
ARTIFACT = Artifact.of(DATA, KEY)


def domain_of(data: bytes, twin: int = 1) -> TagDomain:
    root = merkle_root(BytesSource(data), B)
    return TagDomain(31337, CONTRACT, twin.to_bytes(32, "big"), 1, bytes(32), KEY.public.key_id, root, len(data), B)  # type: ignore[arg-type]


def with_tags(tags: Tags, changes: dict[int, int]) -> Tags:
    """The same file with some tags replaced."""
    data = bytearray(tags.to_bytes())
    for index, value in changes.items():
        data[HEADER_BYTES + 256 * index : HEADER_BYTES + 256 * (index + 1)] = element(value)
    return Tags.from_bytes(bytes(data))


# -- A1 to A5 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", BLOCK_BYTES)
def test_a1_every_exponent_is_a_prime_above_every_block(bits: int) -> None:
    assert bits > 8 * BLOCK_BYTES[bits]
    # 2^x - 1 of the table are Mersenne primes; proving so takes minutes, a Fermat test of the smallest a second.
    if bits == 44_497:
        exponent = (mpz(1) << bits) - 1
        assert gmpy2.powmod(3, exponent - 1, exponent) == 1


def test_a1_who_keeps_blocks_modulo_a_small_number_proves_nothing() -> None:
    challenge = ARTIFACT.challenge()
    whole = aggregate(BytesSource(DATA), ARTIFACT.tags, KEY.public, challenge)
    n = mpz(KEY.public.modulus)
    quotient, kept = divmod(whole.total, 65_537)
    adjusted = whole.tag * gmpy2.powmod(gmpy2.invert(KEY.public.generator, n), quotient, n) % n
    with pytest.raises(PDPDataError):
        prove_together([Aggregate(adjusted, kept, whole.product)], KEY.public, challenge.sigma)


def test_a1_blocks_moved_by_the_exponent_are_the_same_blocks() -> None:
    # Accepted, and no loss: whoever knows m + e knows m.
    challenge = ARTIFACT.challenge()
    whole = aggregate(BytesSource(DATA), ARTIFACT.tags, KEY.public, challenge)
    moved = Aggregate(whole.tag * KEY.public.generator, whole.total + KEY.public.exponent, whole.product)
    proof = prove_together([moved], KEY.public, challenge.sigma)[:546]
    verify(KEY.public, [challenge], challenge.sigma, proof)


def test_a3_a_missing_tag_does_not_follow_from_others() -> None:
    n = mpz(KEY.public.modulus)
    tags = ARTIFACT.tags
    guess = gmpy2.powmod(tags[1], 2, n) * gmpy2.invert(tags[0], n) % n  # h_2 = h_1² / h_0, were h_i = g^i
    with pytest.raises(PDPTagsError):
        check_tags(BytesSource(DATA), with_tags(tags, {2: int(guess)}), KEY.public, domain_of_artifact())


def domain_of_artifact() -> TagDomain:
    import hashlib

    root = merkle_root(BytesSource(DATA), B)
    words = ((1).to_bytes(32, "big"), 1, hashlib.sha256(DATA).digest(), KEY.public.key_id)
    return TagDomain(31337, CONTRACT, *words, root, len(DATA), B)  # type: ignore[arg-type]


def test_a4_equal_blocks_of_two_twins_have_tags_that_fit_only_their_own() -> None:
    mine, theirs = (make_tags(BytesSource(DATA), KEY, domain_of(DATA, twin), workers=1) for twin in (1, 2))
    assert [mine[i] for i in range(5)] != [theirs[i] for i in range(5)]
    transplanted = with_tags(mine, {0: theirs[0]})
    with pytest.raises(PDPTagsError):
        check_tags(BytesSource(DATA), transplanted, KEY.public, domain_of(DATA, 1))


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
@settings(max_examples=25)
def test_a5_two_contents_never_share_a_domain(place: int, change: int) -> None:
    other = bytearray(DATA)
    other[place] ^= change
    assert domain_of(bytes(other)).tau != domain_of(DATA).tau
    assert domain_of(DATA[:place] or b"x").tau != domain_of(DATA).tau


# -- bytes that aren't whole ------------------------------------------------------------------------------------------

LAST = len(DATA) - 1


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("one bit of the first block changed", bytes([DATA[0] ^ 1]) + DATA[1:]),
        ("one bit of a middle block changed", DATA[: 2 * B + 9] + bytes([DATA[2 * B + 9] ^ 128]) + DATA[2 * B + 10 :]),
        ("one bit of the last block changed", DATA[:LAST] + bytes([DATA[LAST] ^ 1])),
        ("one byte less", DATA[:-1]),
        ("one byte more, not zero", DATA + b"\1"),
        ("truncated by one block", DATA[: 4 * B]),
        ("a block more", DATA + content("another block", B)),
        ("two blocks swapped", DATA[B : 2 * B] + DATA[:B] + DATA[2 * B :]),
        ("all zero", bytes(len(DATA))),
        ("an older version", content("older", len(DATA))),
    ],
)
def test_who_has_other_bytes_proves_nothing(what: str, data: bytes) -> None:
    with pytest.raises(PDPDataError):
        prove(BytesSource(data), ARTIFACT.tags, KEY.public, ARTIFACT.challenge())


def test_two_blocks_swapped_together_with_their_tags_prove_nothing() -> None:
    data = DATA[B : 2 * B] + DATA[:B] + DATA[2 * B :]
    tags = with_tags(ARTIFACT.tags, {0: ARTIFACT.tags[1], 1: ARTIFACT.tags[0]})
    with pytest.raises(PDPDataError):
        prove(BytesSource(data), tags, KEY.public, ARTIFACT.challenge())


def test_a_proof_from_altered_bytes_is_refused_by_the_verifier_too() -> None:
    # The honest prover notices by itself; this one doesn't look.
    challenge = ARTIFACT.challenge()
    whole = aggregate(BytesSource(DATA), ARTIFACT.tags, KEY.public, challenge)
    key, n = KEY.public, mpz(KEY.public.modulus)
    from chain.pdp.verification import find_prime

    prime, nonce = find_prime(challenge.sigma, whole.tag, product_of(key, [challenge]))
    total = whole.total + 1
    inverse = gmpy2.invert(key.generator, n)
    quotient = gmpy2.powmod(whole.tag, key.exponent // prime, n) * gmpy2.powmod(inverse, total // prime, n) % n
    residue = int(total % prime).to_bytes(32, "big")
    with pytest.raises(PDPEquation):
        verify(
            key,
            [challenge],
            challenge.sigma,
            element(int(whole.tag)) + element(int(quotient)) + residue + nonce.to_bytes(2, "big"),
        )


def test_errors_of_several_twins_in_a_batch_do_not_cancel() -> None:
    from chain.pdp.challenge import batch_transcript

    parts = [Artifact.of(content(f"b{twin}", 2 * B), KEY, twin=twin) for twin in (1, 2)]
    asked = [part.challenge() for part in parts]
    made = [aggregate(BytesSource(p.data), p.tags, KEY.public, c) for p, c in zip(parts, asked, strict=True)]
    wrong = [Aggregate(made[0].tag, made[0].total + 5, made[0].product)]
    wrong.append(Aggregate(made[1].tag, made[1].total - 4, made[1].product))
    with pytest.raises(PDPDataError):
        prove_together(wrong, KEY.public, batch_transcript(asked))


# -- wrong tags -------------------------------------------------------------------------------------------------------


def test_wrong_tags_fail_the_acceptance_test() -> None:
    for index in range(5):
        tags = with_tags(ARTIFACT.tags, {index: ARTIFACT.tags[index] + 1})
        with pytest.raises(PDPTagsError):
            check_tags(BytesSource(DATA), tags, KEY.public, domain_of_artifact())
    for value in (0, KEY.public.modulus):
        with pytest.raises(PDPTagsError):
            check_tags(BytesSource(DATA), with_tags(ARTIFACT.tags, {3: value}), KEY.public, domain_of_artifact())


def test_a_tag_with_its_sign_flipped_is_mended_by_the_prover() -> None:
    flipped = with_tags(ARTIFACT.tags, {1: KEY.public.modulus - ARTIFACT.tags[1]})
    check_tags(BytesSource(DATA), flipped, KEY.public, domain_of_artifact())
    for slot in range(3):  # the coefficient's parity decides whether the sign shows
        challenge = ARTIFACT.challenge(slot)
        verify(KEY.public, [challenge], challenge.sigma, prove(BytesSource(DATA), flipped, KEY.public, challenge))


def test_a_fault_of_the_tagger_s_machine_is_found_before_anything_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    # One wrong half of the Chinese remainder would give away a factor: gcd(T^e - h·g^m, N).
    honest = tagging._Half.tag

    def faulty(half: tagging._Half, hashed: mpz, number: mpz) -> mpz:
        return (honest(half, hashed, number) + (half.factor == KEY.p)) % half.factor

    monkeypatch.setattr(tagging._Half, "tag", faulty)
    with pytest.raises(PDPTagsError):
        make_tags(BytesSource(DATA), KEY, domain_of(DATA), workers=1)


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "modulus"),
    [
        (65_537, KEY.public.modulus),
        (44_497, KEY.public.modulus - 1),
        (44_497, KEY.public.modulus >> 1 | 1),
        (44_497, KEY.public.modulus << 1 | 1),
    ],
    ids=["an exponent that isn't in the table", "an even modulus", "a clear top bit", "2049 bits"],
)
def test_keys_that_nothing_can_rest_on_are_refused(bits: int, modulus: int) -> None:
    with pytest.raises(PDPBadKey):
        PublicKey(bits, modulus)


def test_a_proof_fits_no_other_key() -> None:
    challenge = ARTIFACT.challenge()
    proof = prove(BytesSource(DATA), ARTIFACT.tags, KEY.public, challenge)
    with pytest.raises(PDPError) as caught:
        verify(known_key(1).public, [challenge], challenge.sigma, proof)
    assert isinstance(caught.value, PDPNotPrime | PDPEquation)


def test_the_frequency_of_detection_is_the_formula_s() -> None:
    # 20 of 1000 blocks are gone; 2,000 slots; 1 - (1 - a)^c within three standard deviations.
    gone, size, trials = set(range(0, 1000, 50)), 50, 2000
    found = 0
    for slot in range(trials):
        challenge = Challenge.of(slot.to_bytes(32, "big"), bytes(32), CONTRACT, blocks=1000, size=size)  # type: ignore[arg-type]
        found += any(index in gone for index, _ in challenge.indices())
    expected = 1 - (1 - len(gone) / 1000) ** size
    deviation = (expected * (1 - expected) / trials) ** 0.5
    assert abs(found / trials - expected) < 3 * deviation
