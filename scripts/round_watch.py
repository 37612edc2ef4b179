"""Rounds as the chain tells them: what became final, who was missing, what it cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.events import Event, RoundFinal, RoundOpened
from chain.round_ledger import members_of
from fl.station_trainer import Evaluation
from scripts.connections import Network
from twins.archive import Archive
from twins.manifest import StationUpdateManifest, TwinModelManifest
from twins.types import Address, Digest, TwinId


@dataclass(frozen=True)
class FinalRound:
    """A final round.

    Attributes:
        number: of the round.
        model: the new head.
        parent: the former head.
        stations: whose updates are in it.
        missing: of the round's electorate, whose aren't.
        devices: how many contributed.
        gas: of all transactions for the round that were recorded while somebody watched.
    """

    number: int
    model: Digest
    parent: Digest
    stations: tuple[Address, ...]
    missing: tuple[Address, ...]
    devices: int
    gas: int


class RoundWatch:
    """Sees each round once, when it is settled: what a reorganisation may still undo isn't told."""

    def __init__(self, network: Network, archive: Archive, twin: TwinId) -> None:
        """Begin to watch now."""
        self._network, self._archive, self._twin = network, archive, twin
        self._block = network.chain.settled_block()
        self._events: dict[int, list[Event]] = defaultdict(list)

    def look(self) -> list[FinalRound]:
        """Return the rounds that became final since the last look.

        Raises:
            ChainError: the chain can't be read.
            TwinsError: a manifest that the chain names can't be fetched.
        """
        block = self._network.chain.settled_block()
        if block <= self._block:
            return []
        events = self._network.ledger.events(self._twin, self._block + 1, block)
        self._block = block
        for event in events:
            self._events[getattr(event, "round", 0)].append(event)
        return [self._describe(event) for event in events if isinstance(event, RoundFinal)]

    def evaluation(self, model: Digest) -> Evaluation:
        """Return how good the base of a final round was, by what its stations recorded in their manifests."""
        parts = []
        for ref in self._archive.manifest(TwinModelManifest, model).updates:
            base = self._archive.manifest(StationUpdateManifest, ref.update).metrics.get("base")
            if isinstance(base, dict):
                parts.append(evaluation_of(base))
        return Evaluation.total(parts)

    def _describe(self, final: RoundFinal) -> FinalRound:
        chain, number = self._network.chain, final.round
        stations = self._network.registry.stations()
        updates = self._archive.manifest(TwinModelManifest, final.model).updates
        transactions = dict.fromkeys(event.transaction for event in self._events.pop(number))
        return FinalRound(
            number=number,
            model=final.model,
            parent=final.parent,
            stations=members_of(final.accepted, stations),
            missing=members_of(self._electorate(number) & ~final.accepted, stations),
            devices=sum(self._archive.manifest(StationUpdateManifest, ref.update).devices for ref in updates),
            gas=sum(chain.receipt(hash_).gas_used for hash_ in transactions),
        )

    def _electorate(self, number: int) -> int:
        network = self._network
        events = network.ledger.events(self._twin, network.since, kinds=(RoundOpened,), number=number)
        return next((event.electorate for event in events if isinstance(event, RoundOpened)), 0)


def evaluation_of(value: Mapping[str, Any]) -> Evaluation:
    """Return what `Evaluation.to_json` made; from a station, which may have written anything.

    Raises:
        ValueError, TypeError, KeyError: something else.
    """
    return Evaluation(int(value["correct"]), int(value["examples"]), float(value["loss"]))
