"""The law behind the whole audit: no byte of the record can change unnoticed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.audit.world import World
from twins.store import ArtifactStore
from twins.types import Cid

pytestmark = pytest.mark.integration


class Bent(ArtifactStore):
    """The history's store with other bytes for one artifact."""

    def __init__(self, world: World, cid: Cid, data: bytes) -> None:
        self.world, self.cid, self.data = world, cid, data

    def _get(self, cid: Cid) -> bytes:
        return self.data if cid == self.cid else self.world.read(cid)

    def _put(self, cid: Cid, data: bytes) -> None:
        raise AssertionError("an audit writes nothing")

    def _has(self, cid: Cid) -> bool:
        return True


def found(world: World, cid: Cid, data: bytes) -> bool:
    """Whether the audit names the artifact."""
    findings = world.findings(store=Bent(world, cid, data))
    return any(f.check == "artifact" and f.got.startswith(f"artifact {cid}: ") for f in findings)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_byte_flipped_anywhere_in_any_artifact_is_found(history: World, data: st.DataObject) -> None:
    cid = data.draw(st.sampled_from(history.cids()), label="artifact")
    content = bytearray(history.read(cid))
    offset = data.draw(st.integers(0, len(content) - 1), label="offset")
    content[offset] ^= data.draw(st.integers(1, 255), label="mask")
    assert found(history, cid, bytes(content))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_artifact_cut_short_or_made_longer_is_found(history: World, data: st.DataObject) -> None:
    cid = data.draw(st.sampled_from(history.cids()), label="artifact")
    content = history.read(cid)
    cut = data.draw(st.integers(0, len(content) - 1), label="cut")
    assert found(history, cid, content[:cut])
    assert found(history, cid, content + data.draw(st.binary(min_size=1, max_size=8), label="tail"))


def test_a_bit_flipped_in_every_artifact_in_turn_is_found(history: World) -> None:
    cids = history.cids()
    # Per round three stations' manifest, model, index and payloads, and the merged model with its manifest; three
    # rosters, the genesis with its manifest, and the twin's manifest.
    assert len(cids) == 3 * (3 * 4 + 2) + 3 + 2 + 1
    for cid in cids:
        content = bytearray(history.read(cid))
        content[len(content) // 2] ^= 1
        assert found(history, cid, bytes(content)), cid
