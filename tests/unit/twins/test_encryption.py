"""Sealed device updates: the standards' vectors, then laws, then everything that must not open."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.strategies import addresses, twin_ids
from twins import encryption as module
from twins.encryption import (
    Encryption,
    Grant,
    Keyring,
    ReaderId,
    ReaderKey,
    StationSecret,
    encryption_context,
    parse_reader_id,
)
from twins.errors import FormatError, NoGrantError, SealError
from twins.types import Digest, address_of_bytes, digest_bytes, sha256_digest, twin_id

pytestmark = pytest.mark.unit

TWIN = twin_id("plant/pump")
ADDRESS = address_of_bytes(bytes.fromhex("0aBc" * 10))
CONTEXT = encryption_context(TWIN, 7, ADDRESS)
UPDATE = Digest("0x" + "77" * 32)
PLAINTEXT = b"TLBUNDL2\0 the devices' updates"

KEY = b"\x01" * 32
STATION, OTHER_STATION = StationSecret.from_key(KEY), StationSecret.from_key(b"\x02" * 32)
AUDITOR, SECOND, STRANGER = (ReaderKey.from_bytes(bytes([n]) * 32) for n in (3, 4, 5))
SEALED, HOW = STATION.seal(PLAINTEXT, CONTEXT, [AUDITOR.public, SECOND.public])

contexts = st.builds(encryption_context, twin_ids, st.integers(0, 2**64 - 1), addresses)


def grant_of(reader: ReaderKey, encryption: Encryption = HOW) -> Grant:
    return next(grant for grant in encryption.grants if grant.reader == reader.public)


def opened(
    *readers: ReaderKey, encryption: Encryption = HOW, context: bytes = CONTEXT, sealed: bytes = SEALED
) -> bytes:
    return Keyring(readers).open(UPDATE, encryption, context, sealed)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# The standards' vectors: that what is called is what is cited.


def test_derivation_equals_rfc_5869() -> None:
    """Appendix A.3: without salt or info, the first 32 of its bytes."""
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert module._derive(b"\x0b" * 22, b"").hex() == expected


def test_wrapping_equals_rfc_3394() -> None:
    """§4.6: a key of 256 bits under another of 256 bits."""
    under = bytes(range(32))
    key = bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    wrapped = bytes.fromhex("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")
    assert aes_key_wrap(under, key) == wrapped
    assert aes_key_unwrap(under, wrapped) == key


def test_public_keys_and_shared_secrets_equal_rfc_7748() -> None:
    """§6.1: Alice and Bob."""
    alice = ReaderKey.from_bytes(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    bob = ReaderKey.from_bytes(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    assert alice.public == "0x8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert bob.public == "0xde9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    for mine, others in ((alice, bob.public), (bob, alice.public)):
        assert mine._shared(others, CONTEXT) == module._derive(shared, b"wrap" + CONTEXT)


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 for 32 bytes, written once more."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


def test_sealed_bytes_and_grants_are_those_of_the_docstring() -> None:
    secret = hkdf(KEY, b"twinledger/encryption/1")
    content = hkdf(secret, b"content" + CONTEXT + hashlib.sha256(PLAINTEXT).digest())
    assert AESGCM(content).encrypt(bytes(12), PLAINTEXT, CONTEXT) == SEALED
    station = ReaderKey.from_bytes(hkdf(secret, b"x25519"))
    assert station.public == STATION.public == HOW.sender
    for reader in (AUDITOR, SECOND):
        wrapped = aes_key_wrap(reader._shared(station.public, CONTEXT), content)
        assert grant_of(reader) == Grant(reader.public, "0x" + wrapped.hex())
    assert HOW.plaintext == sha256_digest(PLAINTEXT)
    assert digest_bytes(TWIN) + (7).to_bytes(8, "big") + bytes.fromhex(ADDRESS[2:]) == CONTEXT


def test_the_digest_of_sealed_bytes_is_as_ever() -> None:
    """A golden: whoever changes it makes a run that is repeated differ from its record."""
    assert hashlib.sha256(SEALED).hexdigest() == "3f806cff435aa0644f688bc1fbfac7d1e05574de3da7ccdd7b93da6454617eee"
    assert (
        hashlib.sha256("".join(grant.wrapped for grant in HOW.grants).encode()).hexdigest()
        == "de951ceae59eef4a5febaeaf8784ac0d84cbe1747b6b430cb10b3189348bd80a"
    )


# Laws.


@settings(max_examples=50)
@given(st.binary(max_size=200), contexts, st.lists(st.sampled_from([AUDITOR, SECOND, OTHER_STATION]), max_size=4))
def test_whoever_has_a_grant_opens_what_was_sealed_and_nobody_else(
    plaintext: bytes, context: bytes, readers: list[ReaderKey]
) -> None:
    sealed, how = STATION.seal(plaintext, context, [reader.public for reader in readers])
    assert {grant.reader for grant in how.grants} == {reader.public for reader in readers}
    for reader in (AUDITOR, SECOND, OTHER_STATION):
        if reader in readers:
            assert opened(reader, encryption=how, context=context, sealed=sealed) == plaintext
        else:
            with pytest.raises(NoGrantError):
                opened(reader, encryption=how, context=context, sealed=sealed)
    assert opened(STATION, encryption=how, context=context, sealed=sealed) == plaintext
    assert STATION.open_own(sealed, how, context) == plaintext


@given(st.binary(max_size=80), contexts)
def test_the_same_run_seals_the_same_bytes(plaintext: bytes, context: bytes) -> None:
    readers = [SECOND.public, AUDITOR.public]
    again = StationSecret.from_key(KEY)
    assert again.seal(plaintext, context, readers) == STATION.seal(plaintext, context, readers[::-1] * 2)


def test_sealed_bytes_do_not_depend_on_who_may_read_them() -> None:
    assert STATION.seal(PLAINTEXT, CONTEXT, [])[0] == SEALED
    assert len(SEALED) == len(PLAINTEXT) + 16


def test_no_two_plaintexts_share_a_key() -> None:
    """The nonce is constant: under one key, equal beginnings would show, and the authentication key with them."""
    long = b"equal for many bytes" * 10
    one, other = (STATION.seal(long + end, CONTEXT, [])[0] for end in (b"1", b"2"))
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 20
    assert one[:8] != other[:8]


def test_equal_plaintexts_of_two_places_do_not_look_equal() -> None:
    places = [
        encryption_context(twin_id("plant/fan"), 7, ADDRESS),
        encryption_context(TWIN, 8, ADDRESS),
        encryption_context(TWIN, 7, address_of_bytes(b"\x09" * 20)),
        CONTEXT,
    ]
    assert len(set(places)) == len({STATION.seal(PLAINTEXT, place, [])[0] for place in places}) == 4
    assert OTHER_STATION.seal(PLAINTEXT, CONTEXT, [])[0] != SEALED


def test_keys_come_back_from_their_bytes() -> None:
    key = ReaderKey.generate()
    assert ReaderKey.from_bytes(key.to_bytes()).public == key.public
    assert len(key.to_bytes()) == 32
    assert ReaderKey.generate().public != key.public
    assert parse_reader_id(key.public) == key.public


def test_a_stations_secret_gives_away_nothing_of_its_accounts_key() -> None:
    assert StationSecret.from_key(KEY).to_bytes() != KEY
    assert StationSecret.from_key(KEY).public != ReaderKey.from_bytes(KEY).public
    assert StationSecret.from_key(KEY).public == STATION.public != OTHER_STATION.public


def test_a_station_reads_anothers_updates_with_a_grant() -> None:
    sealed, how = STATION.seal(PLAINTEXT, CONTEXT, [OTHER_STATION.public])
    assert opened(OTHER_STATION, encryption=how, sealed=sealed) == PLAINTEXT


# Grants that come later, and those that don't.


def test_a_reader_that_comes_later_gets_a_grant_and_the_bytes_stay() -> None:
    late = STATION.grant(HOW, CONTEXT, STRANGER.public)
    assert Keyring([STRANGER], {UPDATE: (late,)}).open(UPDATE, HOW, CONTEXT, SEALED) == PLAINTEXT
    assert STATION.grant(HOW, CONTEXT, AUDITOR.public) == grant_of(AUDITOR)


def test_a_grant_for_one_update_opens_no_other() -> None:
    late = STATION.grant(HOW, CONTEXT, STRANGER.public)
    with pytest.raises(NoGrantError, match=UPDATE):
        Keyring([STRANGER], {Digest("0x" + "88" * 32): (late,)}).open(UPDATE, HOW, CONTEXT, SEALED)
    other = encryption_context(TWIN, 8, ADDRESS)
    sealed, how = STATION.seal(PLAINTEXT, other, [])
    with pytest.raises(SealError):
        Keyring([STRANGER], {UPDATE: (late,)}).open(UPDATE, how, other, sealed)


def test_a_revoked_reader_reads_what_was_granted_and_nothing_later() -> None:
    assert opened(AUDITOR) == PLAINTEXT
    later = encryption_context(TWIN, 8, ADDRESS)
    sealed, how = STATION.seal(b"later", later, [SECOND.public])
    with pytest.raises(NoGrantError):
        opened(AUDITOR, encryption=how, context=later, sealed=sealed)
    with pytest.raises(SealError):  # nor by its old grant
        AUDITOR.open(sealed, how, later, grant_of(AUDITOR))


def test_only_the_station_that_sealed_can_grant() -> None:
    with pytest.raises(SealError, match=f"expected what this station sealed \\({OTHER_STATION.public}\\)"):
        OTHER_STATION.grant(HOW, CONTEXT, STRANGER.public)


def test_a_good_grant_opens_whatever_stands_before_it() -> None:
    spoilt = replace(HOW, grants=(Grant(AUDITOR.public, "0x" + "00" * 40),))
    with pytest.raises(SealError):
        opened(AUDITOR, encryption=spoilt)
    keyring = Keyring([STRANGER, AUDITOR], {UPDATE: (grant_of(AUDITOR),)})
    assert keyring.open(UPDATE, spoilt, CONTEXT, SEALED) == PLAINTEXT


def test_an_empty_keyring_opens_nothing_that_is_sealed() -> None:
    with pytest.raises(NoGrantError, match="expected a grant for a key at hand, got 2 for others; ask the station"):
        opened()
    with pytest.raises(NoGrantError):
        opened(STRANGER, OTHER_STATION)


def test_anothers_grant_does_not_open() -> None:
    with pytest.raises(SealError, match=f"for {AUDITOR.public}"):
        STRANGER.open(SEALED, HOW, CONTEXT, grant_of(AUDITOR))
    renamed = replace(HOW, grants=(replace(grant_of(AUDITOR), reader=STRANGER.public),))
    with pytest.raises(SealError):
        opened(STRANGER, encryption=renamed)


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
