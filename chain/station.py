"""The protocol follower: one station's part in the rounds of one twin.

It looks at the chain, does the one thing that is due, and returns. All protocol state is on the chain or named by
it, so a station that was killed catches up by reading, never by remembering. It is handed how to learn (from
``fl``) and how to merge, and knows neither Flower nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from chain.accounts import Account
from chain.checks import findings_text
from chain.connection import Receipt
from chain.errors import RecordError
from chain.events import RosterSet, UpdateSubmitted
from chain.evidence import Evidence, gather
from chain.lineage import roster_root_at
from chain.recorder import Recorder
from chain.round_ledger import RoundLedger
from chain.twin_registry import TwinRegistry
from chain.values import RoundState, RoundStatus
from twins.aggregation import Merge, Rule
from twins.archive import Archive
from twins.contribution import SigningDomain
from twins.manifest import (
    ArtifactRef,
    StationUpdateManifest,
    TwinManifest,
    TwinModelManifest,
    UpdateRef,
)
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import History, RecordedRound, StationUpdate, decode_bundle, device_order

Learn = Callable[[TwinModel, Digest, int, History], StationUpdate]
"""(base model, its manifest's digest, round, this station's history) to the station's update."""


class Action(Enum):
    """What a step did."""

    OPENED = "opened"
    SUBMITTED = "submitted"
    ATTESTED = "attested"
    ABORTED = "aborted"


@dataclass(frozen=True)
class Step:
    """One recorded action of a station."""

    action: Action
    round: int
    receipt: Receipt
    digest: Digest | None = None


@dataclass(frozen=True)
class Due:
    """One action that is due, with all that it names stored: only its transaction is left to be sent."""

    action: Action
    round: int
    send: Callable[[], Receipt]
    digest: Digest | None = None

    def record(self) -> Step:
        """Send the transaction and wait until it is mined.

        Raises:
            ChainError: it wasn't. What was due is decided anew by looking at the chain.
        """
        return Step(self.action, self.round, self.send(), self.digest)


@dataclass(frozen=True)
class Unsettled:
    """Something will be due when the chain has gone on far enough."""

    round: int


