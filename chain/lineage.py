"""Lineage: a twin's whole history as the chain tells it, read at one block.

Reading everything at one block number keeps an audit consistent while rounds go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chain.checks import Finding
from chain.events import Genesis, RosterSet, RoundFinal, UpdateSubmitted
from chain.round_ledger import RoundLedger
from chain.twin_registry import TwinRegistry
from chain.values import Head, TwinRecord
from twins.types import ZERO_DIGEST, Address, Digest, TwinId


@dataclass(frozen=True)
class Lineage:
    """What the chain holds of one twin.

    Attributes:
        twin: which one.
        block: at which it was read.
        record: the registry's.
        head: the ledger's.
        genesis: model of round 0.
        finals: final rounds, ascending.
        updates: every recorded update, in the order of the chain; late ones and those of aborted rounds too.
        rosters: every roster that a station set, in the order of the chain.
        stations: by index.
        models: round to model, as the ledger's storage has it (events are what a node says of the past; storage is
            what the contract decides by).
    """

    twin: TwinId
    block: int
    record: TwinRecord
    head: Head
    genesis: Digest
    finals: tuple[RoundFinal, ...]
    updates: tuple[UpdateSubmitted, ...]
    rosters: tuple[RosterSet, ...]
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
        finals = tuple(event for event in events if isinstance(event, RoundFinal))
        genesis = next((event.model for event in events if isinstance(event, Genesis)), ZERO_DIGEST)
        return cls(
            twin=twin,
            block=block,
            record=record,
            head=ledger.head(twin, block),
            genesis=genesis,
            finals=finals,
            updates=tuple(event for event in events if isinstance(event, UpdateSubmitted)),
            rosters=tuple(event for event in registry.events(since, block) if isinstance(event, RosterSet)),
            stations=registry.stations(block),
            models={number: ledger.model_of(twin, number, block) for number in (0, *(f.round for f in finals))},
        )

    def accepted(self, final: RoundFinal) -> dict[Address, UpdateSubmitted]:
        """Return the updates that counted in a final round."""
        return {
            update.station: update
            for update in self.updates
            if update.round == final.round and not update.late and update.station in self.members(final.accepted)
        }

    def members(self, bits: int) -> tuple[Address, ...]:
        """Return the stations of a bit set."""
        return tuple(station for index, station in enumerate(self.stations) if bits >> index & 1)

    def roster_root(self, update: UpdateSubmitted) -> Digest | None:
        """Return the station's roster root when it submitted, or None."""
        return roster_root_at(self.rosters, update)

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
