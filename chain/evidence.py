"""Evidence: what stands behind a recorded update, fetched and checked.

The same walk serves the station that is about to attest and the auditor years later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chain.checks import Finding, check_bundle, check_model, check_update_manifest
from chain.events import UpdateSubmitted
from twins.archive import Archive
from twins.contribution import SigningDomain
from twins.errors import ArtifactError, TwinsError
from twins.manifest import StationUpdateManifest
from twins.model import Schema, TwinModel
from twins.types import Digest
from twins.updates import DeviceUpdate, decode_bundle


@dataclass(frozen=True)
class Evidence:
    """What could be fetched of one update; None where it couldn't.

    Attributes:
        recorded: the chain's event.
        manifest: the station's.
        model: the tier-1 aggregate.
        updates: the devices'.
        findings: everything that is wrong.
    """

    recorded: UpdateSubmitted
    manifest: StationUpdateManifest | None
    model: TwinModel | None
    updates: tuple[DeviceUpdate, ...] | None
    findings: tuple[Finding, ...]


def gather(
    recorded: UpdateSubmitted,
    archive: Archive,
    schema: Schema | None,
    roster_root: Digest | None,
    domain: SigningDomain,
) -> Evidence:
    """Fetch all that stands behind an update and hold it against the chain. Raises nothing for bad evidence.

    Args:
        recorded: the chain's event.
        archive: where the artifacts are.
        schema: the twin's; None when it is not known, then the station's own model gives it.
        roster_root: of the station when it submitted.
        domain: of the ledger.
    """
    findings: list[Finding] = []
    where = f"round {recorded.round}, station {recorded.station}"
    manifest = model = updates = None
    try:
        manifest = archive.manifest(StationUpdateManifest, recorded.update)
    except TwinsError as error:
        findings.append(unreadable(f"{where}, manifest {recorded.update}", error))
    if manifest is not None:
        findings.extend(check_update_manifest(recorded, manifest))
        try:
            model = archive.model(manifest.model)
            schema = schema or model.schema()
            findings.extend(check_model(model, schema, f"{where}, model"))
        except TwinsError as error:
            findings.append(unreadable(f"{where}, model", error))
        try:
            updates = decode_bundle(archive.artifact(manifest.bundle))
            roster = archive.roster(manifest.roster)
            findings.extend(check_bundle(manifest, updates, roster, roster_root, domain))
            if schema is not None:
                findings.extend(_check_device_models(updates, schema, where))
        except TwinsError as error:
            findings.append(unreadable(f"{where}, device updates", error))
    return Evidence(recorded, manifest, model, updates, tuple(findings))


def unreadable(where: str, error: TwinsError) -> Finding:
    """Turn a failed fetch or parse into a finding."""
    check = "artifact" if isinstance(error, ArtifactError) else "format"
    return Finding(check, where, "the bytes that the record names", str(error))


def _check_device_models(updates: tuple[DeviceUpdate, ...], schema: Schema, where: str) -> Iterator[Finding]:
    for update in updates:
        place = f"{where}, device {update.device}"
        try:
            yield from check_model(update.model(), schema, place)
        except TwinsError as error:
            yield unreadable(place, error)
