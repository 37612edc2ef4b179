"""What a dispute rests on: the updates of a twin as the ledger committed to them, their proofs, their challenges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chain.events import Challenged, Event, RosterSet, UpdateSubmitted
from chain.lineage import roster_root_at
from chain.values import ProvenContribution, Recorded
from scripts.cli import BadInputError
from scripts.connections import Network
from twins.archive import Archive
from twins.errors import TwinsError
from twins.manifest import StationUpdateManifest
from twins.merkle import StandardMerkleTree
from twins.types import Address, Digest, TwinId, digest_bytes, parse_address, parse_digest
from twins.updates import ContributionIndex, contributions_tree, roster_tree

Proof = tuple[Recorded, ProvenContribution, tuple[bytes, ...]]
"""What the ledger needs to believe that a station counted a contribution."""


@dataclass(frozen=True)
class KeptReceipt:
    """A station's receipt for a contribution, as a device keeps it.

    Attributes:
        twin: which one.
        round: for which the device trained.
        station: that signed.
        leaf: of the contribution; this was signed.
        signature: of EIP-712 ``Receipt``, 65 bytes.
    """

    twin: TwinId
    round: int
    station: Address
    leaf: Digest
    signature: bytes

    @classmethod
    def read(cls, file: Path, number: int | None = None, station: Address | None = None) -> KeptReceipt:
        """Read one receipt of a device's file, which has a line for each.

        Args:
            file: the device's.
            number: round of the receipt; None if there is but one.
            station: that signed; None if there is but one.

        Raises:
            BadInputError: no line is a receipt, or not exactly one is meant.
        """
        try:
            lines = dict.fromkeys(line for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
        except (OSError, ValueError) as error:
            raise BadInputError(f"{file}: expected receipts, as a device keeps them, got {error}") from error
        if not lines:
            raise BadInputError(f"{file}: expected receipts, as a device keeps them, got nothing")
        kept = [cls._of(file, line) for line in lines]
        meant = [one for one in kept if number in (None, one.round) and station in (None, one.station)]
        if len(meant) != 1:
            there = "; ".join(f"round {one.round}, station {one.station}" for one in kept)
            raise BadInputError(f"{file}: expected one receipt, got {len(meant)} of: {there}; name --round, --station")
        return meant[0]

    @classmethod
    def _of(cls, file: Path, line: str) -> KeptReceipt:
        try:
            body = json.loads(line)
            number = body["round"]
            if type(number) is not int or number < 1:
                raise TypeError(f"round {number!r}")
            return cls(
                TwinId(parse_digest(body["twin"])),
                number,
                parse_address(body["station"]),
                parse_digest(body["leaf"]),
                bytes.fromhex(str(body["receipt"]).removeprefix("0x")),
            )
        except (ValueError, KeyError, TypeError, TwinsError) as error:
            raise BadInputError(
                f"{file}: expected a receipt, JSON with twin, round, station, leaf and receipt as a device keeps it, "
                f"got {type(error).__name__}: {error}"
            ) from error


@dataclass(frozen=True)
class Case:
    """One twin's record, as far as disputes need it.

    Attributes:
        twin: which one.
        network: the consortium.
        archive: where the artifacts are; not trusted.
    """

    twin: TwinId
    network: Network
    archive: Archive

    def update(self, number: int, station: Address) -> UpdateSubmitted:
        """Return a station's update that counts, or counted, in a round.

        Raises:
            BadInputError: there is none. To a late one the ledger has committed by nothing.
        """
        return self._one(
            (event for event in self._updates(station) if event.round == number), f"round {number}, station {station}"
        )

    def update_of(self, receipt: KeptReceipt) -> UpdateSubmitted:
        """Return the update that should have a receipt's contribution in it.

        Raises:
            BadInputError: there is none, so that nothing was left out yet.
        """
        trained = (event for event in self._updates(receipt.station) if event.trained_round == receipt.round)
        return self._one(trained, f"training of round {receipt.round}, station {receipt.station}")

    def _updates(self, station: Address) -> Iterator[UpdateSubmitted]:
        ledger, since = self.network.ledger, self.network.since
        for event in ledger.events(self.twin, since, kinds=(UpdateSubmitted,), station=station):
            if isinstance(event, UpdateSubmitted) and not event.late:
                yield event

    @staticmethod
    def _one(events: Iterable[UpdateSubmitted], where: str) -> UpdateSubmitted:
        newest = max(events, key=lambda event: event.round, default=None)
        if newest is None:
            raise BadInputError(f"{where}: expected an update that was recorded in time, got none; `show` lists them")
        return newest

    def index(self, recorded: UpdateSubmitted) -> ContributionIndex:
        """Fetch what a station says of its contributions.

        Raises:
            TwinsError: it can't be fetched.
        """
        return self.archive.index(self._manifest(recorded).index)

    def _manifest(self, recorded: UpdateSubmitted) -> StationUpdateManifest:
        return self.archive.manifest(StationUpdateManifest, recorded.update)

    def committed(self, recorded: UpdateSubmitted) -> Recorded:
        """Return an update as the ledger committed to it, with the roster of that time.

        Raises:
            BadInputError: the station had no roster then, so that there is nothing to hold its devices against.
        """
        root = roster_root_at(self._rosters, recorded)
        if root is None:
            raise BadInputError(
                f"station {recorded.station}: expected a roster on the chain before its update of round "
                f"{recorded.round}, got none; accuse it instead"
            )
        return Recorded.of(recorded, root)

    def proof(self, number: int, station: Address, device: Address) -> Proof:
        """Return the proof that a station counted a device in a round.

        Raises:
            BadInputError: it didn't, or its index isn't what it committed to.
            TwinsError: the index can't be fetched.
        """
        recorded = self.update(number, station)
        entries = self.index(recorded).entries
        tree = contributions_tree(entries) if entries else None
        where = f"round {number}, station {station}"
        if tree is None or tree.root != recorded.contributions:
            raise BadInputError(
                f"{where}: expected contributions under the root {recorded.contributions} that the ledger committed "
                f"to, got {tree.root if tree else 'none'}; nothing can be proven from these: accuse the station"
            )
        places = [place for place, entry in enumerate(entries) if entry.device == device]
        if not places:
            raise BadInputError(
                f"{where}: expected device {device} among its {len(entries)} contributions, got others; "
                "if it was left out, challenge-omitted takes its receipt"
            )
        return self.committed(recorded), ProvenContribution.of(entries[places[0]]), tree.proof(places[0])

    def enrolled(self, recorded: Recorded, device: Address) -> bool:
        """Tell whether a device is in the roster that held for an update; a roster that isn't shown has nobody.

        Raises:
            TwinsError: the update's manifest can't be fetched.
        """
        manifest = self.archive.manifest(StationUpdateManifest, recorded.update.update)
        try:
            devices = self.archive.roster(manifest.roster)
        except TwinsError:
            return False
        return bool(devices) and roster_tree(devices).root == recorded.roster and device in devices

    def now(self) -> int:
        """Return the chain's time, Unix seconds; a development node mines no block while nobody sends."""
        chain = self.network.chain
        return chain.timestamp(None if chain.confirmations else "pending")

    # -- challenges -----------------------------------------------------------------------------------------------

    def challenges(self, number: int | None = None) -> list[tuple[Challenged, int]]:
        """Return the open challenges of a round, or of all, and until when each can be answered, Unix seconds."""
        ledger = self.network.ledger
        found = ledger.events(self.twin, self.network.since, kinds=(Challenged,), number=number)
        opened = {(e.round, e.station, e.root, e.leaf): e for e in found if isinstance(e, Challenged)}
        pairs = [(event, ledger.challenge_until(self.twin, *key)) for key, event in opened.items()]
        return [(event, until) for event, until in pairs if until]

    def answer(self, challenge: Challenged) -> tuple[bytes, ...] | None:
        """Return the proof that answers a challenge, or None: the leaf isn't there, or the tree can't be fetched."""
        leaf = digest_bytes(challenge.leaf)
        for tree in self._trees(challenge):
            if tree.root == challenge.root and leaf in tree.leaves:
                return tree.proof(tree.leaves.index(leaf))
        return None

    def _trees(self, challenge: Challenged) -> Iterator[StandardMerkleTree]:
        try:
            manifest = self._manifest(self.update(challenge.round, challenge.station))
        except (BadInputError, TwinsError):
            return
        with suppress(TwinsError):  # one that can't be fetched must not hide the other
            yield contributions_tree(self.archive.index(manifest.index).entries)
        with suppress(TwinsError):
            yield roster_tree(self.archive.roster(manifest.roster))

    @cached_property
    def _rosters(self) -> list[RosterSet]:
        events: list[Event] = self.network.registry.events(self.network.since)
        return [event for event in events if isinstance(event, RosterSet)]
