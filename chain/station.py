"""The protocol follower: one station's part in the rounds of one twin.

It looks at the chain, does the one thing that is due, and returns. All protocol state is on the chain or named by
it, so a station that was killed catches up by reading, never by remembering. It is handed how to learn (from
``fl``) and how to merge, and knows neither Flower nor torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from chain.answers import Answers
from chain.errors import RecordError
from chain.events import Attested, UpdateSubmitted
from chain.history import late_update
from chain.station_view import StationView
from chain.steps import Action as Action
from chain.steps import Due as Due
from chain.steps import Learn as Learn
from chain.steps import Step as Step
from chain.steps import Unsettled as Unsettled
from chain.steps import Windows as Windows
from chain.turns import opens_at
from chain.values import Head, RoundState, RoundStatus
from twins.errors import TwinsError
from twins.manifest import StationUpdateManifest
from twins.types import Digest
from twins.updates import StationUpdate

_ENDED = (RoundStatus.NONE, RoundStatus.FINAL, RoundStatus.ABORTED)


@dataclass(frozen=True)
class StationFollower(StationView):
    """One station following one twin."""

    _verified: set[Digest] = field(default_factory=set, repr=False, compare=False)  # a cache: lost, it is made again
    _trained: dict[tuple[int, Digest, tuple[int, ...]], StationUpdate] = field(
        default_factory=dict, repr=False, compare=False
    )  # ahead; as well

    def step(self, until: int) -> Step | None:
        """Do what is due for this station, if anything; as `due`."""
        due = self.due(until)
        return due.record() if isinstance(due, Due) else None

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
        with self.look():
            return self._due(until)

    def _due(self, until: int) -> Due | Unsettled | None:
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
        with self.look():
            index, _, electorate = self._standing()
            return self._submit(number) if electorate >> index & 1 else None

    def foresee(self) -> Digest | None:
        """Return the model that the updates of the round that is attested to will give, if they are as recorded.

        It is checked and stored as for a vote, but not settled, nor voted for: updates may yet be thrown out.

        Raises:
            TwinsError, ChainError: as `due`.
        """
        with self.look() as look:
            state = self.state()
            if state.status is not RoundStatus.ATTESTING:
                return None
            made = self._voter.merged(state, look.number)
            return None if made is None else self.recorder.store_model(*made)[0]

    def train_ahead(self, number: int, base: Digest) -> None:
        """Train for round ``number`` before its base is final, and keep the update until the round takes it.

        If the head turns out otherwise, or the record of this station's training, it is dropped and trained anew.

        Raises:
            TwinsError, ChainError, FlError: as `due`; nothing is kept.
        """
        with self.look():
            history = self.history()
        self._trained.clear()  # never two: one of 10,000 devices is 250 MB
        self._trained[number, base, history.rounds] = self.learn(self.base_model(base), base, number, history)

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

    def _submit(self, number: int) -> Due:
        head = self.ledger.head(self.twin)
        late = late_update(self._recorded(), number, head.number, self.manifest.policy.max_staleness)
        if late is not None and self._same_roster(late):
            self.notice(f"round {number}: the training of round {late.trained_round} came late and counts now")
            return Due.unstored(Action.SUBMITTED, number, partial(self.recorder.resubmit, late, number))
        self._require_verified(head)
        update = self._learned(head.model, number)
        return Due.unstored(
            Action.SUBMITTED, number, lambda: self.recorder.store_update(update, head.number, self.roster)
        )

    def _learned(self, base: Digest, number: int) -> StationUpdate:
        """Train, unless that was done ahead: from the same base, for the same round, after the same training."""
        history = self.history()
        try:
            return self._trained.pop((number, base, history.rounds))
        except KeyError:
            self._trained.clear()
        return self.learn(self.base_model(base), base, number, history)

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
