"""One station of a few devices, one of which lies when it is told how."""

from __future__ import annotations

from pathlib import Path

import pytest
from flwr.app import Message

from fl.strategies import StrategySpec
from tests.unit.fl.hostile import BAD
from tests.unit.fl.world import OPEN, Hostile, Memory, device, digest_of, genesis, recorded
from tests.unit.fl.world import trainers as make_trainers
from twins.manifest import TwinPolicy
from twins.updates import ContributionIndex, Rejection, StationUpdate, device_order

MEMORY = StrategySpec("FedAvgM", {"server_momentum": 0.9})
"""A strategy with a memory: what it must not absorb would show in every later round."""


class World:
    """One station of three devices, one of which lies when it is told how."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        spec: StrategySpec = MEMORY,
        policy: TwinPolicy = OPEN,
        devices: int = 3,
    ) -> None:
        self.hostile = Hostile(BAD)
        monkeypatch.setattr("fl.station_trainer.app", self.hostile)
        (self.trainer,) = make_trainers(folder, stations=1, devices=devices, spec=spec, policy=policy)
        self.memory = Memory()

    def learn(self, number: int) -> StationUpdate:
        return self.trainer.learn(genesis(), digest_of(genesis()), number, self.memory)

    def rejected(self, number: int) -> Rejection:
        """Learn, and return the one rejection there is: everybody else of the roster is used."""
        update = self.learn(number)
        (rejection,) = update.rejections
        assert rejection.device == device(BAD)
        require_all_accounted_for(update, self.trainer.roster)
        return rejection

    def record(self, number: int) -> StationUpdate:
        update = self.learn(number)
        self.memory.recorded.append(recorded(number, genesis(), update))
        return update


def require_all_accounted_for(update: StationUpdate, roster: tuple[str, ...]) -> None:
    """Each device of the roster once, used or rejected; `ContributionIndex` holds the order."""
    index = ContributionIndex.of(update)
    assert ContributionIndex.from_bytes(index.to_bytes()) == index
    named = [entry.device for entry in index.entries] + [rejection.device for rejection in index.rejections]
    assert sorted(named, key=device_order) == list(roster)


def fail(request: Message, reply: Message) -> None:
    raise OSError("its battery is empty")
