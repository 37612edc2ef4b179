"""Keccak-256: the hash of eth_utils, for any length."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak as reference
from hypothesis import given
from hypothesis import strategies as st

from twins.keccak import keccak

pytestmark = pytest.mark.unit


@given(st.binary(max_size=600))
def test_it_is_the_hash_of_eth_utils(data: bytes) -> None:
    assert keccak(data) == reference(data)


def test_nothing_has_the_hash_that_ethereum_gives_it() -> None:
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
