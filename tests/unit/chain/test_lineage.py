"""A lineage held against itself: events against storage, each parent against the model before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.checks import Finding
from chain.events import (
    Genesis,
    RosterSet,
    RoundFinal,
    StationRegistered,
    StationReinstated,
    StationSuspended,
    UpdateSubmitted,
)
from chain.lineage import Lineage, roster_root_at
from chain.values import Head, RoundPolicy, TwinRecord
from twins.contribution import address_of_key
from twins.types import Digest, sha256_digest, twin_id

pytestmark = pytest.mark.unit

TWIN = twin_id("watch")
STATIONS = tuple(address_of_key(bytes([n]) * 32) for n in (1, 2, 3))


def digest(text: str) -> Digest:
    return sha256_digest(text.encode())


def update(number: int, index: int, *, late: bool = False, block: int = 5, log: int = 0) -> UpdateSubmitted:
    return UpdateSubmitted(
        block=block,
        log_index=log,
        transaction="0x00",
        twin=TWIN,
        round=number,
        station=STATIONS[index],
        trained_round=number,
        base_round=number - 1,
        base=digest(f"model {number - 1}"),
        update=digest(f"update {number} of {index}"),
        contributions=digest("leaves"),
        examples=10,
        staleness=0,
        late=late,
    )


def final(number: int, accepted: int = 0b101) -> RoundFinal:
    return RoundFinal(
        block=9,
        log_index=0,
        transaction="0x00",
        twin=TWIN,
        round=number,
        parent=digest(f"model {number - 1}"),
        model=digest(f"model {number}"),
        attesters=0b011,
        accepted=accepted,
    )


def roster(index: int, text: str, block: int, log: int = 0) -> RosterSet:
    return RosterSet(
        block=block,
        log_index=log,
        transaction="0x00",
        station=STATIONS[index],
        root=digest(text),
        device_count=1,
        revision=1,
    )


GENESIS = Genesis(block=1, log_index=0, transaction="0x00", twin=TWIN, model=digest("model 0"), owner=STATIONS[0])
FINALS = (final(1), final(2))
UPDATES = tuple(update(number, index) for number in (1, 2) for index in (0, 2))
WHOLE = Lineage(
    twin=TWIN,
    block=20,
    record=TwinRecord(STATIONS[0], 1, RoundPolicy(60, 60, 1), digest("manifest")),
    head=Head(2, digest("model 2")),
    events=(GENESIS, *UPDATES, *FINALS),
    registry_events=(),
    stations=STATIONS,
    models={number: digest(f"model {number}") for number in range(3)},
)


def test_a_whole_lineage_has_no_findings() -> None:
    assert list(WHOLE.check()) == []
    assert WHOLE.digests() == tuple(digest(f"model {number}") for number in range(3))


def test_a_twin_with_a_genesis_only_is_whole() -> None:
    only = replace(WHOLE, head=Head(0, digest("model 0")), events=(GENESIS,), models={0: digest("model 0")})
    assert list(only.check()) == []


def test_a_head_that_no_event_speaks_of_is_found() -> None:
    # A node that hides the newest rounds from its logs, but not from storage.
    hidden = replace(WHOLE, events=(GENESIS, *UPDATES, *FINALS[:1]))
    expected = f"round 1 model {digest('model 1')}, as its events say"
    got = f"round 2 model {digest('model 2')}"
    assert list(hidden.check()) == [Finding("lineage", "head", expected, got)]


def test_a_genesis_that_no_event_speaks_of_is_found() -> None:
    findings = list(replace(WHOLE, events=(*UPDATES, *FINALS)).check())
    assert findings[0] == Finding("lineage", "genesis", "a genesis event", "none")
    assert [finding.where for finding in findings] == ["genesis", "round 0", "round 1, parent"]


def test_an_event_that_storage_contradicts_is_found() -> None:
    forged = replace(WHOLE, models=WHOLE.models | {1: digest("another")})
    expected = f"model {digest('model 1')}, as its event says"
    got = f"{digest('another')} in the ledger's storage"
    assert list(forged.check()) == [Finding("lineage", "round 1", expected, got)]


def test_a_round_left_out_breaks_the_chain_of_parents() -> None:
    holed = replace(WHOLE, events=(GENESIS, *UPDATES, *FINALS[1:]))
    assert list(holed.check()) == [
        Finding("lineage", "round 2, parent", digest("model 0"), digest("model 1")),
    ]


def test_an_accepted_update_whose_event_is_hidden_is_found() -> None:
    hidden = replace(WHOLE, events=(GENESIS, *UPDATES[:-1], *FINALS))
    assert list(hidden.check()) == [Finding("lineage", "round 2, accepted updates", "2 events", "1")]


def test_only_updates_that_were_in_time_and_accepted_count() -> None:
    extra = (update(1, 1), update(1, 1, late=True), update(2, 0, late=True))
    lineage = replace(WHOLE, events=(*WHOLE.events, *extra))
    assert lineage.accepted(final(1)) == {STATIONS[0]: update(1, 0), STATIONS[2]: update(1, 2)}
    assert lineage.members(0b110) == STATIONS[1:]


@pytest.mark.parametrize(
    ("block", "log", "root"),
    [(1, 0, None), (2, 4, None), (2, 6, "first"), (4, 0, "first"), (5, 0, "second"), (99, 0, "second")],
)
def test_the_roster_is_that_of_the_moment_of_the_update(block: int, log: int, root: str | None) -> None:
    rosters = (roster(0, "first", 2, 5), roster(1, "another station's", 3), roster(0, "second", 4, 7))
    at = update(1, 0, block=block, log=log)
    assert roster_root_at(rosters, at) == (None if root is None else digest(root))
    assert replace(WHOLE, registry_events=rosters).roster_root(at) == roster_root_at(rosters, at)


def test_who_was_active_is_told_for_every_moment() -> None:
    at: dict[str, Any] = {"log_index": 0, "transaction": "0x00"}
    changes = (
        *(StationRegistered(block=1, station=station, index=index, **at) for index, station in enumerate(STATIONS)),
        StationSuspended(block=4, station=STATIONS[1], by=STATIONS[0], evidence=digest("why"), **at),
        StationReinstated(block=7, station=STATIONS[1], by=STATIONS[0], **at),
    )
    lineage = replace(WHOLE, registry_events=changes)
    seen = {block: lineage.active_at(update(1, 0, block=block)) for block in (0, 1, 3, 4, 6, 7, 9)}
    assert seen == {0: 0, 1: 0b111, 3: 0b111, 4: 0b101, 6: 0b101, 7: 0b111, 9: 0b111}


def test_what_counted_since_a_training_is_told_of_the_same_station_only() -> None:
    stale = replace(update(2, 0), trained_round=1)
    assert WHOLE.accepted_before(stale) == [update(1, 0)]
    assert WHOLE.accepted_before(update(2, 0)) == []
