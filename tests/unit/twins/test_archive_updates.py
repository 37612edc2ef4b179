"""What an archive gives of a station's devices: the index to everybody, the updates to whoever may read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.twins.strategies import indexes, noises, updates
from twins.aggregation import WEIGHTED_MEAN
from twins.archive import Archive
from twins.content import CHUNK, cid_of
from twins.encryption import Keyring, ReaderKey, StationSecret, encryption_context
from twins.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    BundleError,
    ManifestError,
    NoGrantError,
    SealError,
    TwinsError,
)
from twins.manifest import ArtifactRef, StationUpdateManifest
from twins.store import DirectoryStore
from twins.types import Digest, address_of_bytes, sha256_digest, twin_id
from twins.updates import (
    ContributionIndex,
    DeviceUpdate,
    Rejection,
    RejectionReason,
    contributions_tree,
    encode_payloads,
)

pytestmark = pytest.mark.unit

TWIN = twin_id("plant/pump")
STATION = address_of_bytes(b"\x02" * 20)
SECRET, OTHER = StationSecret.from_key(b"\x01" * 32), StationSecret.from_key(b"\x02" * 32)
AUDITOR, STRANGER = (ReaderKey.from_bytes(bytes([n]) * 32) for n in (3, 4))
SEED = bytes(range(32))

FIRST, SECOND, THIRD = (address_of_bytes(bytes.fromhex(digits * 10)) for digits in ("0aBc", "5aEb", "fEdC"))
UPDATES = (
    DeviceUpdate(FIRST, 12, b"weights", b"\xab" * 65),
    DeviceUpdate(SECOND, 3, b"WEIGHTS", b"\xcd" * 65),
)
INDEX = ContributionIndex(
    tuple(update.entry for update in UPDATES), (Rejection(THIRD, RejectionReason.MISSING, "no answer"),)
)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(DirectoryStore(tmp_path))


def stored(
    archive: Archive,
    given: tuple[DeviceUpdate, ...] = UPDATES,
    noise: bytes = SEED,
    sealed: bool = True,
    trained_round: int = 7,
) -> StationUpdateManifest:
    """Put a station's devices into the archive, as a station does."""
    index = ContributionIndex(tuple(update.entry for update in given), ())
    data, encryption = encode_payloads(given, noise), None
    if sealed:
        data, encryption = SECRET.seal(data, encryption_context(TWIN, trained_round, STATION), [AUDITOR.public])
    ref = ArtifactRef.of(b"")
    return StationUpdateManifest(
        twin=TWIN,
        round=9,
        trained_round=trained_round,
        station=STATION,
        base_round=6,
        base=Digest("0x" + "11" * 32),
        rule=WEIGHTED_MEAN,
        model=ref,
        index=archive.put(index.to_bytes()),
        payloads=archive.put(data),
        encryption=encryption,
        roster=archive.put_roster(tuple(update.device for update in given)),
        contributions=contributions_tree(index.entries).root if given else Digest("0x" + "00" * 32),
        devices=len(given),
        rejected=0,
        examples=sum(update.examples for update in given),
        metrics={},
        engine={},
    )


def read(archive: Archive, manifest: StationUpdateManifest, keyring: Keyring) -> tuple[tuple[DeviceUpdate, ...], bytes]:
    """Read them as an auditor does: the manifest by its digest, the index, then the updates."""
    digest = archive.put_manifest(manifest)
    found = archive.manifest(StationUpdateManifest, digest)
    return archive.payloads(digest, found, archive.index(found.index).entries, keyring)


# The index, which everybody may read.


@given(indexes())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_index_comes_back_by_its_reference(archive: Archive, index: ContributionIndex) -> None:
    assert archive.index(archive.put(index.to_bytes())) == index


@pytest.mark.parametrize(
    "data", [b"", b"{}", INDEX.to_bytes() + b"\n", b"[" * 200_000, b"\xff"], ids=lambda d: repr(d[:9])
)
def test_an_artifact_that_is_no_index_is_refused(archive: Archive, data: bytes) -> None:
    with pytest.raises(BundleError):
        archive.index(archive.put(data))


def test_an_index_that_is_absent_rotten_or_falsely_referred_to_is_told_apart(archive: Archive) -> None:
    data = INDEX.to_bytes()
    with pytest.raises(ArtifactNotFoundError):
        archive.index(ArtifactRef.of(data))
    ref = archive.put(data)
    with pytest.raises(ManifestError, match=f"reference to artifact {ref.cid}"):
        archive.index(replace(ref, size=ref.size + 1))
    assert isinstance(archive.store, DirectoryStore)
    archive.store.path_of(ref.cid).write_bytes(data.replace(b"12", b"13", 1))
    with pytest.raises(ArtifactCorruptError):
        archive.index(ref)


# The updates.


