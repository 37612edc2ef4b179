"""The disputes of a twin as the chain has them: who accused whom, what was rejected, which challenges are open."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from chain.events import ChallengeAnswered, Challenged, DeviceEquivocated, Disputed, Event, UpdateRejected
from scripts.cases import Case
from twins.canonical import Json
from twins.types import Address

_KINDS = (Disputed, UpdateRejected, Challenged, ChallengeAnswered, DeviceEquivocated)


@dataclass(frozen=True)
class Entry:
    """One event of a dispute.

    Attributes:
        round: in which the update counts.
        what: ``accused``, ``rejected``, ``challenged``, ``answered`` or ``device signed twice``.
        who: the station or device that it is about.
        detail: by whom, why, until when.
    """

    round: int
    what: str
    who: Address
    detail: str

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values."""
        return dict(vars(self))


def entries_of(case: Case, rounds: int) -> list[Entry]:
    """Return what was disputed in a twin's newest rounds, in the order of the chain."""
    newest = case.network.ledger.round_of(case.twin).number
    events = case.network.ledger.events(case.twin, case.network.since, kinds=_KINDS)
    return [_entry(event) for event in events if vars(event)["round"] > newest - rounds]


def table_of(entries: Sequence[Entry]) -> Table:
    """Return them as people read them."""
    table = Table("round", "what", "who", "detail")
    for entry in entries:
        table.add_row(str(entry.round), entry.what, entry.who, entry.detail)
    return table


def challenge_line(challenge: Challenged, until: int) -> str:
    """Say what a challenge asks for, and until when."""
    return (
        f"round {challenge.round}, station {challenge.station}: leaf {challenge.leaf} under root {challenge.root}, "
        f"until {_clock(until)}"
    )


def _entry(event: Event) -> Entry:
    match event:
        case Disputed():
            return Entry(event.round, "accused", event.station, f"by {event.accuser}, evidence {event.evidence}")
        case UpdateRejected():
            late = ", after the round's end" if event.late else ""
            why = event.reason.name.lower().replace("_", " ")
            return Entry(event.round, "rejected", event.station, f"{why}, evidence {event.evidence}{late}")
        case Challenged():
            until = _clock(event.answer_until)
            return Entry(event.round, "challenged", event.station, f"to show leaf {event.leaf} until {until}")
        case ChallengeAnswered():
            return Entry(event.round, "answered", event.station, f"leaf {event.leaf} is there")
        case DeviceEquivocated():
            stations = f"for stations {event.station_a} and {event.station_b}"
            return Entry(event.round, "device signed twice", event.device, stations)
    raise TypeError(f"expected an event of a dispute, got {event}")


def _clock(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
