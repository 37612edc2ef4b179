"""Canonical JSON: the vectors of RFC 8785, then laws, then second spellings."""

from __future__ import annotations

import json
import struct
import sys
from types import MappingProxyType

import numpy as np
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.strategies import MAX_SAFE, json_values
from twins import canonical
from twins.errors import FormatError

pytestmark = pytest.mark.unit

# RFC 8785, appendix B: IEEE 754 bits and their one spelling.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "spelling"), NUMBERS)
def test_numbers_are_spelt_and_read_as_in_rfc_8785_appendix_b(bits: str, spelling: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical.encode(value) == spelling.encode()
    assert canonical.decode(spelling.encode()) == value


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_nan_and_infinity_are_refused_as_in_rfc_8785_appendix_b(bits: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(FormatError):
        canonical.encode({"loss": [value]})


def test_the_sample_of_rfc_8785_section_3_2_gives_its_bytes() -> None:
    sample = r"""{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"""
    # RFC 8785 §3.2.4, its UTF-8 in hex.
    expected = bytes.fromhex(
        "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e"
        "756d62657273223a5b3333333333333333332e333333333333332c31652b3330"
        "2c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac24"
        "5c75303030665c6e4127425c225c5c5c5c5c222f227d"
    )
    assert canonical.encode(json.loads(sample)) == expected


def test_keys_are_sorted_by_utf_16_units_as_in_rfc_8785_section_3_2_3() -> None:
    sample = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert list(json.loads(canonical.encode(sample)).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",  # after its surrogates, so before U+FB33
        "Hebrew Letter Dalet With Dagesh",
    ]


@given(json_values)
def test_what_is_encoded_decodes_to_the_same_value(value: canonical.Json) -> None:
    assert canonical.decode(canonical.encode(value)) == value


@given(json_values | st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e-3, 1e-3) | st.floats(-1e17, 1e17))
def test_the_bytes_are_those_of_rfc8785(value: canonical.Json) -> None:
    assert canonical.encode({"one": [value], "two": value}) == rfc8785.dumps({"one": [value], "two": value})


@given(st.floats(2**53, 1e21) | st.floats(-1e21, -(2**53)))
def test_a_float_written_without_a_point_decodes_to_itself(value: float) -> None:
    assert canonical.decode(canonical.encode(value)) == value


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5), st.randoms())
def test_the_order_in_which_keys_were_inserted_does_not_show(value: dict, random) -> None:  # type: ignore[type-arg,no-untyped-def]
    items = list(value.items())
    random.shuffle(items)
    assert canonical.encode(dict(items)) == canonical.encode(value)


@given(json_values, st.integers(0, 3))
def test_no_second_spelling_of_a_value_is_read(value: canonical.Json, indent: int) -> None:
    spelling = json.dumps(value, indent=indent, ensure_ascii=True).encode()
    try:
        decoded = canonical.decode(spelling)
    except FormatError:
        return
    assert canonical.encode(decoded) == spelling


@pytest.mark.parametrize(
    "spelling",
    {
        "space after a colon": b'{"a": 1}',
        "line break at the end": b"1\n",
        "keys out of order": b'{"b":1,"a":2}',
        "the same key twice": b'{"a":1,"a":1}',
        "the same key twice, the later one wins": b'{"a":1,"a":2}',
        "a point where none is needed": b"1.0",
        "an exponent where none is needed": b"1e2",
        "a plus sign missing from an exponent": b"1e30",
        "minus zero": b"-0",
        "minus zero as a float": b"-0.0",
        "more digits than the number has": b"333333333.33333329",
        "an escaped slash": rb'"a\/b"',
        "an escape that is not needed": rb'"\u0041"',
        "an escape in upper-case hex": rb'"\u000F"',
        "an integer that a double cannot hold": b"9007199254740993",
        "a number beyond the doubles": b"1e400",
        "a lone surrogate": rb'"\ud800"',
        "a lone surrogate as a key": rb'{"\ud800":1}',
        "NaN": b"NaN",
        "infinity": b"-Infinity",
        "UTF-8 with a byte order mark": b"\xef\xbb\xbf1",
        "UTF-16": '{"a":1}'.encode("utf-16"),
        "no UTF-8": b'"\xff"',
        "nothing": b"",
        "two values": b"1 2",
        "a trailing comma": b"[1,]",
        "five thousand digits": b"1" * 5000,
    }.items(),
    ids=lambda case: case[0],
)
def test_other_spellings_are_refused(spelling: tuple[str, bytes]) -> None:
    with pytest.raises(FormatError):
        canonical.decode(spelling[1])


@pytest.mark.parametrize(
    "value",
    [
        MAX_SAFE + 1,
        -MAX_SAFE - 1,
        {1: "a"},
        {None: 1},
        b"bytes",
        {1, 2},
        "\ud800",
        {"\ud800": 1},
        np.float32(1),
    ],
    ids=repr,
)
def test_values_without_a_canonical_form_are_refused(value: object) -> None:
    with pytest.raises(FormatError):
        canonical.encode(value)


def test_the_largest_safe_integers_pass() -> None:
    assert canonical.decode(canonical.encode([MAX_SAFE, -MAX_SAFE])) == [MAX_SAFE, -MAX_SAFE]


def test_tuples_and_foreign_mappings_are_written_as_lists_and_objects() -> None:
    assert canonical.encode(MappingProxyType({"a": (1, 2)})) == b'{"a":[1,2]}'


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_nesting_has_one_limit_wherever_the_reader_stands() -> None:
    deepest = nested(canonical.MAX_DEPTH + 1)
    too_deep = nested(canonical.MAX_DEPTH + 2)

    def verdicts(calls: int) -> tuple[bool, bool]:
        if calls:
            return verdicts(calls - 1)
        with pytest.raises(FormatError, match="nested deeper"):
            canonical.decode(too_deep)
        return canonical.encode(canonical.decode(deepest)) == deepest, True

    assert verdicts(0) == verdicts(300) == (True, True)


@pytest.mark.parametrize("depth", [1_000, 200_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'["]]]]\\"]",', b"[" + "\u2200".encode("utf-16-le") + b","])
def test_a_bomb_of_brackets_is_refused_where_a_library_raised_pythons_limit(opening: bytes, depth: int) -> None:
    # py-ecc, which web3 imports, does this: the C parser would then run off its stack and end the process.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(FormatError):
            canonical.decode(opening * depth)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_inside_strings_are_not_nesting() -> None:
    data = canonical.encode(["[" * 500, '\\"[{' * 500, {"{" * 500: 1}])
    assert canonical.encode(canonical.decode(data)) == data


def test_a_value_nested_without_end_is_refused() -> None:
    endless: list = []  # type: ignore[type-arg]
    endless.append(endless)
    with pytest.raises(FormatError, match="nested deeper"):
        canonical.encode(endless)
