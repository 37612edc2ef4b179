"""The protocol follower: one station's part in the rounds of one twin.

It looks at the chain, does the one thing that is due, and returns. All protocol state is on the chain or named by
it, so a station that was killed catches up by reading, never by remembering. It is handed how to learn (from
``fl``) and how to merge, and knows neither Flower nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from chain.accounts import Account
from chain.answers import Answers
from chain.errors import RecordError
from chain.events import Attested, Genesis, RoundFinal, UpdateSubmitted
from chain.history import RecordedHistory, base_model, late_update
from chain.recorder import Recorder
from chain.round_ledger import RoundLedger
from chain.steps import Action as Action
from chain.steps import Due as Due
from chain.steps import Learn as Learn
from chain.steps import Step as Step
from chain.steps import Unsettled as Unsettled
from chain.steps import Windows as Windows
from chain.turns import opens_at
from chain.twin_registry import TwinRegistry
from chain.values import Head, RoundState, RoundStatus
from chain.voting import Voter
from chain.voting import merged_manifest as merged_manifest
from twins.aggregation import Merge
from twins.archive import Archive
from twins.encryption import Keyring, ReaderId, StationSecret
from twins.errors import TwinsError
from twins.manifest import StationUpdateManifest, TwinManifest
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import History

_ENDED = (RoundStatus.NONE, RoundStatus.FINAL, RoundStatus.ABORTED)


@dataclass(frozen=True)
class StationFollower:
    """One station following one twin.

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
    _verified: set[Digest] = field(default_factory=set, repr=False, compare=False)  # a cache: lost, it is made again

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
        return Recorder(self.twin, self.account, self.ledger, self.archive, secret, self.readers())

    def step(self, until: int) -> Step | None:
        """Do what is due for this station, if anything; as `due`."""
        due = self.due(until)
        return due.record() if isinstance(due, Due) else None

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

    def due(self, until: int) -> Due | Unsettled | None:
        """Prepare what is due for this station, if anything.

        Every step names what it is based on, and the contract refuses it if that has changed; votes, which it can't
        judge, wait until all that they rest on is settled.

        Args:
            until: open no round beyond this number.

        Returns:
            None when there is nothing to do for this station until others have done something or time has passed.

        Raises:
            RecordError: the record cannot be followed honestly: evidence is missing or wrong.
            TwinsError, ChainError, FlError: the preparation failed; it can be done again.
        """
        state = self.state()
        index, active, electorate = self._standing()
        if not active >> index & 1:
            return None  # suspended: whatever it sent would be refused
        if state.status in _ENDED:
            return self._open(state, index, electorate) if state.number < until else None
        if state.status is RoundStatus.EXPIRED:
            number = state.number
            return Due(Action.ABORTED, number, lambda: self.ledger.abort_round(self.account, self.twin, number))
        answers = Answers(self.twin, self.account, self.registry, self.ledger, self.since, self.archive)
        settlement = answers.settlement(state)
        if settlement is not None:
            return settlement
        # Answers come after this station's own part: a liar that challenges a thousand leaves must not keep the
        # others from submitting and voting until the round is over.
        try:
            own = self._own_part(state, index)
        except (RecordError, TwinsError):
            answer = answers.due(state)
            if answer is None:
                raise
            return answer
        return own if isinstance(own, Due) else answers.due(state) or own

    def ahead(self, number: int) -> Due | None:
        """Prepare this station's update for round ``number``, which is being opened: only its transaction has to wait.

        If the head or the round turn out otherwise, the contract refuses it. None: this station won't be an elector.

        Raises:
            RecordError, TwinsError, ChainError, FlError: as `due`.
        """
        index, _, electorate = self._standing()
        return self._submit(number) if electorate >> index & 1 else None

    def _standing(self) -> tuple[int, int, int]:
        """Return this station's index, the active stations, and those that would be a new round's electors."""
        stations = self.registry.stations()
        if self.account.address not in stations:
            raise RecordError(f"account {self.account.address}: expected a station, got one that isn't registered")
        active, producers = self.registry.station_sets()
        return stations.index(self.account.address), active, producers & active or active

    def _own_part(self, state: RoundState, index: int) -> Due | Unsettled | None:
        if not state.electorate >> index & 1:
            return None
        if state.status is RoundStatus.SUBMITTING and not state.submitted >> index & 1:
            return self._submit(state.number)
        if state.status is not RoundStatus.ATTESTING:
            return None
        if state.voted >> index & 1:
            return self._tally(state)
        self._require_verified(self.ledger.head(self.twin))
        return self._voter.vote(state, self.now())

    def _open(self, state: RoundState, index: int, electorate: int) -> Due | None:
        number = state.number + 1
        ended = self._genesis_time() if state.status is RoundStatus.NONE else state.submit_until
        policy = self.registry.twin_of(self.twin).policy
        when = opens_at(number, index, electorate, ended, policy.open_grace)
        if when is None or self.now() < when:
            return None
        windows = self.windows
        least = min(windows.min_updates, electorate.bit_count())
        return Due(
            Action.OPENED,
            number,
            lambda: self.ledger.open_round(
                self.account, self.twin, number, windows.submit_for, windows.attest_for, least
            ),
        )

    def _genesis_time(self) -> int:
        events = self.ledger.events(self.twin, self.since, kinds=(Genesis,))
        return self.ledger.chain.timestamp(events[0].block) if events else self.now()

    def _submit(self, number: int) -> Due:
        head = self.ledger.head(self.twin)
        late = late_update(self._recorded(), number, head.number, self.manifest.policy.max_staleness)
        if late is not None and self._same_roster(late):
            self.notice(f"round {number}: the training of round {late.trained_round} came late and counts now")
            return Due.unstored(Action.SUBMITTED, number, partial(self.recorder.resubmit, late, number))
        self._require_verified(head)
        update = self.learn(self.base_model(head.model), head.model, number, self.history())
        return Due.unstored(
            Action.SUBMITTED, number, lambda: self.recorder.store_update(update, head.number, self.roster)
        )

    def _require_verified(self, head: Head) -> None:
        """Build on no model that this station hasn't computed itself: by voting for it, or now.

        A vote tells of all models below it as well, since nothing is voted for on a head that isn't verified. Without
        one the walk goes down to the genesis: a false model must not be hidden by true ones made from it.
        """
        unknown: list[tuple[int, Digest]] = []
        for number, model in self._back_from(head):
            if number == 0 or model in self._verified or self._voted_for(number, model):
                break
            unknown.append((number, model))
        for number, model in reversed(unknown):
            self.notice(f"round {number}: computing the final model again, for which this station hasn't voted")
            self._voter.verify(number, model)
            self._verified.add(model)
        self._verified.add(head.model)

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

    def _same_roster(self, late: UpdateSubmitted) -> bool:
        """Tell whether a late update is of today's roster: a device that was removed must not count any more."""
        return self.archive.manifest(StationUpdateManifest, late.update).roster == self.archive.put_roster(self.roster)

    def _tally(self, state: RoundState) -> Due | None:
        """Have the votes counted again, when a suspension has made the quorum smaller than they are."""
        if state.live == state.electorate:
            return None
        for event in reversed(self.ledger.events(self.twin, self.since, kinds=(Attested,), number=state.number)):
            if isinstance(event, Attested) and event.station == self.account.address:
                model, number = event.model, state.number
                if self.ledger.votes_for(self.twin, model).bit_count() < state.quorum:
                    return None
                return Due(Action.TALLIED, number, partial(self.ledger.tally, self.account, self.twin, number, model))
        return None

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
        )

    def _recorded(self) -> list[UpdateSubmitted]:
        events = self.ledger.events(self.twin, self.since, kinds=(UpdateSubmitted,), station=self.account.address)
        return [event for event in events if isinstance(event, UpdateSubmitted)]

    def base_model(self, digest: Digest) -> TwinModel:
        """Fetch the weights of a final model.

        Raises:
            TwinsError: they can't be fetched, or aren't what the digest names.
        """
        return base_model(self.archive, digest)

    def history(self) -> History:
        """Return what the record holds of this station."""
        keyring = Keyring((self.secret,)) if self.secret is not None else Keyring()
        return RecordedHistory(tuple(e for e in self._recorded() if not e.late), self.archive, keyring)
