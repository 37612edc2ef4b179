"""What a station waits for, in words: who is missing, and until when."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from chain.round_ledger import members_of
from chain.turns import electors, opens_at
from chain.values import RoundState, RoundStatus
from twins.types import Address


@dataclass(frozen=True)
class Wait:
    """What is waited for.

    Attributes:
        words: for people.
        until: Unix seconds of the chain at which there is something new even if nobody does anything; None: unknown.
        missing: who hasn't done what is waited for.
    """

    words: str
    until: int | None = None
    missing: tuple[Address, ...] = ()


@dataclass(frozen=True)
class Consortium:
    """Who there is, as a station that waits has to know it.

    Attributes:
        stations: all, by index.
        active: a bit set of them: who isn't suspended.
        producers: a bit set of them: who was elected; none before the first election.
        grace: seconds after a round's end in which only the station whose turn it is opens the next.
    """

    stations: tuple[Address, ...]
    active: int
    producers: int
    grace: int

    @property
    def electorate(self) -> int:
        """Of the next round."""
        return self.producers & self.active or self.active


def waiting_for(state: RoundState, consortium: Consortium, station: Address) -> Wait:
    """Say what a station with nothing to do waits for.

    Args:
        state: the twin's newest round.
        consortium: who there is.
        station: who waits.
    """
    number, bit = state.number, 1 << consortium.stations.index(station)
    if not consortium.active & bit:
        return Wait(f"station {station} is suspended: it does nothing until the registrar reinstates it")
    if state.status in (RoundStatus.NONE, RoundStatus.FINAL, RoundStatus.ABORTED):
        return _opening(state, consortium, station)
    if not state.electorate & bit:
        return Wait(f"round {number}: not of its electorate; waiting for the next round", _deadline(state))
    if state.status is RoundStatus.SUBMITTING:
        missing = members_of(state.live & ~state.submitted, consortium.stations)
        words = f"round {number}: waiting for updates of {_named(missing)} until {clock(state.submit_until)}"
        return Wait(words, state.submit_until, missing)
    if state.status is RoundStatus.ATTESTING:
        return _attesting(state, consortium.stations)
    return Wait(f"round {number} is over without a quorum: waiting for its end to be recorded")


def _deadline(state: RoundState) -> int:
    return state.submit_until if state.status is RoundStatus.SUBMITTING else state.attest_until


def _opening(state: RoundState, consortium: Consortium, station: Address) -> Wait:
    number, electorate = state.number + 1, consortium.electorate
    order = electors(electorate)
    opener = consortium.stations[order[number % len(order)]]
    before = f"round {state.number} was aborted; " if state.status is RoundStatus.ABORTED else ""
    mine = opens_at(number, consortium.stations.index(station), electorate, state.submit_until, consortium.grace)
    return Wait(f"{before}waiting for station {opener} to open round {number}", mine, (opener,))


def _attesting(state: RoundState, stations: Sequence[Address]) -> Wait:
    number, until, voters = state.number, state.attest_until, state.live.bit_count()
    missing = state.live & ~state.voted
    away = missing & ~state.submitted
    voted = state.voted.bit_count()
    if voters - away.bit_count() < state.quorum:
        words = (
            f"round {number}: no quorum: {away.bit_count()} of {voters} stations are away "
            f"({_listed(members_of(away, stations))}) and {state.quorum} votes are needed; it ends at {clock(until)}"
        )
        return Wait(words, until, members_of(away, stations))
    if voted < state.quorum:
        more = state.quorum - voted
        words = f"round {number}: waiting for {more} more of {state.quorum} votes until {clock(until)}"
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
