"""Evidence: what stands behind a recorded update, fetched and checked.

The same walk serves the station that is about to attest and the auditor years later.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from chain.checks import Finding, check_model, check_recomputed, check_update_manifest
from chain.contribution_checks import check_index, check_signature
from chain.events import UpdateSubmitted
from twins.aggregation import function_of
from twins.archive import Archive
from twins.contribution import SigningDomain
from twins.encryption import Keyring
from twins.errors import AggregationError, ArtifactError, NoGrantError, StoreError, TwinsError
from twins.manifest import StationUpdateManifest
from twins.model import Schema, TwinModel
from twins.types import Digest
from twins.updates import ContributionIndex, DeviceUpdate, Entry, contributions_tree


@dataclass(frozen=True)
class Evidence:
    """What could be fetched of one update; None where it couldn't.

    Attributes:
        recorded: the chain's event.
        manifest: the station's.
        model: the tier-1 aggregate.
        index: its contributions and rejections.
        updates: the devices'; None also when they are sealed and no key at hand opens them, or they were made here.
        noise: seed of the rule's noise; empty without any.
        findings: everything that is wrong.
        unchecked: what could not be checked for want of a grant, or None.
    """

    recorded: UpdateSubmitted
    manifest: StationUpdateManifest | None
    model: TwinModel | None
    index: ContributionIndex | None
    updates: tuple[DeviceUpdate, ...] | None
    noise: bytes
    findings: tuple[Finding, ...]
    unchecked: str | None


@dataclass(frozen=True)
class Gatherer:
    """Fetches evidence of one twin's updates. Bad evidence is a finding; only the store's own failure is raised.

    Attributes:
        archive: where the artifacts are; not trusted.
        schema: the twin's; None when it is not known, then the station's own model gives it.
        domain: of the ledger.
        keyring: what opens sealed device updates.
        made: updates whose devices' payloads aren't fetched back, because this process has aggregated them itself.
    """

    archive: Archive
    schema: Schema | None
    domain: SigningDomain
    keyring: Keyring
    made: Container[Digest] = ()

    def gather(self, recorded: UpdateSubmitted, roster_root: Digest | None) -> Evidence:
        """Fetch all that stands behind an update and hold it against the chain.

        Args:
            recorded: the chain's event.
            roster_root: of the station when it submitted.

        Raises:
            StoreError: the store itself failed: no node answers, or the disk fails.
        """
        findings: list[Finding] = []
        where = f"round {recorded.round}, station {recorded.station}"
        manifest = model = index = updates = unchecked = None
        noise = b""
        try:
            manifest = self.archive.manifest(StationUpdateManifest, recorded.update)
        except TwinsError as error:
            findings.append(unreadable(f"{where}, manifest {recorded.update}", error))
        if manifest is not None:
            findings.extend(check_update_manifest(recorded, manifest))
            try:
                model = self.archive.model(manifest.model)
                findings.extend(
                    check_model(model, model.schema() if self.schema is None else self.schema, f"{where}, model")
                )
            except TwinsError as error:
                findings.append(unreadable(f"{where}, model", error))
            try:
                index = self.archive.index(manifest.index)
                roster = self.archive.roster(manifest.roster)
                findings.extend(check_index(manifest, index, roster, roster_root, self.domain))
            except TwinsError as error:
                findings.append(unreadable(f"{where}, contributions", error))
        if manifest is not None and index is not None and recorded.update not in self.made:
            try:
                updates, noise = self.archive.payloads(recorded.update, manifest, index.entries, self.keyring)
            except NoGrantError as error:
                unchecked = str(error)
            except TwinsError as error:
                findings.append(unreadable(f"{where}, device updates", error))
        if updates is not None:
            schema = self.schema if self.schema is not None or model is None else model.schema()
            findings.extend(_check_device_models(updates, schema, where))
        return Evidence(recorded, manifest, model, index, updates, noise, tuple(findings), unchecked)


def recompute_tier1(evidence: Evidence) -> Iterator[Finding]:
    """Recompute the station's aggregate, where the devices' updates can be read and the rule needs no Flower."""
    manifest, model, updates = evidence.manifest, evidence.model, evidence.updates
    if manifest is None or model is None or not updates:
        return
    try:
        function = function_of(manifest.rule)
    except AggregationError:  # Flower's, which only an auditor replays
        return
    where = f"round {evidence.recorded.round}, station {evidence.recorded.station}, station model"
    inputs = [(update.model(), update.examples) for update in updates]
    yield from check_recomputed("tier-1", where, model, lambda: function(inputs))


def is_stateless(manifest: StationUpdateManifest | None) -> bool:
    """Tell whether a tier-1 rule depends on nothing but the round's updates, as far as can be known without Flower."""
    try:
        return manifest is None or function_of(manifest.rule) is not None
    except AggregationError:
        return False


def forged_entry(evidence: Evidence, domain: SigningDomain) -> Entry | None:
    """Return a contribution whose signature isn't its device's, if there is one that the ledger has committed to."""
    manifest = evidence.manifest
    if manifest is None or not evidence.index or not evidence.index.entries:
        return None
    if contributions_tree(evidence.index.entries).root != evidence.recorded.contributions:
        return None
    for entry in evidence.index.entries:
        if any(check_signature(manifest, entry, domain, "")):
            return entry
    return None


def unreadable(where: str, error: TwinsError) -> Finding:
    """Turn a failed fetch or parse into a finding.

    Raises:
        StoreError: the store itself failed, which says nothing of the evidence: whoever can't reach it for a moment
            must not accuse others.
    """
    if isinstance(error, StoreError):
        raise error
    check = "artifact" if isinstance(error, ArtifactError) else "format"
    return Finding(check, where, "the bytes that the record names", str(error))


def _check_device_models(updates: tuple[DeviceUpdate, ...], schema: Schema | None, where: str) -> Iterator[Finding]:
    for update in updates:
        place = f"{where}, device {update.device}"
        try:
            model = update.model()
            yield from check_model(model, model.schema() if schema is None else schema, place)
        except TwinsError as error:
            yield unreadable(place, error)
