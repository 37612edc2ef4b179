"""The index of contributions: there and back in one spelling, then every field wrong, then the leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.twins.strategies import MAX_SAFE, indexes, json_values
from twins import canonical
from twins.aggregation import WEIGHTED_MEAN
from twins.contribution import contribution_leaf
from twins.errors import BundleError, FormatError, MerkleError
from twins.merkle import leaf_hash, verify_proof
from twins.model import TwinModel
from twins.types import Address, Digest, address_of_bytes, digest_bytes, sha256_digest
from twins.updates import (
    ContributionIndex,
    DeviceUpdate,
    Entry,
    Rejection,
    RejectionReason,
    StationUpdate,
    contributions_tree,
    device_order,
    one_line,
    roster_tree,
)

pytestmark = pytest.mark.unit

FIRST, SECOND, THIRD, FOURTH = (
    address_of_bytes(bytes.fromhex(digits * 10)) for digits in ("0aBc", "5aEb", "77Fa", "fEdC")
)
ENTRIES = (
    Entry(FIRST, sha256_digest(b"weights"), 12, b"\xab" * 65, 7),
    Entry(THIRD, sha256_digest(b""), 3, b"\xcd" * 65, 0),
)
REJECTIONS = (
    Rejection(SECOND, RejectionReason.NORM, "expected at most 0.5, got 7.25"),
    Rejection(FOURTH, RejectionReason.MISSING, ""),
)
INDEX = ContributionIndex(ENTRIES, REJECTIONS)
DATA = INDEX.to_bytes()


def test_the_bytes_are_those_of_the_docstring() -> None:
    assert (
        b'{"contributions":['
        b'{"device":"' + FIRST.encode() + b'","digest":"' + ENTRIES[0].digest.encode() + b'","examples":12,'
        b'"signature":"0x' + b"ab" * 65 + b'","size":7},'
        b'{"device":"' + THIRD.encode() + b'","digest":"' + ENTRIES[1].digest.encode() + b'","examples":3,'
        b'"signature":"0x' + b"cd" * 65 + b'","size":0}],'
        b'"rejections":['
        b'{"detail":"expected at most 0.5, got 7.25","device":"' + SECOND.encode() + b'","reason":"norm"},'
        b'{"detail":"","device":"' + FOURTH.encode() + b'","reason":"missing"}]}'
    ) == DATA  # fmt: skip
    assert ContributionIndex.from_bytes(DATA) == INDEX


@given(indexes())
def test_every_index_comes_back(index: ContributionIndex) -> None:
    assert ContributionIndex.from_bytes(index.to_bytes()) == index


def test_an_index_of_nobody_comes_back() -> None:
    nobody = ContributionIndex((), ())
    assert ContributionIndex.from_bytes(nobody.to_bytes()) == nobody
    assert nobody.to_bytes() == b'{"contributions":[],"rejections":[]}'


def test_the_reasons_are_those_of_the_record() -> None:
    """A golden: a reason that is renamed makes recorded indexes unreadable."""
    assert [str(reason) for reason in RejectionReason] == [
        "missing", "malformed", "signature", "base", "examples", "schema", "non-finite", "norm"
    ]  # fmt: skip


def test_an_index_is_made_of_a_stations_update() -> None:
    updates = (DeviceUpdate(FIRST, 12, b"weights", b"\xab" * 65), DeviceUpdate(THIRD, 3, b"", b"\xcd" * 65))
    update = StationUpdate(
        station=FOURTH,
        round=3,
        base=Digest("0x" + "11" * 32),
        model=TwinModel({"w": np.zeros(1, np.float32)}),
        updates=updates,
        rejections=REJECTIONS,
        rule=WEIGHTED_MEAN,
        examples=15,
        metrics={},
        engine={},
        noise=b"",
    )
    assert ContributionIndex.of(update) == INDEX
    with pytest.raises(BundleError, match="used or rejected"):
        ContributionIndex.of(replace(update, rejections=(replace(REJECTIONS[0], device=FIRST),)))


# Order.


@pytest.mark.parametrize(
    ("entries", "rejections", "expected"),
    [
        (ENTRIES[::-1], (), "strictly ascending"),
        ((ENTRIES[0], ENTRIES[0]), (), "strictly ascending"),
        ((), REJECTIONS[::-1], "strictly ascending"),
        ((), (REJECTIONS[0], REJECTIONS[0]), "strictly ascending"),
        (ENTRIES, (replace(REJECTIONS[0], device=THIRD),), f"used or rejected, got both for {THIRD}"),
    ],
    ids=["entries unsorted", "a device twice", "rejections unsorted", "rejected twice", "used and rejected"],
)
def test_a_device_stands_in_one_place_only(entries: Any, rejections: Any, expected: str) -> None:
    with pytest.raises(BundleError, match=expected):
        ContributionIndex(entries, rejections)


def test_devices_are_ordered_as_numbers_whatever_the_case_of_their_checksum() -> None:
    order = sorted([FIRST, FOURTH], key=lambda address: int(address, 16))
    assert sorted([FOURTH, FIRST], key=device_order) == order == [FIRST, FOURTH]
    # As text the other way round: an upper-case letter comes before every lower-case one.
    low, high = Address("0x" + "aA" * 20), Address("0x" + "Ab" * 20)
    assert sorted([low, high]) == [high, low]
    assert sorted([high, low], key=device_order) == [low, high]


# A rejection's detail is somebody's text in a record for ever.


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=400))
def test_any_text_becomes_one_short_line_that_a_record_can_hold(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 200
    assert line.isprintable()
    assert one_line(line) == line
    index = ContributionIndex((), (Rejection(FIRST, RejectionReason.MALFORMED, line),))
    assert ContributionIndex.from_bytes(index.to_bytes()) == index


def test_a_short_line_stays_as_it_is() -> None:
    text = "expected ‖update − base‖ ≤ 0.5, got 7.25"
    assert one_line(text) == text
    assert one_line(" two\n lines\tof\r\n it ") == "two lines of it"
    assert one_line("\ud800\x00\u2028") == ""
    assert one_line("x" * 199 + " cut after the blank") == "x" * 199


@pytest.mark.parametrize(
    "detail",
    ["two\nlines", "x" * 201, " padded", "padded ", "two  spaces", "tab\t", "\x1b[2J", "\ud800", "\u202eright"],
)
def test_a_detail_that_is_no_short_line_is_refused(detail: str) -> None:
    with pytest.raises(BundleError, match="one line of at most 200 characters"):
        Rejection(FIRST, RejectionReason.MISSING, detail)


# Every field missing, unknown, or of another type.


def body() -> dict[str, Any]:
    return json.loads(DATA)  # type: ignore[no-any-return]


FIELDS = {
    "contributions": ("device", "digest", "examples", "signature", "size"),
    "rejections": ("detail", "device", "reason"),
}
PLACES = [(part, name) for part, names in FIELDS.items() for name in names]

ACCEPTS: dict[str, Callable[[Any], bool]] = {
    "examples": lambda v: type(v) is int and v >= 1,
    "size": lambda v: type(v) is int and v >= 0,
    "detail": lambda v: isinstance(v, str) and v == one_line(v),
    "signature": lambda v: isinstance(v, str) and re.fullmatch("0x([0-9a-f]{2})*", v) is not None,
}
WRONG: list[Any] = [
    None, True, False, -1, 0, 1, 1.5, 2.0**53, 2.0**60, "", "text", "12", "0x", "0xzz", "0xABCD", "0xab ", "0x0xab",
    "0x" + "AB" * 32, "0x" + "ab" * 31, FIRST.lower(), "0x" + FIRST[2:].upper(), FIRST[2:], FIRST[:-1] + "d",
    "Norm", "norm ", "unknown", [], [1], {}, {"device": FIRST},
]  # fmt: skip


@pytest.mark.parametrize(("part", "name"), PLACES)
def test_a_field_of_another_type_or_out_of_range_is_refused(part: str, name: str) -> None:
    for wrong in WRONG:
        content = body()
        content[part][0][name] = wrong
        data = canonical.encode(content)
        if ACCEPTS.get(name, lambda v: False)(wrong):
            assert ContributionIndex.from_bytes(data).to_bytes() == data
        else:
            with pytest.raises(BundleError):
                ContributionIndex.from_bytes(data)


@pytest.mark.parametrize(("part", "name"), PLACES)
def test_a_field_missing_or_unknown_is_refused_by_name(part: str, name: str) -> None:
    content = body()
    value = content[part][0].pop(name)
    with pytest.raises(BundleError, match="expected the fields"):
        ContributionIndex.from_bytes(canonical.encode(content))
    content[part][0] |= {name: value, f"{name}2": value}
    with pytest.raises(BundleError, match=f"{name}2"):
        ContributionIndex.from_bytes(canonical.encode(content))


def entry(**changes: Any) -> dict[str, Any]:
    return body()["contributions"][0] | changes


def pack(contributions: Any, rejections: Any = ()) -> bytes:
    return canonical.encode({"contributions": contributions, "rejections": rejections})


REFUSED = {
    "nothing": b"",
    "no JSON": b"[{]",
    "spaces": DATA.replace(b",", b", "),
    "a key twice": DATA.replace(b"{", b'{"rejections":[],', 1),
    "keys in another order": json.dumps(dict(reversed(body().items())), separators=(",", ":")).encode(),
    "a line end": DATA + b"\n",
    "UTF-16": DATA.decode().encode("utf-16"),
    "nested without end": b"[" * 200_000,
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "an empty object": b"{}",
    "no rejections": canonical.encode({"contributions": []}),
    "no contributions": canonical.encode({"rejections": []}),
    "a part more": canonical.encode(body() | {"more": []}),
    "an object for contributions": pack({}),
    "a text for contributions": pack("device"),
    "null for rejections": pack([], None),
    "a number for an entry": pack([5]),
    "a list for an entry": pack([["device", "digest", "examples", "signature", "size"]]),
    "a text for a rejection": pack([], ["norm"]),
    "a device twice": pack([entry(), entry()]),
    "a device twice, once in lower case": pack([entry(), entry(device=FIRST.lower())]),
    "devices unsorted": pack([entry(device=FOURTH), entry()]),
    "a device used and rejected": pack([entry()], [{"detail": "", "device": FIRST, "reason": "norm"}]),
    "a signature in upper-case hex": pack([entry(signature="0x" + "AB" * 65)]),
    "a signature with spaces": pack([entry(signature="0x" + "ab " * 65)]),
    "a signature of half a byte": pack([entry(signature="0x" + "ab" * 65 + "a")]),
    "a size beyond the integers": DATA.replace(b'"size":7', b'"size":9007199254740992'),
    "examples of 1.0": DATA.replace(b'"examples":12', b'"examples":12.0'),
    "a detail of two lines": pack([], [{"detail": "a\nb", "device": FIRST, "reason": "norm"}]),
    "a detail that is too long": pack([], [{"detail": "x" * 201, "device": FIRST, "reason": "norm"}]),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_index_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        ContributionIndex.from_bytes(data)


def test_the_index_behind_the_refusals_is_itself_accepted() -> None:
    assert ContributionIndex.from_bytes(pack([entry()])) == ContributionIndex(ENTRIES[:1], ())


def test_an_index_cut_short_anywhere_is_refused() -> None:
    for length in range(len(DATA)):
        with pytest.raises(BundleError):
            ContributionIndex.from_bytes(DATA[:length])


@given(indexes(min_entries=1), st.data())
def test_a_damaged_index_is_refused_or_is_the_only_spelling_of_another(
    index: ContributionIndex, data: st.DataObject
) -> None:
    damaged = bytearray(index.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = ContributionIndex.from_bytes(bytes(damaged))
    except BundleError:
        return
    assert back.to_bytes() == damaged


@given(st.binary(max_size=80) | json_values.map(canonical.encode))
def test_whatever_the_bytes_nothing_but_a_bundle_error_escapes(data: bytes) -> None:
    with pytest.raises(BundleError):
        ContributionIndex.from_bytes(data)


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS["contributions"]), json_values), min_size=1, max_size=2))
def test_whatever_the_entries_nothing_but_a_bundle_error_escapes(items: list[Any]) -> None:
    for data in (pack(items), pack([], items)):
        with pytest.raises(BundleError):
            ContributionIndex.from_bytes(data)


def test_the_largest_counts_pass_and_larger_ones_are_not_written() -> None:
    largest = ContributionIndex((replace(ENTRIES[0], examples=MAX_SAFE, size=MAX_SAFE),), ())
    assert ContributionIndex.from_bytes(largest.to_bytes()) == largest
    with pytest.raises(FormatError):
        ContributionIndex((replace(ENTRIES[0], examples=MAX_SAFE + 1),), ()).to_bytes()


# Leaves and trees.


def test_the_contributions_tree_proves_each_devices_statement() -> None:
    tree = contributions_tree(ENTRIES)
    for position, one in enumerate(ENTRIES):
        leaf = contribution_leaf(one.device, one.digest, one.examples, one.signature)
        hashed = leaf_hash(("address", "bytes32", "uint64", "bytes32"), leaf)
        assert verify_proof(tree.root, hashed, tree.proof(position))
        assert digest_bytes(one.leaf_digest) == hashed == tree.leaves[position]


def test_the_contributions_root_depends_on_every_part_that_is_signed() -> None:
    changed = [
        replace(ENTRIES[0], device=SECOND),
        replace(ENTRIES[0], examples=13),
        replace(ENTRIES[0], digest=sha256_digest(b"Weights")),
        replace(ENTRIES[0], signature=b"\xac" * 65),
    ]
    assert len({contributions_tree([one]).root for one in [ENTRIES[0], *changed]}) == 5
    assert len({one.leaf_digest for one in [ENTRIES[0], *changed]}) == 5


def test_identical_updates_of_two_devices_are_two_leaves() -> None:
    twin = replace(ENTRIES[0], device=SECOND)
    assert ENTRIES[0].leaf_digest != twin.leaf_digest
    tree = contributions_tree([ENTRIES[0], twin])
    assert all(verify_proof(tree.root, leaf, tree.proof(at)) for at, leaf in enumerate(tree.leaves))


def test_a_tree_of_no_contributions_is_refused() -> None:
    with pytest.raises(MerkleError, match="at least one"):
        contributions_tree([])


def test_a_roster_tree_does_not_depend_on_the_order() -> None:
    assert roster_tree([FIRST, SECOND]).root == roster_tree([SECOND, FIRST]).root != roster_tree([FIRST]).root
