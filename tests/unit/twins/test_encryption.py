"""Sealed device updates: the standards' vectors, then laws, then grants that come late or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.sealed import (
    ADDRESS,
    AUDITOR,
    CONTEXT,
    HOW,
    KEY,
    OTHER_STATION,
    PLAINTEXT,
    SEALED,
    SECOND,
    STATION,
    STRANGER,
    TWIN,
    UPDATE,
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
    ReaderKey,
    StationSecret,
    encryption_context,
    parse_reader_id,
)
from twins.errors import NoGrantError, SealError
from twins.payloads import NOISE
from twins.types import Digest, address_of_bytes, digest_bytes, sha256_digest, twin_id

pytestmark = pytest.mark.unit


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
    assert AESGCM(STATION.own_key(how, context)).decrypt(bytes(12), sealed, context) == plaintext


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


def test_the_seed_of_the_noise_is_the_same_for_the_same_training_only() -> None:
    assert STATION.noise(CONTEXT) == StationSecret.from_key(KEY).noise(CONTEXT)
    assert STATION.noise(CONTEXT) == hkdf(hkdf(KEY, b"twinledger/encryption/1"), b"noise" + CONTEXT)
    others = [flipped(CONTEXT, bit) for bit in (0, 8 * 32 + 63, 8 * 40)]
    seeds = [STATION.noise(CONTEXT), OTHER_STATION.noise(CONTEXT), *(STATION.noise(other) for other in others)]
    assert len(set(seeds)) == 5
    assert all(len(seed) == NOISE for seed in seeds)


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
