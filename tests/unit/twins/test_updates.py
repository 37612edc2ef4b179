"""Device updates and bundles: there and back, then everything a hostile station could hand out instead."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.strategies import MAX_SAFE, bundles, models
from twins import canonical
from twins.contribution import contribution_leaf
from twins.errors import BundleError, FormatError, TwinsError
from twins.merkle import leaf_hash, verify_proof
from twins.model import TwinModel
from twins.types import Address, address_of_bytes, sha256_digest
from twins.updates import (
    DeviceUpdate,
    contributions_tree,
    decode_bundle,
    device_order,
    encode_bundle,
    roster_tree,
)

pytestmark = pytest.mark.unit

FIRST, SECOND = (address_of_bytes(bytes.fromhex(digits * 10)) for digits in ("0aBc", "fEdC"))
UPDATES = (
    DeviceUpdate(FIRST, 12, b"weights", b"\xab" * 65),
    DeviceUpdate(SECOND, 3, b"", b"\xcd" * 65),
)
BUNDLE = encode_bundle(UPDATES)
MODEL = TwinModel({"w": np.array([1.0, -0.0], np.float32)})


def pack(index: Any, payloads: bytes = b"weights") -> bytes:
    """A bundle of any index."""
    encoded = index if isinstance(index, bytes) else canonical.encode(index)
    return b"TLBUNDL1" + len(encoded).to_bytes(4, "big") + encoded + payloads


def entry(**changes: Any) -> dict[str, Any]:
    return {"device": FIRST, "examples": 12, "signature": "0x" + "ab" * 65, "size": 7} | changes


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in entry().items() if key != name}


def test_the_layout_is_that_of_the_docstring() -> None:
    assert pack([entry(), entry(device=SECOND, examples=3, signature="0x" + "cd" * 65, size=0)]) == BUNDLE
    assert decode_bundle(BUNDLE) == UPDATES


@given(bundles())
def test_every_bundle_comes_back(updates: tuple[DeviceUpdate, ...]) -> None:
    assert decode_bundle(encode_bundle(updates)) == updates


@settings(max_examples=30)
@given(bundles(min_size=1))
def test_a_bundle_cut_short_anywhere_is_refused(updates: tuple[DeviceUpdate, ...]) -> None:
    data = encode_bundle(updates)
    for length in range(len(data)):
        with pytest.raises(BundleError):
            decode_bundle(data[:length])


@given(bundles(), st.binary(min_size=1, max_size=8))
def test_bytes_left_over_are_refused(updates: tuple[DeviceUpdate, ...], more: bytes) -> None:
    with pytest.raises(BundleError, match="too many"):
        decode_bundle(encode_bundle(updates) + more)


@given(bundles(min_size=1), st.data())
def test_a_damaged_bundle_is_refused_or_is_the_only_spelling_of_another(
    updates: tuple[DeviceUpdate, ...], data: st.DataObject
) -> None:
    damaged = bytearray(encode_bundle(updates))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_bundle(bytes(damaged))
    except BundleError:
        return
    assert encode_bundle(decoded) == damaged


REFUSED = {
    "nothing": b"",
    "another magic": b"TLBUNDL2" + BUNDLE[8:],
    "the magic alone": BUNDLE[:8],
    "an index longer than the bundle": BUNDLE[:8] + b"\xff" * 4 + BUNDLE[12:],
    "an index that ends inside itself": BUNDLE[:8] + b"\0\0\0\x05" + BUNDLE[12:],
    "an index of no JSON": pack(b"[{]"),
    "an index with spaces": pack(canonical.encode([entry()]).replace(b",", b", ")),
    "an index with a key twice": pack(canonical.encode([entry()]).replace(b"{", b'{"device":"x",', 1)),
    "an index nested without end": pack(b"[" * 200_000),
    "an object for an index": pack({}, b""),
    "a number for an index": pack(5, b""),
    "a text for an index": pack("device", b""),
    "null for an index": pack(None, b""),
    "a number for an entry": pack([5]),
    "a text for an entry": pack(["device"]),
    "a list for an entry": pack([["device", "examples", "signature", "size"]]),
    "the same device twice": pack([entry(), entry()], b"weights" * 2),
    "the same device twice, once in lower case": pack([entry(), entry(device=FIRST.lower())], b"weights" * 2),
    "devices unsorted": pack([entry(device=SECOND), entry()], b"weights" * 2),
    "a size beyond the end": pack([entry(size=8)]),
    "a size that leaves bytes": pack([entry(size=6)]),
    "a negative size": pack([entry(size=-1), entry(device=SECOND, size=8)]),
    "a size of 2^53 - 1": pack([entry(size=MAX_SAFE)]),
    "a size beyond the integers": pack(canonical.encode([entry()]).replace(b":7}", b":9007199254740992}")),
    "a size with a fraction": pack([entry(size=6.5)]),
    "a size of true": pack([entry(size=True)], b"w"),
    "a size as text": pack([entry(size="7")]),
    "negative examples": pack([entry(examples=-1)]),
    "examples with a fraction": pack([entry(examples=1.5)]),
    "examples beyond the integers": pack([entry(examples=2.0**60)]),
    "examples of true": pack([entry(examples=True)]),
    "examples as text": pack([entry(examples="12")]),
    "no examples": pack([entry(examples=None)]),
    "an address in lower case": pack([entry(device=FIRST.lower())]),
    "an address in upper case": pack([entry(device="0x" + FIRST[2:].upper())]),
    "an address without its prefix": pack([entry(device=FIRST[2:])]),
    "an address with a wrong checksum": pack([entry(device=FIRST[:-1] + FIRST[-1].swapcase())]),
    "a number for an address": pack([entry(device=5)]),
    "a list for an address": pack([entry(device=[FIRST])]),
    "a signature in upper-case hex": pack([entry(signature="0x" + "AB" * 65)]),
    "a signature without its prefix": pack([entry(signature="ab" * 65)]),
    "a signature with two prefixes": pack([entry(signature="0x0x" + "ab" * 65)]),
    "a signature with spaces": pack([entry(signature="0x" + "ab " * 65)]),
    "a signature of half a byte": pack([entry(signature="0x" + "ab" * 65 + "a")]),
    "a signature of no hex": pack([entry(signature="0xzz")]),
    "a number for a signature": pack([entry(signature=5)]),
    "a field missing": pack([without("signature")]),
    "a size missing": pack([without("size")]),
    "a field more": pack([entry(note="")]),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    assert FIRST[-1].swapcase() != FIRST[-1]
    with pytest.raises(BundleError):
        decode_bundle(data)


def test_the_bundle_behind_the_refusals_is_itself_accepted() -> None:
    assert decode_bundle(pack([entry()])) == UPDATES[:1]


@given(st.binary(max_size=100), st.lists(st.dictionaries(st.sampled_from(list(entry())), st.integers() | st.text())))
def test_whatever_the_bytes_nothing_but_a_bundle_error_escapes(tail: bytes, index: list[Any]) -> None:
    for data in (tail, b"TLBUNDL1" + tail):
        with pytest.raises(BundleError):
            decode_bundle(data)
    try:
        data = pack(index, tail)
    except FormatError:
        return
    if index or tail:
        with pytest.raises(BundleError):
            decode_bundle(data)


@pytest.mark.parametrize("updates", [UPDATES[::-1], (UPDATES[0], UPDATES[0])], ids=["unsorted", "a device twice"])
def test_what_could_not_be_decoded_is_not_encoded(updates: tuple[DeviceUpdate, ...]) -> None:
    with pytest.raises(BundleError, match="strictly ascending"):
        encode_bundle(updates)


def test_devices_are_ordered_as_numbers_whatever_the_case_of_their_checksum() -> None:
    order = sorted([FIRST, SECOND], key=lambda address: int(address, 16))
    assert sorted([SECOND, FIRST], key=device_order) == order == [FIRST, SECOND]
    # As text the other way round: an upper-case letter comes before every lower-case one.
    low, high = Address("0x" + "aA" * 20), Address("0x" + "Ab" * 20)
    assert sorted([low, high]) == [high, low]
    assert sorted([high, low], key=device_order) == [low, high]


# Payloads: weights and metrics under one digest.


@given(models, st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_weights_and_metrics_come_back_from_a_payload(model: TwinModel, metrics: dict[str, float]) -> None:
    update = DeviceUpdate(FIRST, 1, DeviceUpdate.encode_payload(model, metrics), b"")
    assert update.model() == model
    assert update.metrics() == metrics
    assert all(type(value) is float for value in update.metrics().values())
    assert update.digest == sha256_digest(update.payload)


def test_the_digest_covers_the_metrics_too() -> None:
    payloads = {DeviceUpdate.encode_payload(MODEL, {"loss": loss}) for loss in (0.5, 0.25)}
    assert len({DeviceUpdate(FIRST, 1, payload, b"").digest for payload in payloads}) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(FormatError):
        DeviceUpdate.encode_payload(MODEL, {"loss": value})


def header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


NO_METRICS = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "a length and no header": struct.pack("<Q", 2**63),
    "no note": MODEL.to_bytes(),
    "no metadata": header(b"{}"),
    "a list for a header": header(b"[]"),
    "metadata of text": header(b'{"__metadata__":"note"}'),
    "a number for a note": header(b'{"__metadata__":{"note":5}}'),
    "a lone surrogate in the note": header(b'{"__metadata__":{"note":"\\"\\ud800\\""}}'),
    "a header nested without end": header(b'{"__metadata__":' + b"[" * 200_000),
    "a note of no JSON": MODEL.to_bytes(note="loss"),
    "a note that is not canonical": MODEL.to_bytes(note='{"loss": 1}'),
    "a note nested without end": MODEL.to_bytes(note="[" * 100_000),
    "a list of metrics": MODEL.to_bytes(note="[1]"),
    "NaN as text": MODEL.to_bytes(note='{"loss":"nan"}'),
    "a number as text": MODEL.to_bytes(note='{"loss":"1"}'),
    "a truth for a number": MODEL.to_bytes(note='{"loss":true}'),
    "nothing for a number": MODEL.to_bytes(note='{"loss":null}'),
    "a list for a number": MODEL.to_bytes(note='{"loss":[1]}'),
}


@pytest.mark.parametrize("payload", NO_METRICS.values(), ids=NO_METRICS.keys())
def test_a_payload_without_metrics_is_refused_naming_the_device(payload: bytes) -> None:
    with pytest.raises(BundleError, match=FIRST):
        DeviceUpdate(FIRST, 1, payload, b"").metrics()


@given(st.binary(max_size=60))
def test_random_payloads_end_in_an_error_of_ours(payload: bytes) -> None:
    update = DeviceUpdate(FIRST, 1, payload, b"")
    for read in (update.model, update.metrics):
        with pytest.raises(TwinsError):
            read()


def test_the_contributions_tree_proves_each_devices_statement() -> None:
    tree = contributions_tree(UPDATES)
    for index, update in enumerate(UPDATES):
        leaf = contribution_leaf(update.device, update.digest, update.examples, update.signature)
        hashed = leaf_hash(("address", "bytes32", "uint64", "bytes32"), leaf)
        assert verify_proof(tree.root, hashed, tree.proof(index))


def test_the_contributions_root_depends_on_every_part_of_an_update() -> None:
    first = UPDATES[0]
    changed = [
        DeviceUpdate(SECOND, first.examples, first.payload, first.signature),
        DeviceUpdate(FIRST, 13, first.payload, first.signature),
        DeviceUpdate(FIRST, first.examples, b"Weights", first.signature),
        DeviceUpdate(FIRST, first.examples, first.payload, b"\xac" * 65),
    ]
    assert len({contributions_tree([update]).root for update in [first, *changed]}) == 5


def test_a_roster_tree_does_not_depend_on_the_order() -> None:
    assert roster_tree([FIRST, SECOND]).root == roster_tree([SECOND, FIRST]).root != roster_tree([FIRST]).root
