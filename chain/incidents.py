"""Incidents: who was away, who voted otherwise, who was accused, rejected or suspended. Named, whatever the verdict."""

from __future__ import annotations

from collections.abc import Iterator

from chain.audit_report import Incident
from chain.events import (
    Attested,
    Challenged,
    DeviceEquivocated,
    Disputed,
    Event,
    RoundAborted,
    RoundFinal,
    RoundOpened,
    StationReinstated,
    StationSuspended,
    UpdateRejected,
    UpdateSubmitted,
)
from chain.lineage import Lineage
from twins.types import ZERO_DIGEST


def incidents(lineage: Lineage) -> Iterator[Incident]:
    """Yield what the chain tells of the parties of a lineage: its rounds in their order, then the registry."""
    for opened in lineage.of(RoundOpened):
        yield from _of_round(lineage, opened)
    for event in lineage.registry_events:
        yield from _of_registry(event)


def _of_round(lineage: Lineage, opened: RoundOpened) -> Iterator[Incident]:
    number = opened.round
    final = next(iter(lineage.of(RoundFinal, number)), None)
    ended = final is not None or bool(lineage.of(RoundAborted, number))
    in_time = {event.station for event in lineage.of(UpdateSubmitted, number) if not event.late}
    if ended:
        for station in lineage.members(opened.electorate):
            if station not in in_time:
                yield Incident("missing", number, station, "no update in time")
    for update in lineage.of(UpdateSubmitted, number):
        if update.late:
            yield Incident("late", number, update.station, "an update after the round's window, not counted")
        elif update.staleness:
            text = f"trained for round {update.trained_round}, {update.staleness} rounds stale"
            yield Incident("stale", number, update.station, text)
    for vote in lineage.of(Attested, number):
        if vote.replaced != ZERO_DIGEST:
            yield Incident("moved-vote", number, vote.station, f"from {vote.replaced} to {vote.model}")
        if final is not None and vote.model != final.model and not _voided(lineage, vote, final):
            yield Incident("dissent", number, vote.station, f"voted for {vote.model}, final is {final.model}")
    yield from _of_disputes(lineage, number)


def _voided(lineage: Lineage, vote: Attested, final: RoundFinal) -> bool:
    """Tell whether an update was thrown out between a vote and the end: the vote was for other updates, no dissent.

    What happened after the end voids nothing, or a station's dissent would vanish when it is suspended for it.
    """
    rejected = lineage.of(UpdateRejected, vote.round)
    suspended = [event for event in lineage.registry_events if isinstance(event, StationSuspended)]
    return any(_place(vote) < _place(event) < _place(final) for event in (*rejected, *suspended))


def _place(event: Event) -> tuple[int, int]:
    return event.block, event.log_index


def _of_disputes(lineage: Lineage, number: int) -> Iterator[Incident]:
    for accusation in lineage.of(Disputed, number):
        text = f"accused by {accusation.accuser}, evidence {accusation.evidence}"
        yield Incident("accused", number, accusation.station, text)
    for rejected in lineage.of(UpdateRejected, number):
        after = ", after the round" if rejected.late else ""
        text = f"update rejected{after}: {rejected.reason}, evidence {rejected.evidence}"
        yield Incident("rejected", number, rejected.station, text)
    for challenge in lineage.of(Challenged, number):
        yield Incident("challenged", number, challenge.station, f"to show leaf {challenge.leaf} under {challenge.root}")
    for event in lineage.of(DeviceEquivocated, number):
        text = f"signed for two stations, {event.station_a} and {event.station_b}"
        yield Incident("device-equivocated", number, event.device, text)


def _of_registry(event: Event) -> Iterator[Incident]:
    if isinstance(event, StationSuspended):
        yield Incident("suspended", None, event.station, f"by {event.by}, evidence {event.evidence}")
    elif isinstance(event, StationReinstated):
        yield Incident("reinstated", None, event.station, f"by {event.by}")
