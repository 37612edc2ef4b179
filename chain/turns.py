"""Who opens the next round, and when: by turns, so that no station alone decides when rounds begin.

A dead one doesn't stop the twin: after the policy's grace the others may, one after another, so that they don't all pay
for a transaction of which only the first can succeed.
"""

from __future__ import annotations

STAGGER = 2
"""Seconds between one station's patience and the next one's: two blocks of a chain with a block per second."""


def electors(electorate: int) -> tuple[int, ...]:
    """Return the indices in a bit set of stations, ascending."""
    return tuple(index for index in range(electorate.bit_length()) if electorate >> index & 1)


def opens_at(number: int, index: int, electorate: int, ended: int, grace: int) -> int | None:
    """Return from when on a station is to open a round (``IRoundLedger.openRound``).

    Args:
        number: of the round to be opened.
        index: the station's.
        electorate: of that round, a bit set that isn't empty.
        ended: when the round before ended, Unix seconds.
        grace: seconds in which only the station whose turn it is may open.

    Returns:
        Unix seconds; None for a station that isn't of the electorate: it may open, but nobody needs to wait for it.
    """
    order = electors(electorate)
    if index not in order:
        return None
    behind = (order.index(index) - number) % len(order)
    return ended if behind == 0 else ended + grace + STAGGER * (behind - 1)
