"""What one station sees of the twin that it follows: the newest round, its own standing, what it has recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from chain.accounts import Account
from chain.errors import RecordError, TwinRegistryUnknownStation
from chain.events import Attested, Genesis, RoundFinal, UpdateSubmitted
from chain.history import RecordedHistory, base_model
from chain.known import Known
from chain.looks import Look
from chain.recorder import Recorder
from chain.round_ledger import RoundLedger
from chain.steps import Learn, Windows
from chain.twin_registry import TwinRegistry
from chain.values import Head, RoundState
from chain.voting import Voter
from twins.aggregation import Merge
from twins.archive import Archive
from twins.encryption import Keyring, ReaderId, StationSecret
from twins.manifest import TwinManifest
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import History


@dataclass(frozen=True)
class StationView:
    """One station's view of one twin.

    Attributes:
        twin: which twin.
        manifest: the twin's own manifest.
        account: the station's.
        roster: its devices.
        registry: of the consortium.
        ledger: of the consortium.
        since: block of the deployment.
        archive: where artifacts are.
        learn: makes this station's update.
        merge: the twin's tier-2 rule.
        windows: for the rounds that it opens.
        secret: seals the devices' updates; must be there when the twin's policy asks for it.
        readers: tells who gets a grant to them, asked for every update.
        keyring: opens the device updates of others that this station has a grant for.
        notice: told what happens.
        known: what a station of this process has fetched: they may share it if they share an archive.
        made: the updates that this process has made and stored itself, the newest few, with the round of each.
    """

    twin: TwinId
    manifest: TwinManifest
    account: Account
    roster: tuple[Address, ...]
    registry: TwinRegistry
    ledger: RoundLedger
    since: int
    archive: Archive
    learn: Learn
    merge: Merge
    windows: Windows = field(default_factory=Windows)
    secret: StationSecret | None = None
    readers: Callable[[], tuple[ReaderId, ...]] = tuple
    keyring: Keyring = field(default_factory=Keyring)
    notice: Callable[[str], None] = lambda text: None
    known: Known = field(default_factory=Known, repr=False, compare=False)
    made: dict[Digest, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def recorder(self) -> Recorder:
        """What writes this station's part.

        Raises:
            RecordError: the twin's policy seals device updates, and this station has no secret to do so.
        """
        if self.manifest.policy.sealed and self.secret is None:
            raise RecordError(
                f"twin {self.manifest.name}: expected a secret to seal the devices' updates with, as its policy asks, "
                "got none"
            )
        secret = self.secret if self.manifest.policy.sealed else None
        return Recorder(self.twin, self.account, self.ledger, self.archive, secret, self.readers(), self.made)

    @property
    def _voter(self) -> Voter:
        return Voter(
            twin=self.twin,
            manifest=self.manifest,
            account=self.account,
            registry=self.registry,
            ledger=self.ledger,
            since=self.since,
            archive=self.archive,
            merge=self.merge,
            keyring=self.keyring,
            recorder=self.recorder,
            known=self.known,
        )

    @contextmanager
    def look(self) -> Iterator[Look]:
        """Look at the chain: read all of one block, and in one round trip what nearly every decision needs.

        Raises:
            RecordError: the account is no station's.
            ChainError: no answer.
        """
        with self.ledger.chain.look() as look:
            reads = [
                self.ledger.call_of("roundOf", self.twin, block=self._now_block),
                self.ledger.call_of("head", self.twin),
                self.registry.call_of("stationSets"),
                self.registry.call_of("indexOf", self.account.address),
            ]
            try:
                self.ledger.chain.ask(reads)
            except TwinRegistryUnknownStation as error:
                raise RecordError(
                    f"account {self.account.address}: expected a station, got one that isn't registered"
                ) from error
            yield look

    def _standing(self) -> tuple[int, int, int]:
        """Return this station's index, the active stations, and those that would be a new round's electors."""
        active, producers = self.registry.station_sets()
        return self.registry.index_of(self.account.address), active, producers & active or active

    def state(self) -> RoundState:
        """Return the newest round as it is now.

        A development node mines no block while nobody sends: there only the pending block has the time of now.
        """
        return self.ledger.round_of(self.twin, self._now_block)

    def now(self) -> int:
        """Return the chain's time, Unix seconds."""
        return self.ledger.chain.timestamp(self._now_block)

    @property
    def _now_block(self) -> str | None:
        return None if self.ledger.chain.confirmations else "pending"

    def _genesis_time(self) -> int:
        events = self.ledger.events(self.twin, self.since, kinds=(Genesis,))
        return self.ledger.chain.timestamp(events[0].block) if events else self.now()

    def _back_from(self, head: Head) -> Iterator[tuple[int, Digest]]:
        yield head.number, head.model
        finals = self.ledger.events(self.twin, self.since, kinds=(RoundFinal,))
        for final in reversed(finals):
            if isinstance(final, RoundFinal) and final.round < head.number:
                yield final.round, final.model

    def _voted_for(self, number: int, model: Digest) -> bool:
        account = self.account.address
        votes = self.ledger.events(self.twin, self.since, kinds=(Attested,), number=number, station=account)
        return any(isinstance(vote, Attested) and vote.model == model for vote in votes)

    def _recorded(self) -> list[UpdateSubmitted]:
        events = self.ledger.events(self.twin, self.since, kinds=(UpdateSubmitted,), station=self.account.address)
        return [event for event in events if isinstance(event, UpdateSubmitted)]

    def base_model(self, digest: Digest) -> TwinModel:
        """Fetch the weights of a final model.

        Raises:
            TwinsError: they can't be fetched, or aren't what the digest names.
        """
        return self.known.model(digest, partial(base_model, self.archive))

    def history(self) -> History:
        """Return what the record holds of this station."""
        keyring = Keyring((self.secret,)) if self.secret is not None else Keyring()
        return RecordedHistory(tuple(e for e in self._recorded() if not e.late), self.archive, keyring)
