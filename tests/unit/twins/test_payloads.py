"""The bytes of device updates: there and back, then everything a hostile station could hand out instead."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.strategies import entries, noises, updates
from twins.errors import BundleError
from twins.types import address_of_bytes, sha256_digest
from twins.updates import NOISE, DeviceUpdate, Entry, decode_payloads, encode_payloads

pytestmark = pytest.mark.unit

FIRST, SECOND, THIRD = (address_of_bytes(bytes.fromhex(digits * 10)) for digits in ("0aBc", "5555", "fEdC"))
UPDATES = (
    DeviceUpdate(FIRST, 12, b"weights", b"\xab" * 65),
    DeviceUpdate(SECOND, 3, b"", b"\xcd" * 65),
    DeviceUpdate(THIRD, 5, b"WEIGHTS", b"\xef" * 65),
)
ENTRIES = tuple(update.entry for update in UPDATES)
SEED = bytes(range(NOISE))
DATA = encode_payloads(UPDATES, SEED)


def test_the_layout_is_that_of_the_docstring() -> None:
    assert b"TLBUNDL2" + bytes([32]) + SEED + b"weights" + b"WEIGHTS" == DATA
    assert encode_payloads(UPDATES, b"") == b"TLBUNDL2" + bytes([0]) + b"weights" + b"WEIGHTS"
    assert encode_payloads((), b"") == b"TLBUNDL2\0"


@given(updates(), noises)
def test_updates_and_noise_come_back(given_updates: tuple[DeviceUpdate, ...], noise: bytes) -> None:
    data = encode_payloads(given_updates, noise)
    assert decode_payloads(data, [update.entry for update in given_updates]) == (given_updates, noise)


def test_an_entry_says_what_everybody_may_know_and_no_more() -> None:
    assert UPDATES[0].entry == Entry(FIRST, sha256_digest(b"weights"), 12, b"\xab" * 65, 7)


def test_identical_updates_of_two_devices_are_two() -> None:
    twins = (UPDATES[0], replace(UPDATES[0], device=SECOND))
    assert decode_payloads(encode_payloads(twins, b""), [u.entry for u in twins]) == (twins, b"")


@pytest.mark.parametrize("wrong", [UPDATES[::-1], (UPDATES[0], UPDATES[0])], ids=["unsorted", "a device twice"])
def test_updates_out_of_order_are_not_packed(wrong: tuple[DeviceUpdate, ...]) -> None:
    with pytest.raises(BundleError, match="strictly ascending"):
        encode_payloads(wrong, b"")


@pytest.mark.parametrize("length", [1, 16, 31, 33, 64, 256])
def test_noise_of_another_length_is_neither_packed_nor_read(length: int) -> None:
    with pytest.raises(BundleError, match=f"expected no noise or 32 bytes of it, got {length}"):
        encode_payloads(UPDATES, bytes(length))
    if length < 256:
        data = b"TLBUNDL2" + bytes([length]) + bytes(length) + b"weights" + b"WEIGHTS"
        with pytest.raises(BundleError, match="expected no noise or 32 bytes"):
            decode_payloads(data, ENTRIES)


@settings(max_examples=30)
@given(updates(min_size=1), noises)
def test_updates_cut_short_anywhere_are_refused(given_updates: tuple[DeviceUpdate, ...], noise: bytes) -> None:
    data = encode_payloads(given_updates, noise)
    for length in range(len(data)):
        with pytest.raises(BundleError):
            decode_payloads(data[:length], [update.entry for update in given_updates])


@given(updates(), noises, st.binary(min_size=1, max_size=8))
def test_bytes_left_over_are_refused(given_updates: tuple[DeviceUpdate, ...], noise: bytes, more: bytes) -> None:
    data = encode_payloads(given_updates, noise)
    with pytest.raises(BundleError, match=f"expected {len(data)} bytes as their index says, got {len(data + more)}"):
        decode_payloads(data + more, [update.entry for update in given_updates])


@given(st.integers(0, 8 * len(DATA) - 1))
def test_a_flipped_bit_is_refused_wherever_a_device_has_signed(bit: int) -> None:
    damaged = bytearray(DATA)
    damaged[bit // 8] ^= 1 << bit % 8
    if 9 <= bit // 8 < 9 + NOISE:  # the noise is the station's own: it is held against by aggregating again
        assert decode_payloads(bytes(damaged), ENTRIES)[0] == UPDATES
    else:
        with pytest.raises(BundleError):
            decode_payloads(bytes(damaged), ENTRIES)


def test_payloads_that_were_swapped_are_refused_naming_the_device() -> None:
    swapped = b"TLBUNDL2\0" + b"WEIGHTS" + b"weights"
    with pytest.raises(BundleError, match=f"update of device {FIRST}: expected digest {sha256_digest(b'weights')}"):
        decode_payloads(swapped, ENTRIES)


def test_another_payload_of_the_same_size_is_refused() -> None:
    with pytest.raises(BundleError, match=THIRD):
        decode_payloads(b"TLBUNDL2\0" + b"weights" + b"forged!", ENTRIES)


SHIFTED = {
    "a border moved": [replace(ENTRIES[0], size=6), ENTRIES[1], replace(ENTRIES[2], size=8)],
    "a payload given to the device without one": [replace(ENTRIES[0], size=0), replace(ENTRIES[1], size=7), ENTRIES[2]],
    "a device left out": [ENTRIES[0], ENTRIES[1]],
    "a device more": [*ENTRIES, replace(ENTRIES[0], size=1)],
    "a size beyond the end": [*ENTRIES[:2], replace(ENTRIES[2], size=2**53 - 1)],
    "two sizes that cancel out": [replace(ENTRIES[0], size=-1), ENTRIES[1], replace(ENTRIES[2], size=15)],
    "another digest": [*ENTRIES[:2], replace(ENTRIES[2], digest=ENTRIES[0].digest)],
    "no entries": [],
}


@pytest.mark.parametrize("index", SHIFTED.values(), ids=SHIFTED.keys())
def test_an_index_that_lies_about_its_updates_is_refused(index: list[Entry]) -> None:
    with pytest.raises(BundleError):
        decode_payloads(DATA, index)


REFUSED = {
    "nothing": b"",
    "the magic alone": b"TLBUNDL2",
    "the magic of the first version": b"TLBUNDL1" + DATA[8:],
    "the magic in lower case": b"tlbundl2" + DATA[8:],
    "noise that is cut short": b"TLBUNDL2" + bytes([32]) + bytes(31),
    "noise announced and left out": b"TLBUNDL2" + bytes([32]) + b"weights" + b"WEIGHTS",
    "noise there and not announced": b"TLBUNDL2" + bytes([0]) + DATA[9:],
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_updates_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        decode_payloads(data, ENTRIES)


@given(st.binary(max_size=80), st.lists(entries, min_size=1, max_size=3))
def test_whatever_the_bytes_nothing_but_a_bundle_error_escapes(tail: bytes, index: list[Entry]) -> None:
    for data in (tail, b"TLBUNDL2" + tail, b"TLBUNDL2\0" + tail):
        with pytest.raises(BundleError):
            decode_payloads(data, index)
