"""Challenges: whoever has the Merkle proof that a challenge asks for shows it, so that no honest update is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from chain.accounts import Account
from chain.connection import Receipt
from chain.events import ChallengeAnswered, Challenged, UpdateRejected, UpdateSubmitted
from chain.round_ledger import RoundLedger
from chain.steps import Action, Due
from chain.twin_registry import TwinRegistry
from chain.values import RoundState
from twins.archive import Archive
from twins.errors import TwinsError
from twins.manifest import StationUpdateManifest
from twins.merkle import StandardMerkleTree
from twins.types import Digest, TwinId, digest_bytes
from twins.updates import contributions_tree, roster_tree


@dataclass(frozen=True)
class Answers:
    """What one station does about challenges in the open round.

    Attributes:
        twin: which twin.
        account: the station's.
        registry: of the consortium.
        ledger: of the consortium.
        since: block of the deployment.
        archive: where the trees' values are.
    """

    twin: TwinId
    account: Account
    registry: TwinRegistry
    ledger: RoundLedger
    since: int
    archive: Archive

    def settlement(self, state: RoundState) -> Due | None:
        """Settle a challenge that nobody can answer and whose time is over: the update is thrown out."""
        for event in self._open(state):
            if self._now() >= event.answer_until and self._proof(event) is None:
                return Due(Action.SETTLED, state.number, partial(self._settle, event))
        return None

    def due(self, state: RoundState) -> Due | None:
        """Answer a challenge of the open round that can be answered, or settle one that nobody has answered in time.

        Any station may: an accused one that is away must not lose its update to a false challenge.
        """
        for event in self._open(state):
            proof = self._proof(event)
            if proof is not None:
                return Due(Action.ANSWERED, state.number, partial(self._answer, event, proof))
            if self._now() >= event.answer_until:
                return Due(Action.SETTLED, state.number, partial(self._settle, event))
        return None

    def _open(self, state: RoundState) -> Iterator[Challenged]:
        kinds = (Challenged, ChallengeAnswered, UpdateRejected)
        events = self.ledger.events(self.twin, self.since, kinds=kinds, number=state.number)
        over = {(e.station, e.root, e.leaf) for e in events if isinstance(e, ChallengeAnswered)}
        rejected = {e.station for e in events if isinstance(e, UpdateRejected)}
        for event in events:
            if not isinstance(event, Challenged) or event.station in rejected:
                continue
            if (event.station, event.root, event.leaf) not in over:
                yield event

    def _now(self) -> int:
        chain = self.ledger.chain
        return chain.timestamp(None if chain.confirmations else "pending")  # as StationFollower.state

    def _answer(self, event: Challenged, proof: tuple[bytes, ...]) -> Receipt:
        return self.ledger.answer_challenge(
            self.account, self.twin, event.round, event.station, event.root, event.leaf, proof
        )

    def _settle(self, event: Challenged) -> Receipt:
        return self.ledger.settle_challenge(self.account, self.twin, event.round, event.station, event.root, event.leaf)

    def _proof(self, event: Challenged) -> tuple[bytes, ...] | None:
        """Return the proof that the leaf is under the root, if the record holds the tree and the leaf is in it."""
        try:
            tree = self._tree(event)
        except TwinsError:
            return None
        leaf = digest_bytes(event.leaf)
        if tree is None or leaf not in tree.leaves:
            return None
        return tree.proof(tree.leaves.index(leaf))

    def _tree(self, event: Challenged) -> StandardMerkleTree | None:
        updates = self.ledger.events(
            self.twin, self.since, kinds=(UpdateSubmitted,), number=event.round, station=event.station
        )
        for update in updates:
            if isinstance(update, UpdateSubmitted) and not update.late:
                manifest = self.archive.manifest(StationUpdateManifest, update.update)
                for tree in (
                    contributions_tree(self.archive.index(manifest.index).entries),
                    roster_tree(self.archive.roster(manifest.roster)),
                ):
                    if tree.root == Digest(event.root):
                        return tree
        return None
