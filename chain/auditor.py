"""The auditor: walks a twin's lineage from the chain's head to its genesis and recomputes every step.

It believes nobody: artifacts are held against their CIDs, manifests against the chain, signatures against the
rosters, and both tiers of every aggregation are computed again, bit for bit, from the devices' signed updates.
Nothing is written anywhere. It goes on after a finding, to report everything that is wrong in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from chain.audit_report import AuditReport, Incident, RoundAudit, StationAudit
from chain.checks import Finding, check_model, check_model_manifest, check_recomputed, compare
from chain.contribution_checks import check_norms, check_sealing, check_training, double_counts
from chain.events import RoundFinal, UpdateRejected, UpdateSubmitted
from chain.evidence import Evidence, Gatherer, is_stateless, unreadable
from chain.incidents import incidents
from chain.lineage import Lineage
from chain.quorum import QuorumCheck
from chain.receipts import hex_bytes
from chain.round_ledger import RoundLedger
from chain.twin_registry import TwinRegistry
from twins.aggregation import function_of
from twins.archive import Archive
from twins.contribution import SigningDomain
from twins.encryption import Keyring
from twins.errors import StoreError, TwinsError
from twins.manifest import TwinManifest, TwinModelManifest
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import Tier1Replay, device_order

Progress = Callable[[int, int], None]
"""(rounds done, rounds in all)."""


@dataclass(frozen=True)
class Auditor:
    """Audits the twins of one consortium.

    Attributes:
        registry: of the consortium.
        ledger: of the consortium.
        since: block of the deployment.
        archive: any store; it is not trusted.
        replay: aggregates devices' updates again (tier 1), called in round order for each station.
        keyring: opens the sealed device updates that the auditor has a grant for. What it can't open is said.
    """

    registry: TwinRegistry
    ledger: RoundLedger
    since: int
    archive: Archive
    replay: Tier1Replay
    keyring: Keyring = field(default_factory=Keyring)

    @property
    def domain(self) -> SigningDomain:
        """Under which devices and stations sign."""
        return SigningDomain(self.ledger.chain.chain_id, self.ledger.address)

    def calldata(self, transaction: str) -> bytes:
        """Return what a transaction called its contract with."""
        found = self.ledger.chain.rpc("eth_getTransactionByHash", (transaction,))
        return b"" if found is None else hex_bytes(found["input"])

    def audit(
        self,
        twin: TwinId,
        *,
        expected: Sequence[Digest] = (),
        progress: Progress = lambda done, total: None,
    ) -> AuditReport:
        """Audit a twin's whole lineage.

        Args:
            twin: which one.
            expected: models that must be in the lineage, e.g. a head seen before: stops a rolled-back or replaced
                chain, which looks whole from the inside.
            progress: called after each round.

        Raises:
            TwinRegistryUnknownTwin: no such twin.
            ChainError, StoreError: chain or store can't be read. (What is wrong with the record is a finding, never an
                exception.)
        """
        lineage = Lineage.read(twin, self.registry, self.ledger, self.since)
        walk = _Walk(self, lineage)
        findings = [*lineage.check(), *_missing(expected, lineage), *walk.read_twin()]
        rounds: list[RoundAudit] = [walk.genesis()]
        uncounted: list[StationAudit] = []
        finals = {final.round: final for final in lineage.finals}
        numbers = sorted({*finals, *(update.round for update in lineage.updates)})
        progress(1, len(numbers) + 1)
        for done, number in enumerate(numbers, start=2):
            if number in finals:
                rounds.append(walk.final_round(finals[number]))
            uncounted.extend(walk.uncounted(number))
            progress(done, len(numbers) + 1)
        return AuditReport(
            twin=twin,
            name=walk.manifest.name if walk.manifest else "?",
            block=lineage.block,
            head=lineage.head,
            rounds=tuple(rounds),
            uncounted=tuple(uncounted),
            incidents=(*incidents(lineage), *walk.doubled),
            findings=tuple(findings),
        )


def _missing(expected: Sequence[Digest], lineage: Lineage) -> Iterator[Finding]:
    for digest in expected:
        if digest not in lineage.digests():
            yield Finding(
                "expected-head",
                "lineage",
                f"to contain model {digest}",
                f"a lineage of {len(lineage.digests())} models that ends in {lineage.head.model}: "
                "the chain was rolled back or replaced, or this is another twin",
            )


@dataclass
class _Walk:
    """One audit under way: forwards from the genesis, since some rules carry state from round to round."""

    auditor: Auditor
    lineage: Lineage
    manifest: TwinManifest | None = None
    base: tuple[Digest, TwinModel] | None = None  # the last base fetched: a round's stations share it
    doubled: list[Incident] = field(default_factory=list)
    closed: set[Address] = field(default_factory=set)  # stations of which an update could not be opened

    def read_twin(self) -> Iterator[Finding]:
        """Fetch the twin's own manifest; without it no schema and no merge rule is known."""
        try:
            self.manifest = self.auditor.archive.manifest(TwinManifest, self.lineage.record.manifest)
        except TwinsError as error:
            yield unreadable("twin manifest", error)

    def genesis(self) -> RoundAudit:
        """Audit round 0."""
        findings: list[Finding] = []
        digest = self.lineage.genesis
        manifest = self._model_manifest(digest, "genesis", findings)
        if manifest is not None:
            expected = {"twin": self.lineage.twin, "round": 0, "parent": None, "updates": (), "examples": 0}
            findings.extend(compare("model-manifest", "genesis", expected, vars(manifest)))
            self._model(manifest, "genesis", findings)
        return RoundAudit(0, digest, None, (), 0, (), (), tuple(findings))

    def final_round(self, final: RoundFinal) -> RoundAudit:
        """Audit a final round: its updates and their aggregation (tier 1), then the merged model (tier 2)."""
        where = f"round {final.round}, merged model"
        accepted = self.lineage.accepted(final)
        evidence = [self._gather(accepted[station]) for station in sorted(accepted, key=device_order)]
        for device, one, other in double_counts((e.recorded.station, e.index) for e in evidence if e.index):
            text = f"counts at the stations {one} and {other}"
            self.doubled.append(Incident("double-count", final.round, device, text))
        quorum = QuorumCheck(self.lineage, self.auditor.domain, self.auditor.calldata)
        findings = list(quorum.check(final))
        manifest = self._model_manifest(final.model, where, findings)
        if manifest is not None:
            findings.extend(check_model_manifest(final, accepted, manifest))
            if self.manifest is not None:
                declared = {"rule": self.manifest.merge_rule}
                findings.extend(compare("model-manifest", where, declared, {"rule": manifest.rule}))
            model = self._model(manifest, where, findings)
            inputs = [(e.model, e.recorded.examples) for e in evidence if e.model is not None]
            # With a station's model missing there is nothing to recompute from, and that is a finding already.
            if model is not None and len(inputs) == len(evidence):
                rule = manifest.rule
                findings.extend(check_recomputed("tier-2", where, model, lambda: function_of(rule)(inputs)))
        return RoundAudit(
            number=final.round,
            model=final.model,
            parent=final.parent,
            attesters=self.lineage.members(final.attesters),
            quorum=quorum.needed(final),
            missing=self.lineage.members(self.lineage.electorate(final.round) & ~final.accepted),
            stations=tuple(_station_audit(e) for e in evidence),
            findings=tuple(findings),
        )

    def uncounted(self, number: int) -> Iterator[StationAudit]:
        """Audit the updates of a round that counted in no final model: late or excluded, or the round was aborted.

        They move no model, but a stateful tier-1 rule has learnt from those that came in time.
        """
        final = next(iter(self.lineage.of(RoundFinal, number)), None)
        counted = self.lineage.accepted(final) if final else {}
        rejected = {event.station for event in self.lineage.of(UpdateRejected, number) if not event.late}
        for update in self.lineage.of(UpdateSubmitted, number):
            if counted.get(update.station) != update:
                # What the consortium has thrown out is in no model: what is wrong with it is why.
                excluded = not update.late and (final is not None or update.station in rejected)
                yield _station_audit(self._gather(update), excluded=excluded)

    def _gather(self, recorded: UpdateSubmitted) -> Evidence:
        schema = self.manifest.model_schema if self.manifest else None
        gatherer = Gatherer(self.auditor.archive, schema, self.auditor.domain, self.auditor.keyring)
        evidence = gatherer.gather(recorded, self.lineage.roster_root(recorded))
        findings = [*evidence.findings, *self._check_base(recorded)]
        if self.manifest is not None:
            before = self.lineage.accepted_before(recorded)
            findings.extend(check_training(recorded, self.manifest.policy, before))
            findings.extend(check_sealing(recorded, evidence.manifest, self.manifest.policy))
        if evidence.unchecked is not None and not recorded.late:
            self.closed.add(recorded.station)
        if evidence.updates and not recorded.late:
            if recorded.station in self.closed and not is_stateless(evidence.manifest):
                # Without what the rule has learnt before, an honest station would be found wrong.
                text = "its rule carries state from earlier updates, which no key at hand opens"
                return replace(evidence, unchecked=text, findings=tuple(findings))
            findings.extend(self._replay(evidence))
        return replace(evidence, findings=tuple(findings))

    def _check_base(self, recorded: UpdateSubmitted) -> Iterator[Finding]:
        held = self.lineage.models.get(recorded.base_round)
        if held != recorded.base:
            where = f"round {recorded.round}, station {recorded.station}, base of round {recorded.base_round}"
            yield Finding("base", where, str(held), recorded.base)

    def _replay(self, evidence: Evidence) -> Iterator[Finding]:
        recorded, manifest, model, updates = evidence.recorded, evidence.manifest, evidence.model, evidence.updates
        if manifest is None or model is None or updates is None:
            return
        where = f"round {recorded.round}, station {recorded.station}, station model"
        try:
            base = self._base(recorded.base)
        except StoreError:
            raise
        except TwinsError as error:
            yield Finding("tier-1", where, f"the base model {recorded.base} to aggregate from", str(error))
            return
        if self.manifest is not None:
            yield from check_norms(evidence.recorded, updates, base, self.manifest.policy)
        yield from check_recomputed(
            "tier-1",
            where,
            model,
            lambda: self.auditor.replay(
                station=recorded.station,
                round=manifest.trained_round,
                rule=manifest.rule,
                base=base,
                updates=updates,
                noise=evidence.noise,
            ),
        )

    def _base(self, digest: Digest) -> TwinModel:
        if self.base is None or self.base[0] != digest:
            archive = self.auditor.archive
            self.base = (digest, archive.model(archive.manifest(TwinModelManifest, digest).model))
        return self.base[1]

    def _model_manifest(self, digest: Digest, where: str, findings: list[Finding]) -> TwinModelManifest | None:
        try:
            return self.auditor.archive.manifest(TwinModelManifest, digest)
        except TwinsError as error:
            findings.append(unreadable(f"{where}, manifest {digest}", error))
            return None

    def _model(self, manifest: TwinModelManifest, where: str, findings: list[Finding]) -> TwinModel | None:
        try:
            model = self.auditor.archive.model(manifest.model)
        except TwinsError as error:
            findings.append(unreadable(where, error))
            return None
        if self.manifest is not None:
            findings.extend(check_model(model, self.manifest.model_schema, where))
        return model


def _station_audit(evidence: Evidence, *, excluded: bool = False) -> StationAudit:
    recorded, manifest = evidence.recorded, evidence.manifest
    return StationAudit(
        station=recorded.station,
        round=recorded.round,
        trained_round=recorded.trained_round,
        update=recorded.update,
        devices=None if evidence.index is None else len(evidence.index.entries),
        examples=recorded.examples,
        staleness=recorded.staleness,
        late=recorded.late,
        rule=str(manifest.rule) if manifest else None,
        metrics=manifest.metrics if manifest else {},
        rejections=evidence.index.rejections if evidence.index else (),
        excluded=excluded,
        unchecked=evidence.unchecked,
        findings=evidence.findings,
    )
