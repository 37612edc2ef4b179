from __future__ import annotations

import pytest

from chain.events import Attested, Event, Genesis, RoundAborted, RoundFinal, RoundOpened, UpdateSubmitted
from chain.round_ledger import members_of
from tests.integration.consortium import Consortium, digest
from twins.types import ZERO_DIGEST

pytestmark = pytest.mark.integration

GENESIS = digest("watch model 0")


def place(event: Event) -> dict[str, object]:
    return {"block": event.block, "log_index": event.log_index, "transaction": event.transaction}


def test_a_round_is_told_from_genesis_to_final(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.new_twin("gait")  # another twin's events are not this one's
    opened = consortium.open(twin)
    consortium.submit_all(twin)
    consortium.attest(consortium.stations[2], twin, text="wrong")
    consortium.attest(consortium.stations[2], twin, text="model 1", replaced=digest("wrong"))
    last = consortium.attest(consortium.stations[0], twin)

    events = consortium.ledger.events(twin, consortium.deployment.block)
    expected: list[Event] = [
        Genesis(twin=twin, model=GENESIS, owner=consortium.admin.address, **place(events[0])),  # type: ignore[arg-type]
        RoundOpened(
            twin=twin,
            round=1,
            opener=consortium.stations[0].address,
            electorate=0b111,
            submit_until=consortium.chain.timestamp(opened.block) + 60,
            attest_for=60,
            min_updates=1,
            **place(events[1]),  # type: ignore[arg-type]
        ),
        *(
            UpdateSubmitted(
                twin=twin,
                round=1,
                station=station.address,
                trained_round=1,
                base_round=0,
                base=GENESIS,
                update=digest(f"update 1 of {index}"),
                contributions=digest(f"contributions of update 1 of {index}"),
                examples=100,
                staleness=0,
                late=False,
                **place(events[2 + index]),  # type: ignore[arg-type]
            )
            for index, station in enumerate(consortium.stations)
        ),
        *(
            Attested(
                twin=twin,
                round=1,
                station=consortium.stations[voter].address,
                model=digest(model),
                replaced=replaced,
                **place(events[5 + index]),  # type: ignore[arg-type]
            )
            for index, (voter, model, replaced) in enumerate(
                [(2, "wrong", ZERO_DIGEST), (2, "model 1", digest("wrong")), (0, "model 1", ZERO_DIGEST)]
            )
        ),
        RoundFinal(
            twin=twin,
            round=1,
            parent=GENESIS,
            model=digest("model 1"),
            attesters=0b101,
            accepted=0b111,
            **place(events[8]),  # type: ignore[arg-type]
        ),
    ]
    assert events == expected
    assert [(e.block, e.log_index) for e in events] == sorted((e.block, e.log_index) for e in events)
    assert events[-1].transaction == events[-2].transaction == last.hash


def test_an_abortion_says_who_and_how_far_it_was(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit(consortium.stations[1], twin)
    consortium.advance(60)
    consortium.attest(consortium.stations[0], twin)
    consortium.advance(60)
    consortium.ledger.abort_round(consortium.outsider, twin, 1)
    event = consortium.ledger.events(twin, 0)[-1]
    assert event == RoundAborted(
        twin=twin,
        round=1,
        by=consortium.outsider.address,
        submitted=0b010,
        voted=0b001,
        **place(event),  # type: ignore[arg-type]
    )


def test_events_are_filtered_by_kind_round_station_and_block(consortium: Consortium) -> None:
    twin, ledger, station = consortium.new_twin(), consortium.ledger, consortium.stations[1].address
    consortium.finish(twin, 1)
    consortium.finish(twin, 2)
    everything = ledger.events(twin, 0)
    assert ledger.events(twin, 0, kinds=(RoundFinal, Genesis)) == [
        e for e in everything if isinstance(e, RoundFinal | Genesis)
    ]
    assert ledger.events(twin, 0, number=2) == [e for e in everything if getattr(e, "round", None) == 2]
    hers = [e for e in everything if getattr(e, "station", None) == station]
    assert len(hers) == 4
    assert ledger.events(twin, 0, station=station) == hers
    assert ledger.events(twin, 0, kinds=(UpdateSubmitted,), number=2, station=station) == [
        e for e in hers if isinstance(e, UpdateSubmitted) and e.round == 2
    ]
    middle = everything[5].block
    assert ledger.events(twin, 0, middle - 1) + ledger.events(twin, middle) == everything
    assert ledger.events(twin, 0, kinds=(Genesis,), number=0) == []


def test_a_receipt_carries_its_own_events(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    receipt = consortium.open(twin)
    (log,) = receipt.logs
    assert (log.block, log.transaction, log.address) == (
        receipt.block,
        receipt.hash,
        consortium.ledger.address,
    )


def test_members_of_a_set_are_named_by_index(consortium: Consortium) -> None:
    stations = consortium.registry.stations()
    assert members_of(0b101, stations) == (stations[0], stations[2])
    assert members_of(0, stations) == ()
    for wrong in (0b1000, -1):
        with pytest.raises(ValueError, match="set of stations"):
            members_of(wrong, stations)
