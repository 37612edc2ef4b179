"""Sealed device updates: everything that must not open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.sealed import (
    AUDITOR,
    CONTEXT,
    HOW,
    KEY,
    PLAINTEXT,
    SEALED,
    SECOND,
    STATION,
    contexts,
    flipped,
    grant_of,
    hkdf,
    opened,
)
from twins import encryption as module
from twins.encryption import (
    Grant,
    Keyring,
    ReaderId,
    ReaderKey,
    parse_reader_id,
)
from twins.errors import FormatError, NoGrantError, SealError
from twins.types import Digest, digest_bytes, sha256_digest

pytestmark = pytest.mark.unit


# Tampering: whoever holds a key is told that the bytes aren't what was sealed.


@pytest.mark.parametrize("reader", [AUDITOR, STATION], ids=["with a grant", "the station itself"])
def test_a_flipped_bit_anywhere_in_the_sealed_bytes_is_found(reader: ReaderKey) -> None:
    for bit in range(8 * len(SEALED)):
        with pytest.raises(SealError, match="don't open"):
            opened(reader, sealed=flipped(SEALED, bit))


@pytest.mark.parametrize("reader", [AUDITOR, STATION], ids=["with a grant", "the station itself"])
def test_sealed_bytes_cut_short_or_made_longer_are_found(reader: ReaderKey) -> None:
    for data in (*(SEALED[:length] for length in range(len(SEALED))), SEALED + b"\0", b"\0" + SEALED):
        with pytest.raises(SealError):
            opened(reader, sealed=data)


def test_a_flipped_bit_anywhere_in_a_grant_is_found() -> None:
    wrapped = bytes.fromhex(grant_of(AUDITOR).wrapped[2:])
    for bit in range(8 * len(wrapped)):
        grant = Grant(AUDITOR.public, "0x" + flipped(wrapped, bit).hex())
        with pytest.raises(SealError, match="doesn't unwrap"):
            opened(AUDITOR, encryption=replace(HOW, grants=(grant,)))


@pytest.mark.parametrize("reader", [AUDITOR, STATION], ids=["with a grant", "the station itself"])
def test_a_flipped_bit_anywhere_in_the_context_is_found(reader: ReaderKey) -> None:
    """Sealed bytes that are moved: to another twin, another round, another station."""
    for bit in range(8 * len(CONTEXT)):
        with pytest.raises(SealError):
            opened(reader, context=flipped(CONTEXT, bit))


def test_a_flipped_bit_anywhere_in_the_senders_key_is_found() -> None:
    sender = bytes.fromhex(HOW.sender[2:])
    for bit in range(8 * len(sender) - 1):  # X25519 doesn't read the last one (RFC 7748 §5)
        changed = parse_reader_id("0x" + flipped(sender, bit).hex())
        with pytest.raises(SealError):
            opened(AUDITOR, encryption=replace(HOW, sender=changed))


@pytest.mark.parametrize("reader", [AUDITOR, STATION], ids=["with a grant", "the station itself"])
def test_another_plaintext_digest_than_that_of_the_plaintext_is_found(reader: ReaderKey) -> None:
    for bit in range(0, 256, 5):
        promised = Digest("0x" + flipped(digest_bytes(HOW.plaintext), bit).hex())
        with pytest.raises(SealError):
            opened(reader, encryption=replace(HOW, plaintext=promised))


def test_a_station_cannot_show_two_readers_two_texts_behind_one_promise() -> None:
    """GCM doesn't commit to its key; and a dishonest station may seal what it likes under the granted one."""
    content = hkdf(hkdf(KEY, b"twinledger/encryption/1"), b"content" + CONTEXT + digest_bytes(HOW.plaintext))
    other = AESGCM(content).encrypt(bytes(12), b"another text", CONTEXT)
    for reader in (AUDITOR, STATION):
        with pytest.raises(SealError, match=f"expected digest {HOW.plaintext}, got {sha256_digest(b'another text')}"):
            opened(reader, sealed=other)


