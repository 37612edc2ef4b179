"""A station's vote: for what it has checked and recomputed itself, and against what it found wrong.

A vote can't be taken back, and the contract can't know whether it fits the round's updates: a station votes only on
what is settled, or a reorganisation could make a model final that nobody can derive from the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from chain.accounts import Account
from chain.checks import Finding, findings_text
from chain.contribution_checks import check_norms, check_sealing, check_training, double_counts
from chain.errors import RecordError
from chain.events import DeviceEquivocated, RosterSet, RoundFinal, StationRegistered, UpdateSubmitted
from chain.evidence import Evidence, Gatherer, forged_entry, recompute_tier1
from chain.history import base_model, merged_manifest
from chain.known import Known, Question
from chain.lineage import roster_root_at
from chain.recorder import Recorder
from chain.round_ledger import RoundLedger
from chain.steps import Action, Due, Unsettled
from chain.twin_registry import TwinRegistry
from chain.values import ProvenContribution, Recorded, RoundState
from twins.aggregation import Merge
from twins.archive import Archive
from twins.contribution import SigningDomain
from twins.encryption import Keyring
from twins.manifest import TwinManifest, TwinModelManifest, UpdateRef
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import contributions_tree, device_order

_DOUBLED_TOLD = 8  # devices in a round: an audit finds all of them, and thousands must not hold up the votes


@dataclass(frozen=True)
class Voter:
    """What one station does while a round is being attested.

    Attributes:
        twin: which twin.
        manifest: the twin's own manifest.
        account: the station's.
        registry: of the consortium.
        ledger: of the consortium.
        since: block of the deployment.
        archive: where artifacts are.
        merge: the twin's tier-2 rule.
        keyring: opens the device updates that the station has a grant for.
        recorder: writes this station's part.
        known: what a station of this process has fetched.
    """

    twin: TwinId
    manifest: TwinManifest
    account: Account
    registry: TwinRegistry
    ledger: RoundLedger
    since: int
    archive: Archive
    merge: Merge
    keyring: Keyring
    recorder: Recorder
    known: Known

    def vote(self, state: RoundState, now: int) -> Due | Unsettled:
        """Prepare this station's vote, or what stops an update that must not be voted for.

        Args:
            state: of the round, attesting.
            now: the chain's time, Unix seconds.

        Raises:
            RecordError: an update isn't as recorded, and this station has done what it can about it: the others decide.
            TwinsError, ChainError: the preparation failed; it can be done again.
        """
        block = self.ledger.chain.settled_block()
        settled = self.ledger.round_of(self.twin, block)
        facts = (settled.number, settled.submitted, settled.excluded)
        if facts != (state.number, state.submitted, state.excluded):
            return Unsettled(state.number)
        head = self.ledger.head(self.twin, block)
        gathered = self._gather(state.number, state.submitted & ~state.excluded, block)
        objection: RecordError | None = None
        for evidence, findings in gathered:
            if findings:
                try:
                    return self._object(state, evidence, findings, block, now)
                except RecordError as error:  # nothing more to be done about this one: another may be wrong as well
                    objection = objection or error
        if objection is not None:
            raise objection
        doubled = self._doubled(state, [evidence for evidence, _ in gathered], block)
        if doubled is not None:
            return doubled
        manifest, merged = self._merge(state.number, head.model, [evidence for evidence, _ in gathered])
        digest, send = self.recorder.store_model(manifest, merged)
        return Due(Action.ATTESTED, state.number, send, digest)

    def merged(self, state: RoundState, block: int) -> tuple[TwinModelManifest, TwinModel] | None:
        """Return what this station would vote for if nothing changed after a block; None if an update is wrong.

        Args:
            state: of the round, attesting.
            block: needn't be settled: nobody is told.

        Raises:
            TwinsError, ChainError: as `vote`.
        """
        gathered = self._gather(state.number, state.submitted & ~state.excluded, block)
        if any(findings for _, findings in gathered):
            return None
        head = self.ledger.head(self.twin, block)
        return self._merge(state.number, head.model, [evidence for evidence, _ in gathered])

    def verify(self, number: int, model: Digest) -> None:
        """Recompute a final model that this station hasn't voted for, before it trains on it or votes for the next.

        Stops a colluding quorum from having honest stations build on what it made up.

        Raises:
            RecordError: it isn't what the recorded updates give.
            TwinsError: what it rests on can't be fetched.
        """
        block = self.ledger.chain.settled_block()
        finals = self.ledger.events(self.twin, self.since, kinds=(RoundFinal,), number=number)
        final = next(event for event in finals if isinstance(event, RoundFinal))
        gathered = self._gather(number, final.accepted, max(block, final.block))
        findings = [finding for _, found in gathered for finding in found]
        if findings:
            raise RecordError(
                f"round {number}: station {self.account.address} doesn't go on from the final model {model}, which "
                f"rests on updates that aren't as recorded:\n{findings_text(findings)}"
            )
        manifest, _ = self._merge(number, final.parent, [evidence for evidence, _ in gathered])
        if manifest.digest != model:
            raise RecordError(
                f"round {number}: expected the final model {manifest.digest}, which the recorded updates give, got "
                f"{model}, by the votes of {final.attesters.bit_count()} stations; station {self.account.address} "
                "doesn't go on from it"
            )

    def _merge(self, number: int, parent: Digest, gathered: Sequence[Evidence]) -> tuple[TwinModelManifest, TwinModel]:
        merged = self.merge([(e.model, e.recorded.examples) for e in gathered if e.model is not None])
        merged.require_schema(self.manifest.model_schema, "merged model")
        updates = [UpdateRef(evidence.recorded.station, evidence.recorded.update) for evidence in gathered]
        examples = sum(evidence.recorded.examples for evidence in gathered)
        rule = self.manifest.merge_rule
        return merged_manifest(self.twin, rule, number, parent, updates, examples, merged), merged

    @property
    def domain(self) -> SigningDomain:
        """Under which the devices sign."""
        return SigningDomain(self.ledger.chain.chain_id, self.ledger.address)

    def _gather(self, number: int, accepted: int, block: int) -> list[tuple[Evidence, tuple[Finding, ...]]]:
        """Fetch and verify every accepted update of a round, ascending by station.

        A station attests only to what it has checked down to the devices' signatures: a withheld or forged one must
        not become part of a final model.
        """
        stations = self._stations(block)
        rosters = self._rosters(block)
        made = self.recorder.made
        gatherer = Gatherer(self.archive, self.manifest.model_schema, self.domain, self.keyring, made)
        counted = [update for update in self._recorded(number, block) if accepted >> stations.index(update.station) & 1]
        gathered = []
        for recorded in sorted(counted, key=lambda update: device_order(update.station)):
            root = roster_root_at(rosters, recorded)
            question = Question(recorded, root, self.domain, recorded.update in made)
            evidence = self.known.evidence(question, self.keyring, partial(gatherer.gather, recorded, root))
            training = check_training(recorded, self.manifest.policy, self._accepted_before(recorded, stations, block))
            sealing = check_sealing(recorded, evidence.manifest, self.manifest.policy)
            gathered.append((evidence, (*evidence.findings, *self._recompute(evidence), *training, *sealing)))
        return gathered

    def _recompute(self, evidence: Evidence) -> Iterator[Finding]:
        """Check what the devices' own updates show, if this station has a grant to read them."""
        if evidence.updates is None or evidence.findings:
            return
        policy = self.manifest.policy
        base = self.known.model(evidence.recorded.base, partial(base_model, self.archive))
        yield from check_norms(evidence.recorded, evidence.updates, base, policy)
        yield from recompute_tier1(evidence)

    def _object(
        self,
        state: RoundState,
        evidence: Evidence,
        findings: Sequence[Finding],
        block: int,
        now: int,
    ) -> Due:
        """Do what stops a wrong update: prove what can be proven, accuse of the rest."""
        recorded = evidence.recorded
        objection = RecordError(
            f"round {state.number}: station {self.account.address} does not attest, because the update of "
            f"station {recorded.station} is not as recorded:\n{findings_text(findings)}"
        )
        forged = forged_entry(evidence, self.domain)
        if forged is not None and roster_root_at(self._rosters(block), recorded) is not None:
            proof = self._proof_of(evidence, forged.device, block)
            return Due(Action.PROVED, state.number, partial(self.ledger.prove_forgery, self.account, *proof))
        # What can't be fetched now may only be late; before the window ends it has to be settled either way.
        half = (state.attest_until - state.submit_until) // 2
        if all(finding.check == "artifact" for finding in findings) and now < state.attest_until - half:
            raise objection
        index = self._stations(block).index(self.account.address)
        if self.ledger.accusers_of(self.twin, recorded.station) >> index & 1:
            raise objection
        digest = self.recorder.store_accusation(recorded, findings)
        return Due(
            Action.DISPUTED,
            state.number,
            lambda: self.ledger.dispute(self.account, self.twin, state.number, recorded.station, digest),
            digest,
        )

    def _doubled(self, state: RoundState, gathered: Sequence[Evidence], block: int) -> Due | None:
        """Put on the chain that a device has signed for this station and for another; it counts at both."""
        told = {
            event.device
            for event in self.ledger.events(self.twin, self.since, kinds=(DeviceEquivocated,), number=state.number)
            if isinstance(event, DeviceEquivocated)
        }
        if len(told) >= _DOUBLED_TOLD:
            return None
        by_station = {e.recorded.station: e for e in gathered if e.index is not None}
        indices = ((station, e.index) for station, e in by_station.items() if e.index is not None)
        for device, *pair in double_counts(indices):
            if device in told or self.account.address not in pair:
                continue
            # A stale training beside a fresh one is none to the ledger. Sent all the same, its refusal would come
            # back in every step: a liar with a device's stale training could keep this station from voting.
            if len({by_station[station].recorded.trained_round for station in pair}) > 1:
                continue
            one, other = (self._proof_of(by_station[station], device, block) for station in pair)
            send = partial(self.ledger.prove_double_count, self.account, *one, *other)
            return Due(Action.PROVED, state.number, send)
        return None

    def _proof_of(
        self, evidence: Evidence, device: Address, block: int
    ) -> tuple[Recorded, ProvenContribution, tuple[bytes, ...]]:
        """Return what the ledger needs to believe a contribution."""
        recorded, index = evidence.recorded, evidence.index
        roster = roster_root_at(self._rosters(block), recorded)
        if index is None or roster is None:
            raise RecordError(f"round {recorded.round}, station {recorded.station}: no contributions to prove from")
        place = [entry.device for entry in index.entries].index(device)
        proof = contributions_tree(index.entries).proof(place)
        return Recorded.of(recorded, roster), ProvenContribution.of(index.entries[place]), proof

    def _stations(self, block: int) -> tuple[Address, ...]:
        """Return all stations by index: the order in which they came, and none ever goes."""
        events = self.registry.events(self.since, block)
        return tuple(event.station for event in events if isinstance(event, StationRegistered))

    def _rosters(self, block: int) -> list[RosterSet]:
        return [event for event in self.registry.events(self.since, block) if isinstance(event, RosterSet)]

    def _recorded(self, number: int, block: int) -> list[UpdateSubmitted]:
        events = self.ledger.events(self.twin, self.since, block, kinds=(UpdateSubmitted,), number=number)
        return [event for event in events if isinstance(event, UpdateSubmitted) and not event.late]

    def _accepted_before(
        self, recorded: UpdateSubmitted, stations: Sequence[Address], block: int
    ) -> list[UpdateSubmitted]:
        """Return what the station has in earlier final rounds since a stale training; a fresh one is its round's."""
        bit = 1 << stations.index(recorded.station)
        found = []
        for number in range(recorded.trained_round, recorded.round):
            finals = self.ledger.events(self.twin, self.since, block, kinds=(RoundFinal,), number=number)
            if any(isinstance(final, RoundFinal) and final.accepted & bit for final in finals):
                found += [event for event in self._recorded(number, block) if event.station == recorded.station]
        return found
