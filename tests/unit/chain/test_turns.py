"""Turns: who opens the next round, and when the others stop waiting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.turns import STAGGER, electors, opens_at

pytestmark = pytest.mark.unit

sets = st.integers(1, 2**64 - 1)


@given(sets, st.integers(1, 10**6), st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_exactly_one_elector_opens_at_once_and_the_others_each_later(
    electorate: int, number: int, ended: int, grace: int
) -> None:
    order = electors(electorate)
    times = sorted(opens_at(number, index, electorate, ended, grace) or 0 for index in order)
    assert opens_at(number, order[number % len(order)], electorate, ended, grace) == ended == times[0]
    assert times[1:] == [ended + grace + STAGGER * place for place in range(len(order) - 1)]


@given(sets, st.integers(1, 1000))
def test_turns_go_round(electorate: int, number: int) -> None:
    order = electors(electorate)
    numbers = range(number, number + len(order))
    openers = [next(i for i in order if opens_at(n, i, electorate, 0, 9) == 0) for n in numbers]
    assert sorted(openers) == list(order)


def test_a_station_that_is_no_elector_waits_for_ever() -> None:
    assert opens_at(1, 1, 0b101, 0, 5) is None