@given(updates(), noises, st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_updates_and_noise_come_back_sealed_or_open(
    archive: Archive, given_updates: tuple[DeviceUpdate, ...], noise: bytes, sealed: bool
) -> None:
    given_updates = tuple(replace(update, examples=1 + update.examples % 2**40) for update in given_updates)
    manifest = stored(archive, given_updates, noise, sealed)
    for keyring in (Keyring([AUDITOR]), Keyring([SECRET]), Keyring([STRANGER, AUDITOR])):
        assert read(archive, manifest, keyring) == (given_updates, noise)


def test_open_updates_need_no_key(archive: Archive) -> None:
    assert read(archive, stored(archive, sealed=False), Keyring()) == (UPDATES, SEED)


def test_updates_of_more_than_one_block_come_back(archive: Archive) -> None:
    large = (replace(UPDATES[0], payload=bytes(CHUNK)), UPDATES[1])
    assert read(archive, stored(archive, large), Keyring([AUDITOR])) == (large, SEED)


def test_sealed_updates_are_nowhere_in_the_store_in_clear(archive: Archive, tmp_path: Path) -> None:
    manifest = stored(archive)
    archive.put_manifest(manifest)
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        for secret in (b"weights", b"WEIGHTS", SEED, SEED.hex().encode(), b"TLBUNDL2"):
            assert secret not in file.read_bytes()


@pytest.mark.parametrize(
    "keyring", [Keyring(), Keyring([STRANGER]), Keyring([OTHER])], ids=["none", "a stranger", "a peer"]
)
def test_without_a_grant_the_index_can_be_read_and_the_updates_cannot(archive: Archive, keyring: Keyring) -> None:
    manifest = stored(archive)
    assert archive.index(manifest.index).entries == INDEX.entries
    with pytest.raises(NoGrantError, match=manifest.digest):
        read(archive, manifest, keyring)


def test_a_grant_that_comes_later_opens_the_recorded_bytes(archive: Archive) -> None:
    manifest = stored(archive)
    assert manifest.encryption is not None
    late = SECRET.grant(manifest.encryption, encryption_context(TWIN, 7, STATION), STRANGER.public)
    assert read(archive, manifest, Keyring([STRANGER], {manifest.digest: (late,)})) == (UPDATES, SEED)
    with pytest.raises(NoGrantError):
        read(archive, manifest, Keyring([STRANGER], {Digest("0x" + "99" * 32): (late,)}))


def test_a_late_update_opens_under_the_round_it_was_trained_for(archive: Archive) -> None:
    early = stored(archive, trained_round=5)
    again = replace(early, round=10)
    assert read(archive, early, Keyring([AUDITOR])) == read(archive, again, Keyring([AUDITOR])) == (UPDATES, SEED)


MOVED: dict[str, dict[str, Any]] = {
    "to another twin": {"twin": twin_id("plant/fan")},
    "to another training": {"trained_round": 8},
    "to another station": {"station": address_of_bytes(b"\x03" * 20)},
}


@pytest.mark.parametrize("change", MOVED.values(), ids=MOVED.keys())
def test_sealed_updates_that_are_moved_do_not_open(archive: Archive, change: dict[str, Any]) -> None:
    manifest = replace(stored(archive), **change)
    for keyring in (Keyring([AUDITOR]), Keyring([SECRET])):
        with pytest.raises(SealError):
            read(archive, manifest, keyring)


def test_a_manifest_that_denies_the_seal_is_found(archive: Archive) -> None:
    with pytest.raises(BundleError, match="not device updates"):
        read(archive, replace(stored(archive), encryption=None), Keyring([AUDITOR]))


def test_a_manifest_that_claims_a_seal_over_open_bytes_is_found(archive: Archive) -> None:
    sealed, open_ = stored(archive), stored(archive, sealed=False)
    with pytest.raises(SealError):
        read(archive, replace(sealed, payloads=open_.payloads), Keyring([AUDITOR]))


def test_another_stations_sealed_bytes_behind_ones_own_manifest_are_found(archive: Archive) -> None:
    manifest = stored(archive)
    data, encryption = OTHER.seal(
        encode_payloads(UPDATES, SEED), encryption_context(TWIN, 7, STATION), [AUDITOR.public]
    )
    foreign = archive.put(data)
    with pytest.raises(SealError):
        read(archive, replace(manifest, payloads=foreign), Keyring([AUDITOR]))
    # With that station's grant too it opens: who sealed makes no difference to what the devices have signed.
    assert read(archive, replace(manifest, payloads=foreign, encryption=encryption), Keyring([AUDITOR]))[0] == UPDATES


def test_an_index_of_other_updates_is_found_after_opening(archive: Archive) -> None:
    manifest = stored(archive)
    other = stored(archive, (replace(UPDATES[0], payload=b"forged!"), UPDATES[1]))
    with pytest.raises(BundleError, match=f"update of device {FIRST}"):
        read(archive, replace(manifest, index=other.index), Keyring([AUDITOR]))


def test_payloads_that_are_absent_or_falsely_referred_to_are_told_apart(archive: Archive) -> None:
    manifest = stored(archive)
    with pytest.raises(ArtifactNotFoundError):
        read(archive, replace(manifest, payloads=ArtifactRef.of(b"absent")), Keyring([AUDITOR]))
    with pytest.raises(ManifestError, match=f"reference to artifact {manifest.payloads.cid}"):
        read(archive, replace(manifest, payloads=replace(manifest.payloads, size=1)), Keyring([AUDITOR]))


@given(st.binary(max_size=60), st.booleans())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_payloads_only_errors_of_ours_escape(archive: Archive, data: bytes, sealed: bool) -> None:
    manifest = replace(stored(archive, sealed=sealed), payloads=archive.put(data))
    assert manifest.payloads == ArtifactRef(cid_of(data), len(data), sha256_digest(data))
    with pytest.raises(TwinsError):
        read(archive, manifest, Keyring([AUDITOR]))
