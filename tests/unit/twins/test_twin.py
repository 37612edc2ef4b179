from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from twins.aggregation import Rule
from twins.archive import Archive
from twins.errors import ArtifactCorruptError, ArtifactNotFoundError, StaleTwinError, TwinsError
from twins.manifest import TwinModelManifest
from twins.model import TwinModel
from twins.store import DirectoryStore
from twins.twin import ProvenHead, Twin
from twins.types import ZERO_DIGEST, Digest, TwinId, twin_id

pytestmark = pytest.mark.unit

MODEL = TwinModel({"w": np.arange(6, dtype=np.float32)})


@dataclass
class Vouching:
    """A verifier that says what it is told to."""

    says: ProvenHead
    asked: list[tuple[TwinId, int]] = field(default_factory=list)

    def head(self, twin: TwinId, max_age: int) -> ProvenHead:
        self.asked.append((twin, max_age))
        return self.says


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "artifacts")


def put(store: DirectoryStore, name: str = "pump", number: int = 4) -> Digest:
    archive = Archive(store)
    rule = Rule("twinledger/weighted-mean", "1", {})
    manifest = TwinModelManifest(twin_id(name), number, None, (), rule, archive.put(MODEL.to_bytes()), 1, {})
    return archive.put_manifest(manifest)


def proven(model: Digest, number: int = 4) -> ProvenHead:
    return ProvenHead(model, number, fresh=True, proven_at=1000, now=1060)


def test_a_twin_that_was_proven_lately_opens(store: DirectoryStore) -> None:
    model = put(store)
    verifier = Vouching(proven(model))
    twin = Twin.open("pump", Archive(store), verifier, max_age=600)
    assert twin.model == MODEL
    assert twin.manifest.digest == model
    assert verifier.asked == [(twin_id("pump"), 600)]


def test_a_stale_twin_does_not_open_and_says_what_is_missing(store: DirectoryStore) -> None:
    model = put(store)
    missing = ("slot 7: holder 0xab has failed", "slot 7: holder 0xcd hasn't proven yet")
    says = ProvenHead(model, 4, fresh=False, proven_at=1000, now=2900, missing=missing)
    with pytest.raises(StaleTwinError) as caught:
        Twin.open("pump", Archive(store), Vouching(says), max_age=600)
    assert (caught.value.age, caught.value.missing) == (1900, missing)
    assert "at most 600 s ago" in str(caught.value)
    assert "1900 s ago" in str(caught.value)
    assert missing[0] in str(caught.value)


def test_a_twin_that_was_never_proven_or_has_no_model_does_not_open(store: DirectoryStore) -> None:
    never = ProvenHead(put(store), 4, fresh=False, proven_at=None, now=5)
    with pytest.raises(StaleTwinError, match="it never was"):
        Twin.open("pump", Archive(store), Vouching(never), max_age=600)
    empty = ProvenHead(ZERO_DIGEST, 0, fresh=False, proven_at=None, now=5)
    with pytest.raises(StaleTwinError, match="no model yet"):
        Twin.open("pump", Archive(store), Vouching(empty), max_age=600)


def test_bytes_that_are_missing_or_altered_are_not_loaded_whatever_the_chain_says(store: DirectoryStore) -> None:
    model = put(store)
    ref = Archive(store).manifest(TwinModelManifest, model).model
    file = store.path_of(ref.cid)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ArtifactCorruptError):
        Twin.open("pump", Archive(store), Vouching(proven(model)), max_age=600)
    file.unlink()
    with pytest.raises(ArtifactNotFoundError):
        Twin.open("pump", Archive(store), Vouching(proven(model)), max_age=600)


@pytest.mark.parametrize(("name", "number"), [("valve", 4), ("pump", 3)])
def test_another_twin_s_model_and_another_round_s_are_refused(store: DirectoryStore, name: str, number: int) -> None:
    with pytest.raises(TwinsError, match="expected round 4"):
        Twin.open("pump", Archive(store), Vouching(proven(put(store, name, number))), max_age=600)
