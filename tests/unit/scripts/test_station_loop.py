"""One station's loop: what it does when the chain takes back what it had seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chain.errors import UndoneError
from chain.station import Action, Due, Unsettled
from chain.values import RoundStatus
from scripts.connections import Network
from scripts.station_loop import StationLoop
from scripts.station_parts import LocalStation

pytestmark = pytest.mark.unit


@dataclass
class World:
    """A chain, a round and a station's plans."""

    plans: list[Due | Unsettled] = field(default_factory=list)
    undone: list[Callable[[], None]] = field(default_factory=list)
    """What happens when it looks after what it sent, one by one: a reorganisation."""
    head: int = 0
    blocks: int = 0
    settled: bool = False
    told: list[str] = field(default_factory=list)

    confirmations = 3
    patience = 5.0

    def block_number(self) -> int:
        return self.blocks

    def settled_block(self) -> int:
        return self.blocks

    def await_block(self) -> None:
        self.blocks += 1
        self._tend()

    def settle(self) -> None:
        self._tend()
        self.settled = True

    def sleep(self, seconds: float) -> None: ...

    def _tend(self) -> None:
        if self.undone:
            self.undone.pop(0)()
            raise UndoneError("0xabc", 122, "the round is final")

    def due(self, last: int) -> Due | Unsettled:
        return self.plans.pop(0)

    def vote(self) -> Due:
        def send() -> Any:
            self.head += 1
            return SimpleNamespace(gas_used=44_519)

        return Due(Action.ATTESTED, self.head + 1, send)

    def run(self, until: int) -> None:
        """Follow, with everything but the loop made up."""
        manifest = SimpleNamespace(parent="parent", updates=("update",))
        follower = SimpleNamespace(
            twin="twin",
            state=lambda: SimpleNamespace(number=self.head + 1, status=RoundStatus.ATTESTING, electorate=0),
            due=self.due,
            base_model=lambda digest: "weights",
            archive=SimpleNamespace(manifest=lambda kind, digest: manifest),
        )
        evaluation = SimpleNamespace(accuracy=0.5, to_json=dict)
        station = SimpleNamespace(
            follower=follower, account=SimpleNamespace(address="0x01"), evaluate=lambda model: evaluation
        )
        ledger = SimpleNamespace(head=lambda twin, block=None: SimpleNamespace(number=self.head, model=f"m{self.head}"))
        network = SimpleNamespace(chain=self, ledger=ledger)
        tell = lambda told: self.told.append(told.event)  # noqa: E731
        StationLoop(cast(Network, network), cast(LocalStation, station), until, tell).run()


def test_it_stops_settled_when_the_head_is_where_it_was_to_be() -> None:
    world = World()
    world.plans = [Unsettled(1), world.vote()]
    world.run(1)
    assert (world.settled, world.blocks, world.told) == (True, 1, ["head", "attested", "head"])


def test_a_vote_that_was_undone_and_is_refused_now_ends_no_station() -> None:
    world = World(undone=[lambda: None])
    world.plans = [Unsettled(1), world.vote()]
    world.run(1)
    assert world.settled


def test_one_that_was_undone_at_the_very_end_ends_no_station_either() -> None:
    world = World()
    world.plans, world.undone = [world.vote()], [lambda: None]
    world.run(1)
    assert world.settled


def test_a_last_round_that_a_reorganisation_undid_is_run_again() -> None:
    world = World()

    def undo() -> None:
        world.head = 0

    world.plans, world.undone = [world.vote(), world.vote()], [undo]
    world.run(1)
    assert (world.settled, world.told) == (True, ["head", "attested", "head", "head", "attested", "head"])
