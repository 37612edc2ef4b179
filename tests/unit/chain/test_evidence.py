"""Evidence behind one update, from a store in a folder: everything wrong is found, and nothing of it raised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chain.contribution_checks import check_sealing
from chain.evidence import Evidence, Gatherer, is_stateless, unreadable
from tests.unit.chain.test_checks import DOMAIN, MANIFEST, RECORDED, ROOT, ROSTER, UPDATES, WHERE
from twins.aggregation import Rule, weighted_mean
from twins.archive import Archive
from twins.content import cid_of_digest
from twins.encryption import Keyring, StationSecret, encryption_context
from twins.errors import ArtifactNotFoundError, ManifestError, NodeUnreachableError, StoreError
from twins.manifest import StationUpdateManifest, TwinPolicy
from twins.model import TwinModel
from twins.store import DirectoryStore
from twins.types import Cid, sha256_digest
from twins.updates import ContributionIndex, encode_payloads

pytestmark = pytest.mark.unit

MODEL = weighted_mean([(update.model(), update.examples) for update in UPDATES])
SCHEMA = {"w": [2]}
INDEX = ContributionIndex(tuple(update.entry for update in UPDATES), ())


class Unreachable(DirectoryStore):
    """A store that is there, and of which nothing can be had."""

    def _get(self, cid: Cid) -> bytes:
        raise NodeUnreachableError(f"fetch {cid}", {"http://127.0.0.1:5001": "Connection refused"})


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(DirectoryStore(tmp_path))


def stored(archive: Archive, model: TwinModel = MODEL, **changes: object) -> StationUpdateManifest:
    whole = replace(
        MANIFEST,
        model=archive.put(model.to_bytes()),
        index=archive.put(INDEX.to_bytes()),
        payloads=archive.put(encode_payloads(UPDATES, b"")),
        roster=archive.put_roster(ROSTER),
    )
    manifest = replace(whole, **changes)  # type: ignore[arg-type]
    archive.put_manifest(manifest)
    return manifest


def gathered(
    archive: Archive, manifest: StationUpdateManifest, schema: dict[str, list[int]] | None = SCHEMA
) -> Evidence:
    return Gatherer(archive, schema, DOMAIN, Keyring()).gather(replace(RECORDED, update=manifest.digest), ROOT)


def test_whole_evidence_is_fetched_and_has_no_findings(archive: Archive) -> None:
    manifest = stored(archive)
    evidence = gathered(archive, manifest)
    assert evidence.findings == ()
    assert (evidence.manifest, evidence.model, evidence.updates) == (manifest, MODEL, UPDATES)


def test_without_the_manifest_there_is_nothing_to_fetch(archive: Archive) -> None:
    evidence = gathered(archive, MANIFEST)
    (finding,) = evidence.findings
    assert (finding.check, finding.where) == ("artifact", f"{WHERE}, manifest {MANIFEST.digest}")
    assert (evidence.manifest, evidence.model, evidence.updates) == (None, None, None)


@pytest.mark.parametrize(
    ("part", "place"),
    [("model", "model"), ("payloads", "device updates"), ("index", "contributions"), ("roster", "contributions")],
)
def test_a_missing_part_leaves_the_others_checked(archive: Archive, part: str, place: str) -> None:
    manifest = stored(archive)
    store = archive.store
    assert isinstance(store, DirectoryStore)
    store.path_of(getattr(manifest, part).cid).unlink()
    evidence = gathered(archive, manifest)
    assert [(f.check, f.where) for f in evidence.findings] == [("artifact", f"{WHERE}, {place}")]
    assert (evidence.model is None) == (part == "model")
    assert (evidence.updates is None) == (part in ("payloads", "index"))


def test_a_model_of_another_schema_is_found_in_station_and_devices(archive: Archive) -> None:
    evidence = gathered(archive, stored(archive), {"w": [3]})
    places = [f"{WHERE}, model", *(f"{WHERE}, device {device}" for device in ROSTER)]
    assert [(f.check, f.where) for f in evidence.findings] == [("schema", place) for place in places]


def test_without_the_twins_schema_the_stations_model_gives_it(archive: Archive) -> None:
    assert gathered(archive, stored(archive), None).findings == ()
    wide = TwinModel({"w": np.zeros(3, np.float32)})
    evidence = gathered(archive, stored(archive, wide), None)
    assert [(f.check, f.where) for f in evidence.findings] == [
        ("schema", f"{WHERE}, device {device}") for device in ROSTER
    ]


def test_bytes_that_are_not_what_the_manifest_calls_them_are_found(archive: Archive) -> None:
    junk = archive.put(b"junk")
    evidence = gathered(archive, stored(archive, model=MODEL, payloads=junk))
    assert [(f.check, f.where) for f in evidence.findings] == [("format", f"{WHERE}, device updates")]
    assert evidence.updates is None


def test_what_is_sealed_and_not_granted_is_unchecked_and_no_finding(archive: Archive) -> None:
    secret = StationSecret.from_key(bytes([9]) * 32)
    context = encryption_context(MANIFEST.twin, MANIFEST.trained_round, MANIFEST.station)
    sealed, encryption = secret.seal(encode_payloads(UPDATES, b""), context, ())
    manifest = stored(archive, payloads=archive.put(sealed), encryption=encryption)
    evidence = gathered(archive, manifest)
    assert (evidence.findings, evidence.updates) == ((), None)
    assert evidence.unchecked is not None
    assert "expected a grant" in evidence.unchecked
    own = Gatherer(archive, SCHEMA, DOMAIN, Keyring((secret,))).gather(evidence.recorded, ROOT)
    assert (own.findings, own.updates, own.unchecked) == ((), UPDATES, None)


def test_attack_a_station_that_lays_its_devices_updates_open_is_found_where_the_twin_asks_for_sealing() -> None:
    sealed = TwinPolicy(None, max_staleness=0, sealed=True)
    (finding,) = check_sealing(RECORDED, MANIFEST, sealed)
    assert (finding.check, finding.where) == ("sealing", f"{WHERE}, device updates")
    assert list(check_sealing(RECORDED, MANIFEST, replace(sealed, sealed=False))) == []
    assert list(check_sealing(RECORDED, None, sealed)) == []


def test_rules_that_need_no_flower_are_stateless_and_others_are_not_known_to_be() -> None:
    assert is_stateless(MANIFEST)
    assert is_stateless(None)
    assert not is_stateless(replace(MANIFEST, rule=Rule("flwr/FedAdam", "1.41.0")))


def test_attack_sealed_bytes_moved_to_another_round_are_found_by_whoever_may_read_them(archive: Archive) -> None:
    secret = StationSecret.from_key(bytes([9]) * 32)
    elsewhere = encryption_context(MANIFEST.twin, MANIFEST.trained_round + 1, MANIFEST.station)
    sealed, encryption = secret.seal(encode_payloads(UPDATES, b""), elsewhere, ())
    manifest = stored(archive, payloads=archive.put(sealed), encryption=encryption)
    recorded = replace(RECORDED, update=manifest.digest)
    evidence = Gatherer(archive, SCHEMA, DOMAIN, Keyring((secret,))).gather(recorded, ROOT)
    assert [(f.check, f.where) for f in evidence.findings] == [("format", f"{WHERE}, device updates")]


def test_another_kind_of_manifest_is_found(archive: Archive) -> None:
    archive.store.put(b"{}")
    recorded = replace(RECORDED, update=sha256_digest(b"{}"))
    evidence = Gatherer(archive, SCHEMA, DOMAIN, Keyring()).gather(recorded, ROOT)
    assert [f.check for f in evidence.findings] == ["format"]


def test_what_could_not_be_read_says_whether_bytes_or_form_are_wrong() -> None:
    cid = cid_of_digest(MANIFEST.digest)
    assert unreadable("here", ArtifactNotFoundError(cid, "gone")).check == "artifact"
    assert unreadable("here", ManifestError("odd")).check == "format"


def test_the_failure_of_ones_own_store_is_nobody_elses_fault(tmp_path: Path) -> None:
    # Else a station whose IPFS node is down for a moment would accuse the others, and an audit would call them liars.
    with pytest.raises(StoreError, match="the disk fails"):
        unreadable("here", StoreError("the disk fails"))
    with pytest.raises(NodeUnreachableError):
        Gatherer(Archive(Unreachable(tmp_path)), SCHEMA, DOMAIN, Keyring()).gather(RECORDED, ROOT)


def test_what_was_made_here_is_not_fetched_back_but_its_index_is_checked(archive: Archive) -> None:
    manifest = stored(archive)
    recorded = replace(RECORDED, update=manifest.digest)
    gone = replace(manifest.payloads, cid=cid_of_digest(sha256_digest(b"gone")), sha256=sha256_digest(b"gone"))
    without = stored(archive, payloads=gone)
    whole = Gatherer(archive, SCHEMA, DOMAIN, Keyring(), {manifest.digest}).gather(recorded, ROOT)
    assert (whole.findings, whole.updates, whole.index) == ((), None, INDEX)
    recorded = replace(RECORDED, update=without.digest)
    assert Gatherer(archive, SCHEMA, DOMAIN, Keyring(), {without.digest}).gather(recorded, ROOT).findings == ()
    assert [f.check for f in Gatherer(archive, SCHEMA, DOMAIN, Keyring()).gather(recorded, ROOT).findings] == [
        "artifact"
    ]
