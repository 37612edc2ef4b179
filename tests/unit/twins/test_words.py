"""ABI words of fixed size: what eth_abi makes of the same values, and its errors."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.twins.strategies import addresses
from twins.words import encode_words

pytestmark = pytest.mark.unit

KINDS = st.one_of(
    st.tuples(st.just("bytes32"), st.binary(min_size=32, max_size=32)),
    st.tuples(st.just("address"), addresses),
    st.integers(1, 32).flatmap(
        lambda n: st.tuples(st.just(f"uint{8 * n}"), st.integers(0, 2 ** (8 * n) - 1)),
    ),
)


@given(st.lists(KINDS, min_size=1, max_size=9))
def test_words_are_those_of_eth_abi(pairs: list[tuple[str, object]]) -> None:
    types, values = zip(*pairs, strict=True)
    assert encode_words(types, values) == encode(types, values)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint64", 2**64),
        ("uint8", 256),
        ("uint64", -1),
        ("uint64", True),
        ("uint64", "1"),
        ("bytes32", bytes(33)),
        ("bytes32", "0x" + "00" * 32),
        ("address", "0x" + "11" * 19),
        ("address", "0x" + "zz" * 20),
    ],
)
def test_what_a_type_does_not_hold_is_refused_as_by_eth_abi(kind: str, value: object) -> None:
    with pytest.raises(EncodingError):
        encode_words((kind,), (value,))


@pytest.mark.parametrize(("kind", "value"), [("bytes32", b"short"), ("string", "text"), ("address", bytes(20))])
def test_other_spellings_and_types_are_eth_abi_s(kind: str, value: object) -> None:
    assert encode_words((kind,), (value,)) == encode((kind,), (value,))


def test_as_many_values_as_types_are_taken() -> None:
    with pytest.raises(ValueError, match="zip"):
        encode_words(("uint8",), (1, 2))
