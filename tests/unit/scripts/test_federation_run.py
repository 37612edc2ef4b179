"""The driver of the rounds: it asks no round of stations that can't give one, and never waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chain.errors import RecordError
from chain.station import Action, Step
from chain.values import RoundStatus
from scripts.federation_run import RoundResult, run_rounds
from scripts.session import Session

pytestmark = pytest.mark.unit


@dataclass
class World:
    """A head, a round, and stations that do what they are told."""

    status: RoundStatus = RoundStatus.NONE
    number: int = 0
    head: int = 0
    asked: list[int] = field(default_factory=list)

    def session(self, *stations: Callable[[World, int], Step | None]) -> Session:
        def follower(act: Callable[[World, int], Step | None]) -> SimpleNamespace:
            def step(until: int) -> Step | None:
                self.asked.append(until)
                return act(self, until)

            return SimpleNamespace(step=step, twin="twin", roster=("device", "device"))

        def state(twin: str) -> SimpleNamespace:
            return SimpleNamespace(number=self.number, status=self.status, quorum=2, electorate=0b111, voted=0b1)

        return cast(
            Session,
            SimpleNamespace(
                twin="twin",
                notice=None,
                seconds_training=0.0,
                followers=[follower(act) for act in stations],
                network=SimpleNamespace(ledger=SimpleNamespace(round_of=state)),
                head_round=lambda: self.head,
                head_model=lambda: (self.head, f"model {self.head}", "weights"),
                evaluate=lambda model, weights: f"evaluation of {model}",
                merged_updates=lambda model: len(stations),
            ),
        )


def step(action: Action, number: int, gas: int) -> Step:
    return Step(action, number, cast(Any, SimpleNamespace(gas_used=gas)))


def idle(world: World, until: int) -> Step | None:
    return None


def diligent(world: World, until: int) -> Step | None:
    """A whole round at once."""
    world.number = world.head = world.head + 1
    world.status = RoundStatus.FINAL
    return step(Action.ATTESTED, world.head, 100)


def test_stations_that_all_have_nothing_to_do_are_an_error_that_names_the_votes() -> None:
    world = World(RoundStatus.ATTESTING, number=1)
    with pytest.raises(RecordError, match=r"round 1 is attesting .* expected 2 votes of 3 stations, got 1"):
        list(run_rounds(world.session(idle, idle, idle), 5))
    assert len(world.asked) == 3, "each was asked once: no endless loop"


def test_a_head_that_is_there_asks_nothing_of_anybody() -> None:
    world = World(RoundStatus.FINAL, number=5, head=5)
    assert list(run_rounds(world.session(idle), 5)) == []
    assert list(run_rounds(world.session(idle), 3)) == []
    assert world.asked == []


def test_each_round_is_told_when_it_is_final_with_its_parent_and_gas() -> None:
    world = World()
    told: list[RoundResult] = list(run_rounds(world.session(idle, diligent, idle), 3))
    assert [(r.number, r.parent, r.model, r.gas) for r in told] == [
        (1, "model 0", "model 1", 100),
        (2, "model 1", "model 2", 100),
        (3, "model 2", "model 3", 100),
    ]
    assert {(r.stations, r.devices) for r in told} == {(3, 6)}
    assert all(r.seconds >= 0 and set(r.phases) == {"train", "record", "merge", "evaluate"} for r in told)


def test_nothing_beyond_the_last_round_is_begun() -> None:
    world = World()
    session = world.session(diligent, diligent, diligent)
    assert [result.number for result in run_rounds(session, 1)] == [1]
    # The first made round 1 final; the others would have begun round 2.
    assert world.asked == [1]


def test_an_aborted_round_does_not_use_up_the_last_number() -> None:
    world = World(RoundStatus.ABORTED, number=5, head=4)
    list(run_rounds(world.session(diligent), 5))
    assert world.asked == [6]


def test_a_station_that_fails_stops_the_run_with_its_own_words() -> None:
    def failing(world: World, until: int) -> Step | None:
        raise RecordError("the update of station B is not as recorded")

    with pytest.raises(RecordError, match="station B"):
        list(run_rounds(World().session(idle, failing, diligent), 1))
