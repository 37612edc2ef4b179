"""The rules of RoundLedger's rounds in plain Python, after its interface's comments and rounds.md.

Disputes are in `dispute_model`. As in `registry_model`, an action returns every admissible refusal, or what it emits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chain import errors, events
from chain.values import Recorded, RoundStatus, Update
from tests.integration.chain.registry_model import Emitted, Outcome, RegistryModel, bits, refused
from twins.types import ZERO_DIGEST, Address, Digest, TwinId

COMMITMENTS = 8


@dataclass
class Round:
    """A twin's newest round; the stored facts, from which the rest follows."""

    number: int
    electorate: int
    submit_until: int
    attest_until: int
    attest_for: int
    min_updates: int
    submitted: int = 0
    excluded: int = 0
    votes: dict[int, Digest] = field(default_factory=dict)
    first: Digest = ZERO_DIGEST
    accusers: dict[Address, set[int]] = field(default_factory=dict)
    ended: RoundStatus | None = None


@dataclass
class Twin:
    """What happened to one twin. ``kept`` is the ring of commitments."""

    models: dict[int, Digest] = field(default_factory=dict)
    head: int = 0
    round: Round = field(default_factory=lambda: Round(0, 0, 0, 0, 0, 0))
    kept: dict[tuple[Address, int], Recorded] = field(default_factory=dict)
    rejected: set[tuple[int, Address]] = field(default_factory=set)
    challenges: dict[tuple[int, Address, Digest, Digest], int] = field(default_factory=dict)


