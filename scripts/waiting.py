"""What a station waits for, in words: who is missing, and until when."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from chain.round_ledger import members_of
from chain.values import RoundState, RoundStatus
from twins.types import Address


@dataclass(frozen=True)
class Wait:
    """What is waited for.

    Attributes:
        words: for people.
        until: Unix seconds of the chain at which there is something new even if nobody does anything; None: never.
        missing: who hasn't done what is waited for.
    """

    words: str
    until: int | None = None
    missing: tuple[Address, ...] = ()


def waiting_for(state: RoundState, stations: Sequence[Address], station: Address) -> Wait:
    """Say what a station with nothing to do waits for.

    Args:
        state: the twin's newest round.
        stations: all, by index.
        station: who waits.
    """
    number = state.number
    if state.status is RoundStatus.SUBMITTING:
        missing = members_of(state.electorate & ~state.submitted, stations)
        if not state.electorate >> stations.index(station) & 1:
            words = f"round {number}: not of its electorate; waiting for the next"
        else:
            words = f"round {number}: waiting for updates of {_named(missing)} until {clock(state.submit_until)}"
        return Wait(words, state.submit_until, missing)
    if state.status is RoundStatus.ATTESTING:
        return _attesting(state, stations)
    if state.status is RoundStatus.EXPIRED:
        return Wait(f"round {number} is over without a quorum: waiting for its end to be recorded", None)
    opener = stations[(number + 1) % len(stations)]
    before = f"round {number} was aborted; " if state.status is RoundStatus.ABORTED else ""
    return Wait(f"{before}waiting for station {opener} to open round {number + 1}", None, (opener,))


def _attesting(state: RoundState, stations: Sequence[Address]) -> Wait:
    number, until = state.number, state.attest_until
    missing = state.electorate & ~state.voted
    away = missing & ~state.submitted
    voted = state.voted.bit_count()
    if state.electorate.bit_count() - away.bit_count() < state.quorum:
        words = (
            f"round {number}: no quorum: {away.bit_count()} of {state.electorate.bit_count()} stations are away "
            f"({_listed(members_of(away, stations))}) and {state.quorum} votes are needed; it ends at {clock(until)}"
        )
        return Wait(words, until, members_of(away, stations))
    if voted < state.quorum:
        words = f"round {number}: waiting for {state.quorum - voted} more of {state.quorum} votes until {clock(until)}"
    else:
        words = (
            f"round {number}: {voted} votes, but no model has the {state.quorum} that it needs: stations disagree; "
            f"it ends at {clock(until)}"
        )
    return Wait(words, until, members_of(missing, stations))


def clock(seconds: int) -> str:
    """Return a time of the chain as this machine's clock has it, with the day unless it is today."""
    there = time.localtime(seconds)
    today = there[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", there)


def _named(missing: Sequence[Address]) -> str:
    count = len(missing)
    return f"{count} station{'' if count == 1 else 's'} ({_listed(missing)})"


def _listed(missing: Sequence[Address]) -> str:
    shown = ", ".join(station[:10] + "…" for station in missing[:4])
    return shown + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