@dataclass(frozen=True)
class Windows:
    """How a station opens rounds.

    Attributes:
        submit_for: seconds for updates.
        attest_for: seconds for votes after that.
        min_updates: station updates that a round needs.
    """

    submit_for: int = 600
    attest_for: int = 600
    min_updates: int = 1


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
    windows: Windows = Windows()

    @property
    def recorder(self) -> Recorder:
        """What writes this station's part."""
        return Recorder(self.twin, self.account, self.ledger, self.archive)

    def step(self, until: int) -> Step | None:
        """Do what is due for this station, if anything; as `due`."""
        due = self.due(until)
        return due.record() if isinstance(due, Due) else None

    def due(self, until: int) -> Due | Unsettled | None:
        """Prepare what is due for this station, if anything.

        A vote can't be taken back, and the contract can't know whether it fits the round's updates: a station votes
        only on what is settled, or a reorganisation could make a model final that nobody can derive from the record.
        All other steps name what they are based on, and the contract refuses them if that has changed.

        Args:
            until: open no round beyond this number.

        Returns:
            None when there is nothing to do for this station until others have done something.

        Raises:
            RecordError: the record cannot be followed honestly: evidence is missing or wrong.
            TwinsError, ChainError, FlError: the preparation failed; it can be done again.
        """
        state = self.ledger.round_of(self.twin)
        stations = self.registry.stations()
        bit = 1 << stations.index(self.account.address)
        if state.status in (RoundStatus.NONE, RoundStatus.FINAL, RoundStatus.ABORTED):
            return self._open(state.number + 1, stations) if state.number < until else None
        if state.status is RoundStatus.EXPIRED:
            number = state.number
            return Due(Action.ABORTED, number, lambda: self.ledger.abort_round(self.account, self.twin, number))
        if not state.electorate & bit:
            return None
        if state.status is RoundStatus.SUBMITTING and not state.submitted & bit:
            return self._submit(state)
        if state.status is RoundStatus.ATTESTING and not state.voted & bit:
            return self._attest(state)
        return None

    def _open(self, number: int, stations: tuple[Address, ...]) -> Due | None:
        # Opening goes round by turns, so that no station alone decides when rounds begin.
        if stations[number % len(stations)] != self.account.address:
            return None
        windows = self.windows
        return Due(
            Action.OPENED,
            number,
            lambda: self.ledger.open_round(
                self.account, self.twin, number, windows.submit_for, windows.attest_for, windows.min_updates
            ),
        )

    def _submit(self, state: RoundState) -> Due:
        head = self.ledger.head(self.twin)
        update = self.learn(self.base_model(head.model), head.model, state.number, self.history())
        digest, send = self.recorder.store_update(update, head.number, self.roster)
        return Due(Action.SUBMITTED, state.number, send, digest)

    def _attest(self, state: RoundState) -> Due | Unsettled:
        block = self.ledger.chain.settled_block()
        settled = self.ledger.round_of(self.twin, block)
        if (settled.number, settled.status, settled.submitted) != (state.number, state.status, state.submitted):
            return Unsettled(state.number)
        head = self.ledger.head(self.twin, block)
        evidence = self._evidence(state, block)
        merged = self.merge([(e.model, e.recorded.examples) for e in evidence if e.model is not None])
        merged.require_schema(self.manifest.model_schema, "merged model")
        accepted = [e.recorded for e in evidence]
        manifest = merged_manifest(self.twin, self.manifest.merge_rule, state.number, head.model, accepted, merged)
        digest, send = self.recorder.store_model(manifest, merged)
        return Due(Action.ATTESTED, state.number, send, digest)

    def _evidence(self, state: RoundState, block: int) -> list[Evidence]:
        """Fetch and verify every counted update of the round, ascending by station.

        A station attests only to what it has checked down to the devices' signatures: a withheld or forged one must
        not become part of a final model.
        """
        gathered = []
        rosters = [event for event in self.registry.events(self.since, block) if isinstance(event, RosterSet)]
        counted = self._recorded(number=state.number, block=block)
        for recorded in sorted(counted, key=lambda update: device_order(update.station)):
            roster_root = roster_root_at(rosters, recorded)
            evidence = gather(recorded, self.archive, self.manifest.model_schema, roster_root, self.domain)
            if evidence.findings:
                raise RecordError(
                    f"round {state.number}: station {self.account.address} does not attest, because the update of "
                    f"station {recorded.station} is not as recorded:\n{findings_text(evidence.findings)}"
                )
            gathered.append(evidence)
        return gathered

    def _recorded(
        self, *, number: int | None = None, station: Address | None = None, block: int | None = None
    ) -> list[UpdateSubmitted]:
        events = self.ledger.events(
            self.twin, self.since, block, kinds=(UpdateSubmitted,), number=number, station=station
        )
        return [event for event in events if isinstance(event, UpdateSubmitted) and not event.late]

    @property
    def domain(self) -> SigningDomain:
        """Under which the devices sign."""
        return SigningDomain(self.ledger.chain.chain_id, self.ledger.address)

    def base_model(self, digest: Digest) -> TwinModel:
        """Fetch the weights of a final model.

        Raises:
            TwinsError: they can't be fetched, or aren't what the digest names.
        """
        return self.archive.model(self.archive.manifest(TwinModelManifest, digest).model)

    def history(self) -> History:
        """Return what the record holds of this station."""
        return _RecordedHistory(self, tuple(self._recorded(station=self.account.address)))


@dataclass(frozen=True)
class _RecordedHistory:
    """A station's history, read from the chain and the archive when it is needed."""

    follower: StationFollower
    events: tuple[UpdateSubmitted, ...]

    @property
    def rounds(self) -> tuple[int, ...]:
        return tuple(event.round for event in self.events)

    def load(self) -> Iterator[RecordedRound]:
        archive = self.follower.archive
        for event in self.events:
            manifest = archive.manifest(StationUpdateManifest, event.update)
            base = self.follower.base_model(event.base)
            yield RecordedRound(event.round, base, decode_bundle(archive.artifact(manifest.bundle)), manifest.rule)


def merged_manifest(
    twin: TwinId,
    rule: Rule,
    number: int,
    parent: Digest,
    accepted: Sequence[UpdateSubmitted],
    model: TwinModel,
) -> TwinModelManifest:
    """Return the one manifest that every honest station derives for a round's result.

    Args:
        twin: whose model.
        rule: the twin's tier-2 rule.
        number: of the round.
        parent: the former head.
        accepted: the counted updates, ascending by station.
        model: what the rule makes of them.
    """
    return TwinModelManifest(
        twin=twin,
        round=number,
        parent=parent,
        updates=tuple(UpdateRef(update.station, update.update) for update in accepted),
        rule=rule,
        model=ArtifactRef.of(model.to_bytes()),
        examples=sum(update.examples for update in accepted),
        origin={},
    )