def test_the_grants_of_two_readers_cannot_be_exchanged() -> None:
    exchanged = tuple(
        replace(grant_of(mine), wrapped=grant_of(other).wrapped)
        for mine, other in ((AUDITOR, SECOND), (SECOND, AUDITOR))
    )
    for reader in (AUDITOR, SECOND):
        with pytest.raises(SealError):
            opened(reader, encryption=replace(HOW, grants=exchanged))


SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
]
"""Points whose shared secret anybody knows (RFC 7748 §6.1; the list is cr.yp.to/ecdh.html's, below 2^255)."""


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_public_key_of_small_order_is_refused_on_both_sides(point: str) -> None:
    public = parse_reader_id("0x" + point)
    with pytest.raises(SealError, match="small order"):
        STATION.seal(PLAINTEXT, CONTEXT, [AUDITOR.public, public])
    with pytest.raises(SealError, match="small order"):
        STATION.grant(HOW, CONTEXT, public)
    with pytest.raises(SealError, match="small order"):
        opened(AUDITOR, encryption=replace(HOW, sender=public))


@settings(max_examples=50)
@given(st.binary(max_size=100), st.binary(min_size=40, max_size=40), contexts)
def test_whatever_the_bytes_nothing_but_a_seal_error_escapes(sealed: bytes, wrapped: bytes, context: bytes) -> None:
    grant = Grant(AUDITOR.public, "0x" + wrapped.hex())
    for encryption in (HOW, replace(HOW, grants=(grant,))):
        for reader in (AUDITOR, STATION):
            with pytest.raises(SealError):
                opened(reader, encryption=encryption, context=context, sealed=sealed)


# Spellings and sizes.


@pytest.mark.parametrize("algorithm", ["", "AES-128-GCM", "aes-256-gcm", "none"])
def test_another_algorithm_is_refused_by_name(algorithm: str) -> None:
    with pytest.raises(FormatError, match=f"sealed with '{algorithm}': expected AES-256-GCM"):
        replace(HOW, algorithm=algorithm)


@pytest.mark.parametrize(
    "text",
    [None, 5, "", "0x", "0x" + "ab" * 31, "0x" + "ab" * 33, "0x" + "AB" * 32, "ab" * 32, "0x" + "ab" * 32 + "\n"],
)
def test_a_second_spelling_of_a_readers_key_is_refused(text: object) -> None:
    with pytest.raises(FormatError, match="64 lower-case hex digits"):
        parse_reader_id(text)
    with pytest.raises(FormatError):
        Grant(ReaderId(text), "0x" + "00" * 40)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrapped", ["", "0x", "0x" + "00" * 39, "0x" + "00" * 41, "0x" + "AA" * 40, "00" * 40])
def test_a_grant_of_another_length_or_spelling_is_refused(wrapped: str) -> None:
    with pytest.raises(FormatError, match="80 lower-case hex digits"):
        Grant(AUDITOR.public, wrapped)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_private_key_of_another_length_is_refused_without_being_named(length: int) -> None:
    raw = b"\x5a" * length
    with pytest.raises(FormatError, match=f"expected 32 bytes, got {length}") as refused:
        ReaderKey.from_bytes(raw)
    assert not raw or raw.hex() not in str(refused.value)


def test_no_secret_is_in_what_is_printed() -> None:
    shown = [repr(value) for value in (STATION, AUDITOR, Keyring([AUDITOR, STATION]), HOW)]
    for bad in (replace(HOW, grants=(Grant(AUDITOR.public, "0x" + "00" * 40),)), replace(HOW, grants=())):
        with pytest.raises((SealError, NoGrantError)) as refused:
            opened(AUDITOR, encryption=bad)
        shown.append(str(refused.value))
    secrets = [KEY, hkdf(KEY, b"twinledger/encryption/1"), STATION.to_bytes(), AUDITOR.to_bytes()]
    assert not [secret for secret in secrets for text in shown if secret.hex() in text or repr(secret) in text]


def test_more_than_one_call_can_seal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 1000)  # of 2 GiB, which no test should hold
    assert len(STATION.seal(bytes(984), CONTEXT, [])[0]) == 1000
    with pytest.raises(SealError, match="expected less than 2 GiB to seal at once, got 985 bytes"):
        STATION.seal(bytes(985), CONTEXT, [])
