"""Learning without a chain: what ``flwr run .`` does in Flower's simulation, before anybody has set up a station.

Devices, their signatures, the checks of what they send and the aggregation are those of a station (`StationTrainer`);
nothing is recorded, so nobody can audit it, and the devices' keys are public.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from fl.datasets import get
from fl.deployed import Connected, Patience, SuperLink
from fl.errors import EngineError
from fl.keys import public_key_material
from fl.station_trainer import Membership, StationTrainer, node_of
from fl.strategies import StrategySpec
from fl.training import initial_model
from twins.contribution import SigningDomain, address_of_key
from twins.manifest import TwinPolicy
from twins.types import address_of_bytes, sha256_digest, twin_id
from twins.updates import RecordedRound

_NOBODY = address_of_bytes(bytes(20))


@dataclass
class _Nothing:
    """A record in which nothing is: a strategy with state keeps it in memory, and loses it with the process."""

    rounds: tuple[int, ...] = field(default=())

    def load(self) -> Iterator[RecordedRound]:
        return iter(())


def learn_unrecorded(link: SuperLink, config: Mapping[str, object], say: Callable[[str], None]) -> None:
    """Learn for some rounds with all nodes that are there.

    Args:
        link: to the nodes.
        config: ``dataset``, ``split``, ``strategy``, ``rounds``, ``seed``.
        say: told each round.

    Raises:
        EngineError: no node, or numbers with gaps.
        FlError: unknown data set or strategy, more nodes than the data set has devices.
    """
    nodes = link.numbered()
    count, seed = len(nodes), int(str(config["seed"]))
    if not nodes or set(nodes) != set(range(count)):
        raise EngineError(f"expected nodes with the numbers from 0, got {sorted(nodes)}")
    name, split = str(config["dataset"]), str(config["split"])
    dataset = get(name)
    dataset.load(split, count)
    accounts = tuple(address_of_key(public_key_material(seed, number)) for number in range(count))

    def locate() -> dict[int, Connected]:
        return {node_of(number): at for number, at in nodes.items()}

    trainer = StationTrainer(
        station=_NOBODY,
        twin=twin_id("unrecorded"),
        domain=SigningDomain(1, _NOBODY),
        dataset=dataset,
        dataset_name=name,
        split=split,
        devices=count,
        members=Membership(tuple(range(count)), accounts=accounts),
        spec=StrategySpec.parse(str(config["strategy"]), ()),
        seed=seed,
        policy=TwinPolicy(None, 0, sealed=True),
        engine=link.engine(locate, Patience(gather=0.0)),
    )
    model, history = initial_model(dataset.task, seed), _Nothing()
    say(f"{count} devices, data set {name}/{split}; genesis {sha256_digest(model.to_bytes())}")
    for number in range(1, int(str(config["rounds"])) + 1):
        update = trainer.learn(model, sha256_digest(model.to_bytes()), number, history)
        model, history = update.model, _Nothing((*history.rounds, number))
        tested = trainer.evaluate(model)
        say(
            f"round {number}: model {sha256_digest(model.to_bytes())}, {len(update.updates)} of {count} devices, "
            f"accuracy {tested.accuracy:.3f}"
        )
