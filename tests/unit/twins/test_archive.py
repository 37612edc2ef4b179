"""The archive: artifacts by their meaning, and references that lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.twins.strategies import json_values
from twins import canonical
from twins.aggregation import WEIGHTED_MEAN
from twins.archive import Archive
from twins.content import CHUNK, cid_of
from twins.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    ManifestError,
    ModelFormatError,
    TwinsError,
)
from twins.manifest import ArtifactRef, TwinManifest, TwinModelManifest, TwinPolicy
from twins.model import TwinModel
from twins.store import ArtifactStore, DirectoryStore
from twins.types import Address, Digest, address_of_bytes, sha256_digest
from twins.updates import device_order

pytestmark = pytest.mark.unit

MANIFEST = TwinManifest("plant/pump", {"w": [1]}, WEIGHTED_MEAN, TwinPolicy(None, 0, True), {})
MODEL = TwinModel({"w": np.array([1.5], np.float32)})
DEVICES = tuple(sorted((address_of_bytes(bytes([i]) * 20) for i in range(0xAA, 0xB0)), key=device_order))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(DirectoryStore(tmp_path))


def test_a_manifest_comes_back_by_its_digest(archive: Archive) -> None:
    digest = archive.put_manifest(MANIFEST)
    assert digest == MANIFEST.digest
    assert archive.manifest(TwinManifest, digest) == MANIFEST


def test_artifacts_and_models_come_back_by_their_reference(archive: Archive) -> None:
    for data in (b"", b"bundle", bytes(CHUNK + 1)):
        assert archive.artifact(archive.put(data)) == data
    assert archive.model(archive.put(MODEL.to_bytes())) == MODEL


def test_a_roster_comes_back_sorted(archive: Archive) -> None:
    assert archive.roster(archive.put_roster(DEVICES[::-1])) == DEVICES
    assert archive.put_roster(DEVICES[::-1]) == archive.put_roster(DEVICES)
    assert archive.roster(archive.put_roster(())) == ()


def test_a_digest_of_nothing_is_not_found(archive: Archive) -> None:
    with pytest.raises(ArtifactNotFoundError):
        archive.manifest(TwinManifest, MANIFEST.digest)
    with pytest.raises(ArtifactNotFoundError):
        archive.artifact(ArtifactRef.of(b"absent"))


def test_a_digest_that_names_no_manifest_of_the_kind_is_refused(archive: Archive) -> None:
    archive.store.put(b"weights")
    with pytest.raises(ManifestError):
        archive.manifest(TwinManifest, sha256_digest(b"weights"))
    with pytest.raises(ManifestError, match="expected a twin-model manifest"):
        archive.manifest(TwinModelManifest, archive.put_manifest(MANIFEST))


def test_a_rotten_manifest_is_named_corrupt(archive: Archive) -> None:
    digest = archive.put_manifest(MANIFEST)
    assert isinstance(archive.store, DirectoryStore)
    other = replace(MANIFEST, name="plant/fan").to_bytes()
    archive.store.path_of(cid_of(MANIFEST.to_bytes())).write_bytes(other)
    with pytest.raises(ArtifactCorruptError):
        archive.manifest(TwinManifest, digest)


@pytest.mark.parametrize("data", [b"bundle", bytes(CHUNK + 1)], ids=["one block", "two blocks"])
@pytest.mark.parametrize(
    "lie",
    [
        {"size": 0},
        {"size": 2**53 - 1},
        {"sha256": Digest("0x" + "00" * 32)},
        {"sha256": sha256_digest(b"other")},
    ],
    ids=str,
)
def test_a_reference_that_lies_is_refused(archive: Archive, data: bytes, lie: dict[str, Any]) -> None:
    honest = archive.put(data)
    with pytest.raises(ManifestError, match=f"reference to artifact {honest.cid}"):
        archive.artifact(replace(honest, **lie))
    with pytest.raises(ManifestError):
        archive.model(replace(honest, **lie))


def test_a_reference_with_anothers_cid_is_refused(archive: Archive) -> None:
    one, other = archive.put(b"one"), archive.put(b"two")
    assert one.size == other.size
    with pytest.raises(ManifestError, match=one.sha256):
        archive.artifact(replace(one, cid=other.cid))


def test_an_artifact_that_is_no_model_is_refused(archive: Archive) -> None:
    with pytest.raises(ModelFormatError):
        archive.model(archive.put(b"no model"))


ROSTERS = {
    "unsorted": list(DEVICES[::-1]),
    "sorted as text, not as numbers": sorted(DEVICES),
    "a device twice": [DEVICES[0], DEVICES[0], *DEVICES[1:]],
    "a device twice, once in lower case": [DEVICES[0], DEVICES[0].lower()],
    "an object": dict.fromkeys(DEVICES, 1),
    "a text": DEVICES[0],
    "a number": 5,
    "null": None,
    "a list of lists": [[device] for device in DEVICES],
    "a number among addresses": [DEVICES[0], 5],
    "an address in lower case": [DEVICES[0].lower()],
    "an address with a wrong checksum": [DEVICES[0].swapcase().replace("0X", "0x")],
}


@pytest.mark.parametrize("roster", ROSTERS.values(), ids=ROSTERS.keys())
def test_what_is_no_roster_is_refused_by_its_cid(archive: Archive, roster: object) -> None:
    assert roster != list(DEVICES)
    ref = archive.put(canonical.encode(roster))
    with pytest.raises(ManifestError, match=f"roster {ref.cid}"):
        archive.roster(ref)


@pytest.mark.parametrize(
    "data", [b"", b"[", canonical.encode(list(DEVICES)) + b"\n", b"[" * 200_000, b"\xff"], ids=repr
)
def test_a_roster_of_no_canonical_json_is_refused_by_its_cid(archive: Archive, data: bytes) -> None:
    ref = archive.put(data)
    with pytest.raises(ManifestError, match=f"roster {ref.cid}"):
        archive.roster(ref)


class OneArtifact(ArtifactStore):
    """Whatever is asked for, the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def _put(self, cid: str, data: bytes) -> None: ...

    def _get(self, cid: str) -> bytes:
        return self.data

    def _has(self, cid: str) -> bool:
        return True


@given(st.binary(max_size=80) | json_values.map(canonical.encode))
def test_whatever_the_bytes_only_errors_of_ours_escape(data: bytes) -> None:
    archive, ref = Archive(OneArtifact(data)), ArtifactRef.of(data)
    for read in (
        lambda: archive.manifest(TwinManifest, ref.sha256),
        lambda: archive.manifest(TwinManifest, MANIFEST.digest),
        lambda: archive.artifact(ArtifactRef.of(b"asked for" + data)),
        lambda: archive.model(ref),
    ):
        with pytest.raises(TwinsError):
            read()
    if data != b"[]":
        with pytest.raises(TwinsError):
            archive.roster(ref)


def test_a_roster_that_could_not_be_read_is_not_written(archive: Archive) -> None:
    devices: tuple[Address, ...] = (DEVICES[0], DEVICES[0])
    with pytest.raises(ManifestError, match="devices that differ"):
        archive.put_roster(devices)
