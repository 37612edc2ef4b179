"""Incidents: everybody who was away, voted otherwise, was accused or suspended is named, and nobody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.events import (
    Attested,
    Challenged,
    DeviceEquivocated,
    Disputed,
    Event,
    RoundAborted,
    RoundOpened,
    StationReinstated,
    StationSuspended,
    UpdateRejected,
)
from chain.incidents import incidents
from chain.values import Reason
from tests.unit.chain.test_lineage import FINALS, GENESIS, STATIONS, TWIN, UPDATES, WHOLE, digest, update
from twins.types import ZERO_DIGEST, Digest

pytestmark = pytest.mark.unit

OTHER = digest("another")
MODEL = digest("model 2")


def at(block: int, log: int = 0) -> dict[str, Any]:
    return {"block": block, "log_index": log, "transaction": "0x00"}


def opened(number: int, electorate: int = 0b111) -> RoundOpened:
    return RoundOpened(
        twin=TWIN,
        round=number,
        opener=STATIONS[0],
        electorate=electorate,
        submit_until=60,
        attest_for=60,
        min_updates=1,
        **at(2),
    )


def vote(index: int, model: Digest = MODEL, replaced: Digest = ZERO_DIGEST, block: int = 7) -> Attested:
    return Attested(twin=TWIN, round=2, station=STATIONS[index], model=model, replaced=replaced, **at(block))


def suspended(block: int, index: int = 1) -> StationSuspended:
    return StationSuspended(station=STATIONS[index], by=STATIONS[0], evidence=digest("why"), **at(block))


def rejected(block: int, *, late: bool = False) -> UpdateRejected:
    return UpdateRejected(
        twin=TWIN,
        round=2,
        station=STATIONS[2],
        reason=Reason.FORGERY,
        evidence=digest("leaf"),
        late=late,
        **at(block),
    )


def told(*events: Event, registry: tuple[Event, ...] = ()) -> list[tuple[str, int | None, str]]:
    """Kind, round and who, of the incidents of round 2 and of the registry."""
    whole = (GENESIS, opened(2, 0b101), *UPDATES, *FINALS, *events)
    return [(i.kind, i.round, i.who) for i in incidents(replace(WHOLE, events=whole, registry_events=registry))]


def test_a_round_in_which_all_went_well_tells_nothing() -> None:
    assert told(vote(0), vote(2)) == []


def test_a_station_without_an_update_is_missing_once_the_round_has_ended() -> None:
    last = (GENESIS, opened(2), *UPDATES)
    assert list(incidents(replace(WHOLE, events=last))) == []
    aborted = RoundAborted(twin=TWIN, round=2, by=STATIONS[0], submitted=0b101, voted=0, **at(9))
    for end in (FINALS[1], aborted):
        (missing,) = incidents(replace(WHOLE, events=(*last, end)))
        assert (missing.kind, missing.round, missing.who) == ("missing", 2, STATIONS[1])


def test_a_late_update_is_late_and_its_station_missing() -> None:
    events = (GENESIS, opened(2), *UPDATES, update(2, 1, late=True), FINALS[1])
    kinds = [(i.kind, i.who) for i in incidents(replace(WHOLE, events=events))]
    assert kinds == [("missing", STATIONS[1]), ("late", STATIONS[1])]


def test_an_update_of_an_older_training_is_stale() -> None:
    stale = replace(update(2, 1), trained_round=1, staleness=1)
    events = (GENESIS, opened(2), *UPDATES, stale, FINALS[1])
    (incident,) = incidents(replace(WHOLE, events=events))
    assert str(incident) == f"stale [round 2] {STATIONS[1]}: trained for round 1, 1 rounds stale"


def test_attack_a_station_that_votes_for_another_model_is_named() -> None:
    assert told(vote(0), vote(2, OTHER)) == [("dissent", 2, STATIONS[2])]


def test_attack_a_station_that_moves_its_vote_is_named() -> None:
    assert told(vote(0), vote(2, MODEL, OTHER)) == [("moved-vote", 2, STATIONS[2])]


@pytest.mark.parametrize("registry", [False, True], ids=["rejected", "suspended"])
def test_a_vote_cast_before_an_update_was_thrown_out_is_no_dissent(registry: bool) -> None:
    if registry:
        assert told(vote(2, OTHER), registry=(suspended(8),)) == [("suspended", None, STATIONS[1])]
    else:
        assert told(vote(2, OTHER), rejected(8)) == [("rejected", 2, STATIONS[2])]


def test_attack_dissent_does_not_vanish_when_its_station_is_suspended_for_it_later() -> None:
    assert told(vote(2, OTHER), registry=(suspended(99, 2),)) == [
        ("dissent", 2, STATIONS[2]),
        ("suspended", None, STATIONS[2]),
    ]
    assert told(vote(2, OTHER), rejected(99, late=True)) == [("dissent", 2, STATIONS[2]), ("rejected", 2, STATIONS[2])]


def test_a_vote_after_the_update_was_thrown_out_is_dissent() -> None:
    assert ("dissent", 2, STATIONS[2]) in told(rejected(5), vote(2, OTHER))


def test_in_an_aborted_round_nobody_dissents() -> None:
    events = (GENESIS, opened(2, 0b101), *UPDATES, vote(0), vote(2, OTHER))
    assert list(incidents(replace(WHOLE, events=events))) == []


def test_accusations_rejections_challenges_and_devices_are_told_with_their_evidence() -> None:
    accused = Disputed(
        twin=TWIN, round=2, station=STATIONS[2], accuser=STATIONS[0], evidence=digest("accusation"), **at(6)
    )
    challenged = Challenged(
        twin=TWIN, round=2, station=STATIONS[2], root=digest("root"), leaf=digest("leaf"), answer_until=60, **at(6, 1)
    )
    device = DeviceEquivocated(
        twin=TWIN, round=2, device=STATIONS[1], station_a=STATIONS[0], station_b=STATIONS[2], **at(6, 2)
    )
    events = (GENESIS, opened(2, 0b101), *UPDATES, FINALS[1], accused, challenged, device, rejected(99, late=True))
    lines = [str(incident) for incident in incidents(replace(WHOLE, events=events))]
    assert lines == [
        f"accused [round 2] {STATIONS[2]}: accused by {STATIONS[0]}, evidence {digest('accusation')}",
        f"rejected [round 2] {STATIONS[2]}: update rejected, after the round: {Reason.FORGERY}, evidence "
        f"{digest('leaf')}",
        f"challenged [round 2] {STATIONS[2]}: to show leaf {digest('leaf')} under {digest('root')}",
        f"device-equivocated [round 2] {STATIONS[1]}: signed for two stations, {STATIONS[0]} and {STATIONS[2]}",
    ]


def test_who_was_suspended_and_reinstated_is_told_in_the_order_of_the_chain() -> None:
    back = StationReinstated(station=STATIONS[1], by=STATIONS[0], **at(9))
    assert told(registry=(suspended(3), back)) == [
        ("suspended", None, STATIONS[1]),
        ("reinstated", None, STATIONS[1]),
    ]