class LedgerModel:
    """What happened."""

    def __init__(self, registry: RegistryModel) -> None:
        """Nothing yet."""
        self.registry = registry
        self.twins: dict[TwinId, Twin] = {}

    def twin(self, twin: TwinId) -> Twin:
        """Return a twin's record."""
        return self.twins.setdefault(twin, Twin())

    # -- what follows from the facts ------------------------------------------------------------------------

    def excluded(self, round_: Round) -> int:
        """Return the excluded, with those that were suspended since somebody last wrote it down."""
        return round_.excluded | (0 if round_.ended else round_.submitted & ~self.registry.active)

    def _sync(self, round_: Round) -> None:
        self._exclude(round_, self.excluded(round_))

    @staticmethod
    def _exclude(round_: Round, stations: int) -> None:
        if stations & ~round_.excluded:
            round_.excluded |= stations
            round_.votes.clear()

    def votes(self, round_: Round) -> dict[int, Digest]:
        """Return the votes that haven't been voided, by station."""
        return {} if self.excluded(round_) & ~round_.excluded else round_.votes

    def for_model(self, round_: Round, model: Digest) -> int:
        """Return who votes for a model and may."""
        voters = bits([index for index, digest in self.votes(round_).items() if digest == model])
        return voters & round_.electorate & self.registry.active

    def quorum(self, round_: Round) -> int:
        """Two thirds of the live, but more than half of the electorate."""
        live = (round_.electorate & self.registry.active).bit_count()
        return max(-(-2 * live // 3), round_.electorate.bit_count() // 2 + 1)

    def status(self, round_: Round, now: int) -> RoundStatus:
        """Derive a round's status."""
        if not round_.number:
            return RoundStatus.NONE
        if round_.ended:
            return round_.ended
        if now >= round_.attest_until:
            return RoundStatus.EXPIRED
        enough = (round_.submitted & ~self.excluded(round_)).bit_count() >= round_.min_updates
        if now >= round_.submit_until:
            return RoundStatus.ATTESTING if enough else RoundStatus.EXPIRED
        missing = round_.electorate & self.registry.active & ~round_.submitted
        return RoundStatus.ATTESTING if enough and not missing else RoundStatus.SUBMITTING

    def _not_open(self, round_: Round, number: int, now: int) -> set[type[Exception]]:
        """Return why votes can't be counted in round ``number`` now."""
        return refused(
            (number != round_.number, errors.RoundLedgerUnexpectedRound),
            (self.status(round_, now) != RoundStatus.ATTESTING, errors.RoundLedgerUnexpectedStatus),
        )

    def _not_elector(self, round_: Round, sender: Address) -> set[type[Exception]]:
        barred = self.registry.barred(sender)
        known = sender in self.registry.members
        return barred | refused(
            (known and not round_.electorate & self.registry.bit(sender), errors.RoundLedgerNotElector),
        )

    # -- actions --------------------------------------------------------------------------------------------

    def genesis(self, now: int, sender: Address, twin: TwinId, model: Digest) -> Outcome:
        """Set the model of round 0."""
        record = self.twin(twin)
        why = refused(
            (twin not in self.registry.twins, errors.TwinRegistryUnknownTwin),
            (sender != self.registry.admin, errors.RoundLedgerNotTwinOwner),
            (record.models, errors.RoundLedgerGenesisExists),
            (model == ZERO_DIGEST, errors.RoundLedgerZeroValue),
        )
        if why:
            return why, []
        record.models[0] = model
        return why, [(events.Genesis, {"twin": twin, "model": model, "owner": sender})]

    def open_round(
        self, now: int, sender: Address, twin: TwinId, number: int, submit_for: int, attest_for: int, least: int
    ) -> Outcome:
        """Open the next round."""
        record, policy, electorate = self.twin(twin), self.registry.twins.get(twin), self.registry.electorate()
        old = record.round
        why = self.registry.barred(sender) | refused(
            (policy is None, errors.TwinRegistryUnknownTwin),
            (not record.models, errors.RoundLedgerNoGenesis),
            (old.number and not old.ended, errors.RoundLedgerRoundOpen),
            (number != old.number + 1, errors.RoundLedgerUnexpectedRound),
        )
        if policy is not None and electorate:
            electors = [index for index in range(64) if electorate >> index & 1]
            mine = sender in self.registry.members and self.registry.index(sender) == electors[number % len(electors)]
            why |= refused(
                (
                    old.number and now < old.submit_until + policy.open_grace and not mine,
                    errors.RoundLedgerNotTurn,
                ),
                (
                    submit_for < policy.min_submit_for or attest_for < policy.min_attest_for,
                    errors.RoundLedgerWindowTooShort,
                ),
                (not policy.min_updates <= least <= len(electors), errors.RoundLedgerBadMinUpdates),
            )
        if why:
            return why, []
        until = now + submit_for
        record.round = Round(number, electorate, until, until + attest_for, attest_for, least)
        told: dict[str, object] = {"twin": twin, "round": number, "opener": sender, "electorate": electorate}
        return why, [
            (events.RoundOpened, told | {"submit_until": until, "attest_for": attest_for, "min_updates": least})
        ]

    def submit_update(self, now: int, sender: Address, update: Update) -> Outcome:
        """Record a station's update."""
        record = self.twin(update.twin)
        round_, newest = record.round, update.round == record.round.number
        why = self.registry.barred(sender) | refused(
            (ZERO_DIGEST in (update.base, update.update, update.contributions), errors.RoundLedgerZeroValue),
            (not update.examples or not update.round, errors.RoundLedgerZeroValue),
            (not 0 < update.round <= round_.number, errors.RoundLedgerUnexpectedRound),
            (
                not update.base_round < update.trained_round <= update.round,
                errors.RoundLedgerUnexpectedTraining,
            ),
            (
                update.base_round >= update.round or record.models.get(update.base_round, ZERO_DIGEST) != update.base,
                errors.RoundLedgerUnexpectedBase,
            ),
        )
        if newest:
            mine = self.registry.bit(sender) if sender in self.registry.members else 0
            why |= self._not_elector(round_, sender)
            why |= refused((round_.submitted & mine, errors.RoundLedgerAlreadySubmitted))
        if why:
            return why, []
        late = not newest or self.status(round_, now) != RoundStatus.SUBMITTING
        if not late:
            round_.submitted |= self.registry.bit(sender)
            committed = Recorded(update, sender, self.registry.members[sender].roster)
            record.kept[sender, update.round % COMMITMENTS] = committed
        told = {name: getattr(update, name) for name in update.__dataclass_fields__}
        told |= {"station": sender, "staleness": record.head - update.base_round, "late": late}
        return why, [(events.UpdateSubmitted, told)]

    def attest(self, now: int, sender: Address, twin: TwinId, number: int, model: Digest, old: Digest) -> Outcome:
        """Vote, or move a vote."""
        record = self.twin(twin)
        round_ = record.round
        why = self._not_open(round_, number, now) | self._not_elector(round_, sender)
        why |= refused((model == ZERO_DIGEST, errors.RoundLedgerZeroValue))
        if sender in self.registry.members:
            mine = self.votes(round_).get(self.registry.index(sender), ZERO_DIGEST)
            why |= refused(
                (mine != ZERO_DIGEST and old in (ZERO_DIGEST, model), errors.RoundLedgerAlreadyAttested),
                (old not in (ZERO_DIGEST, mine), errors.RoundLedgerUnexpectedVote),
            )
        if why:
            return why, []
        # The first vote ends the window also for who is suspended now and might be reinstated.
        if now < round_.submit_until and round_.electorate & ~self.registry.active & ~round_.submitted:
            round_.submit_until, round_.attest_for = now, round_.attest_until - now
        self._sync(round_)
        round_.first = round_.first if round_.votes else model
        round_.votes[self.registry.index(sender)] = model
        told: dict[str, object] = {"twin": twin, "round": number, "station": sender, "model": model, "replaced": old}
        said: list[Emitted] = [(events.Attested, told)]
        voters = self.for_model(round_, model)
        if voters.bit_count() >= self.quorum(round_):
            said.append(self._finish(now, twin, model, voters))
        return why, said

    def _finish(self, now: int, twin: TwinId, model: Digest, attesters: int) -> Emitted:
        record = self.twin(twin)
        round_, parent = record.round, record.models[record.head]
        self._sync(round_)
        round_.ended, round_.submit_until = RoundStatus.FINAL, now
        record.head, record.models[round_.number] = round_.number, model
        told: dict[str, object] = {"twin": twin, "round": round_.number, "parent": parent, "model": model}
        return events.RoundFinal, told | {"attesters": attesters, "accepted": round_.submitted & ~round_.excluded}

    def tally(self, now: int, sender: Address, twin: TwinId, number: int, model: Digest) -> Outcome:
        """Count the votes again."""
        round_ = self.twin(twin).round
        voters = self.for_model(round_, model)
        why = self._not_open(round_, number, now) | refused(
            (model == ZERO_DIGEST, errors.RoundLedgerZeroValue),
            (voters.bit_count() < self.quorum(round_), errors.RoundLedgerNoQuorum),
        )
        return (why, []) if why else (why, [self._finish(now, twin, model, voters)])

    def finalize_signed(
        self, now: int, sender: Address, twin: TwinId, number: int, model: Digest, signers: list[Address], valid: bool
    ) -> Outcome:
        """Make a model final by signatures; ``valid`` says that each is its signer's, of what is excluded now."""
        round_ = self.twin(twin).round
        why = self._not_open(round_, number, now) | refused(
            (model == ZERO_DIGEST, errors.RoundLedgerZeroValue),
            (len(signers) < self.quorum(round_), errors.RoundLedgerNoQuorum),
            (signers != sorted(set(signers), key=str.lower), errors.RoundLedgerUnsortedSigners),
            (not valid, errors.RoundLedgerBadSignature),
        )
        for signer in signers:
            why |= self._not_elector(round_, signer)
        if why:
            return why, []
        return why, [self._finish(now, twin, model, bits([self.registry.index(signer) for signer in signers]))]

    def abort_round(self, now: int, sender: Address, twin: TwinId, number: int) -> Outcome:
        """Close a round that can no longer become final."""
        round_ = self.twin(twin).round
        why = refused(
            (number != round_.number, errors.RoundLedgerUnexpectedRound),
            (self.status(round_, now) != RoundStatus.EXPIRED, errors.RoundLedgerUnexpectedStatus),
        )
        if why:
            return why, []
        self._sync(round_)
        round_.ended, round_.submit_until, round_.min_updates = RoundStatus.ABORTED, now, 0
        told: dict[str, object] = {"twin": twin, "round": number, "by": sender, "submitted": round_.submitted}
        return why, [(events.RoundAborted, told | {"voted": bits([*round_.votes])})]
