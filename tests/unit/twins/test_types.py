"""Digests, addresses and twins' names: one spelling each."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.twins.strategies import addresses
from twins.errors import FormatError
from twins.types import (
    ZERO_DIGEST,
    address_of_bytes,
    digest_bytes,
    digest_of_bytes,
    parse_address,
    parse_digest,
    sha256_digest,
    twin_id,
)

pytestmark = pytest.mark.unit

DIGEST = "0x" + "ab" * 32


def test_sha_256_of_abc_is_that_of_fips_180() -> None:
    # FIPS 180-2, appendix B.1
    assert sha256_digest(b"abc") == "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.binary(min_size=32, max_size=32))
def test_digests_and_their_bytes_are_the_same(raw: bytes) -> None:
    assert digest_bytes(digest_of_bytes(raw)) == raw


@given(st.binary(max_size=64).filter(lambda raw: len(raw) != 32))
def test_a_digest_of_another_length_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        digest_of_bytes(raw)


@pytest.mark.parametrize(
    "text",
    [
        DIGEST.upper(),
        "0x" + "AB" * 32,
        "0X" + "ab" * 32,
        DIGEST[2:],
        DIGEST + "\n",
        " " + DIGEST,
        DIGEST[:-1] + "g",
        DIGEST[:-1] + "１",  # noqa: RUF001 - a full-width digit is a digit to Python
        "",
        None,
        12,
        b"\xab" * 32,
    ],
)
def test_other_spellings_of_a_digest_are_refused(text: object) -> None:
    with pytest.raises(FormatError, match="64 lower-case hex digits"):
        parse_digest(text)


def test_the_zero_digest_is_a_digest() -> None:
    assert digest_bytes(parse_digest(ZERO_DIGEST)) == bytes(32)


# EIP-55, "Test Cases"
EIP_55 = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("address", EIP_55)
def test_the_addresses_of_eip_55_pass_and_are_spelt_alike(address: str) -> None:
    assert parse_address(address) == address
    assert address_of_bytes(bytes.fromhex(address[2:])) == address


@pytest.mark.parametrize("address", EIP_55[4:])
def test_an_address_with_one_letter_in_the_wrong_case_is_refused(address: str) -> None:
    for position in (i for i, character in enumerate(address) if i > 1 and character.isalpha()):
        wrong = address[:position] + address[position].swapcase() + address[position + 1 :]
        with pytest.raises(FormatError, match="EIP-55"):
            parse_address(wrong)


@given(addresses)
def test_an_address_without_its_prefix_or_in_one_case_is_refused(address: str) -> None:
    for other in {address[2:], address.lower(), "0x" + address[2:].upper()} - {address}:
        with pytest.raises(FormatError):
            parse_address(other)


@pytest.mark.parametrize("value", [None, 5, b"\x01" * 20, ["0x" + "00" * 20], "", "0x", "0x" + "1" * 39])
def test_what_is_no_address_is_refused(value: object) -> None:
    with pytest.raises(FormatError):
        parse_address(value)


def test_a_twins_id_is_the_keccak_of_its_namespaced_name() -> None:
    assert twin_id("plant/pump-7") == "0x" + keccak(b"twinledger/plant/pump-7").hex()


@pytest.mark.parametrize("name", ["a", "7", "plant/pump-7", "a.b_c-d/e", "a" * 128])
def test_plain_names_are_twins_names(name: str) -> None:
    assert parse_digest(twin_id(name))


@pytest.mark.parametrize("name", ["", "A", "-a", "/a", ".a", "a b", "a\n", "ä", "a" * 129, "pump\u200b", "pum\u0440"])
def test_names_that_could_be_taken_for_another_are_refused(name: str) -> None:
    with pytest.raises(FormatError, match="twin's name"):
        twin_id(name)


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9._/-]{0,127}", fullmatch=True), unique=True, min_size=2))
def test_different_names_are_different_twins(names: list[str]) -> None:
    assert len({twin_id(name) for name in names}) == len(names)
