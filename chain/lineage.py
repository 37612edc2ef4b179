"""Lineage: a twin's whole history as the chain tells it, read at one block.

Reading everything at one block number keeps an audit consistent while rounds go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from chain.checks import Finding
from chain.events import (
    Event,
    Genesis,
    RosterSet,
    RoundFinal,
    RoundOpened,
    StationRegistered,
    StationReinstated,
    StationSuspended,
    UpdateSubmitted,
)
from chain.round_ledger import RoundLedger
from chain.twin_registry import TwinRegistry
from chain.values import Head, TwinRecord
from twins.types import ZERO_DIGEST, Address, Digest, TwinId

_E = TypeVar("_E", bound=Event)


@dataclass(frozen=True)
class Lineage:
    """What the chain holds of one twin.

    Attributes:
        twin: which one.
        block: at which it was read.
        record: the registry's.
        head: the ledger's.
        events: the ledger's of this twin, in the order of the chain.
        registry_events: the registry's, of all stations and twins, in the order of the chain.
        stations: by index.
        models: round to model, as the ledger's storage has it (events are what a node says of the past; storage is
            what the contract decides by).
    """

    twin: TwinId
    block: int
    record: TwinRecord
    head: Head
    events: tuple[Event, ...]
    registry_events: tuple[Event, ...]
    stations: tuple[Address, ...]
    models: Mapping[int, Digest]

    @classmethod
    def read(cls, twin: TwinId, registry: TwinRegistry, ledger: RoundLedger, since: int) -> Lineage:
        """Read a twin's history.

        Args:
            twin: which one.
            registry: of the consortium.
            ledger: of the consortium.
            since: block of the deployment; nothing happened before.

        Raises:
            TwinRegistryUnknownTwin: no such twin, as far as the chain is settled.
            ChainError: the chain can't be read.
        """
        block = ledger.chain.settled_block()  # an audit of what may still be undone would prove nothing
        record = registry.twin_of(twin, block)
        events = ledger.events(twin, since, block)
        numbers = (0, *(event.round for event in events if isinstance(event, RoundFinal)))
        return cls(
            twin=twin,
            block=block,
            record=record,
            head=ledger.head(twin, block),
            events=tuple(events),
            registry_events=tuple(registry.events(since, block)),
            stations=registry.stations(block),
            models={number: ledger.model_of(twin, number, block) for number in numbers},
        )

    @cached_property
    def _index(self) -> Mapping[tuple[type[Event], int | None], list[Event]]:
        index: dict[tuple[type[Event], int | None], list[Event]] = defaultdict(list)
        for event in self.events:
            index[type(event), None].append(event)
            if "round" in vars(event):
                index[type(event), vars(event)["round"]].append(event)
        return index

    def of(self, kind: type[_E], number: int | None = None) -> tuple[_E, ...]:
        """Return the ledger's events of one kind, of one round or of all."""
        return tuple(self._index.get((kind, number), ()))  # type: ignore[arg-type]

    @property
    def genesis(self) -> Digest:
        """The model of round 0."""
        return next((event.model for event in self.of(Genesis)), ZERO_DIGEST)

    @property
    def finals(self) -> tuple[RoundFinal, ...]:
        """Final rounds, ascending."""
        return self.of(RoundFinal)

    @property
    def updates(self) -> tuple[UpdateSubmitted, ...]:
        """Every recorded update; late ones and those of aborted rounds too."""
        return self.of(UpdateSubmitted)

    def accepted(self, final: RoundFinal) -> dict[Address, UpdateSubmitted]:
        """Return the updates that counted in a final round."""
        members = self.members(final.accepted)
        return {
            update.station: update
            for update in self.of(UpdateSubmitted, final.round)
            if not update.late and update.station in members
        }

    def accepted_before(self, update: UpdateSubmitted) -> list[UpdateSubmitted]:
        """Return the same station's updates that counted in final rounds since the one it trained for."""
        finals = (
            final for number in range(update.trained_round, update.round) for final in self.of(RoundFinal, number)
        )
        accepted = (self.accepted(final) for final in finals)
        return [updates[update.station] for updates in accepted if update.station in updates]

    def members(self, bits: int) -> tuple[Address, ...]:
        """Return the stations of a bit set."""
        return tuple(station for index, station in enumerate(self.stations) if bits >> index & 1)

    def electorate(self, number: int) -> int:
        """Return who could vote in a round, a bit set."""
        return next((event.electorate for event in self.of(RoundOpened, number)), 0)

    def active_at(self, event: Event) -> int:
        """Return the stations that weren't suspended when an event happened, a bit set."""
        active = 0
        for change in self.registry_events:
            if (change.block, change.log_index) > (event.block, event.log_index):
                break
            if isinstance(change, StationRegistered):
                active |= 1 << change.index
            elif isinstance(change, StationSuspended):
                active &= ~(1 << self.stations.index(change.station))
            elif isinstance(change, StationReinstated):
                active |= 1 << self.stations.index(change.station)
        return active

    def roster_root(self, update: UpdateSubmitted) -> Digest | None:
        """Return the station's roster root when it submitted, or None."""
        return roster_root_at((e for e in self.registry_events if isinstance(e, RosterSet)), update)

    def digests(self) -> tuple[Digest, ...]:
        """Return every model from the genesis to the head."""
        return (self.genesis, *(final.model for final in self.finals))

    def check(self) -> Iterator[Finding]:
        """Hold the chain's events against its storage, and each parent against the model before it."""
        if self.genesis == ZERO_DIGEST:
            yield Finding("lineage", "genesis", "a genesis event", "none")
        newest = self.finals[-1] if self.finals else None
        told = (newest.round, newest.model) if newest else (0, self.genesis)
        if told != (self.head.number, self.head.model):
            yield Finding(
                "lineage",
                "head",
                f"round {told[0]} model {told[1]}, as its events say",
                f"round {self.head.number} model {self.head.model}",
            )
        parent = self.genesis
        for number, model in ((0, self.genesis), *((f.round, f.model) for f in self.finals)):
            if self.models[number] != model:
                yield Finding(
                    "lineage",
                    f"round {number}",
                    f"model {model}, as its event says",
                    f"{self.models[number]} in the ledger's storage",
                )
        for final in self.finals:
            if final.parent != parent:
                yield Finding("lineage", f"round {final.round}, parent", parent, final.parent)
            parent = final.model
            if len(self.accepted(final)) != final.accepted.bit_count():
                yield Finding(
                    "lineage",
                    f"round {final.round}, accepted updates",
                    f"{final.accepted.bit_count()} events",
                    f"{len(self.accepted(final))}",
                )


def roster_root_at(rosters: Iterable[RosterSet], update: UpdateSubmitted) -> Digest | None:
    """Return the roster root that held for a station when it submitted: a later ``setRoster`` can't rewrite the past.

    Later in the same block is later, too: the registry's state of that block would make an invented device pass.

    Args:
        rosters: in the order of the chain.
        update: the station's.
    """
    root = None
    for event in rosters:
        if event.station == update.station and (event.block, event.log_index) < (update.block, update.log_index):
            root = event.root
    return root
