"""A twin's policy in its manifest, and how an update says that it is sealed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from twins import canonical
from twins.aggregation import WEIGHTED_MEAN
from twins.encryption import ALGORITHM, Encryption, Grant, parse_reader_id
from twins.errors import ManifestError
from twins.manifest import ArtifactRef, Manifest, StationUpdateManifest, TwinManifest, TwinPolicy
from twins.types import Digest, address_of_bytes, twin_id

pytestmark = pytest.mark.unit

D = Digest("0x" + "11" * 32)
REF = ArtifactRef.of(b"artifact")
READER = parse_reader_id("0x" + "22" * 32)
TWIN = TwinManifest("plant/pump", {"w": [2, 3]}, WEIGHTED_MEAN, TwinPolicy(0.5, 3, True), {})
UPDATE = StationUpdateManifest(
    twin=twin_id("plant/pump"),
    round=4,
    trained_round=3,
    station=address_of_bytes(b"\x01" * 20),
    base_round=2,
    base=D,
    rule=WEIGHTED_MEAN,
    model=REF,
    index=REF,
    payloads=REF,
    encryption=Encryption(ALGORITHM, READER, D, (Grant(READER, "0x" + "33" * 40),)),
    roster=REF,
    contributions=D,
    devices=4,
    rejected=1,
    examples=400,
    metrics={},
    engine={},
)


def body(of: Manifest) -> dict[str, Any]:
    return json.loads(of.to_bytes())  # type: ignore[no-any-return]


@pytest.mark.parametrize("norm", [None, 0.5, 1, 1e300, 5e-324], ids=repr)
def test_a_norm_is_a_number_above_zero_or_there_is_none(norm: float | None) -> None:
    manifest = TwinManifest("a", {}, WEIGHTED_MEAN, TwinPolicy(norm, 0, False), {})
    back = TwinManifest.from_bytes(manifest.to_bytes())
    assert back.policy.max_update_norm == norm
    assert back.policy.max_update_norm is None or type(back.policy.max_update_norm) is float
    assert back.digest == manifest.digest


@pytest.mark.parametrize("norm", [0, -0.5, True, "1"], ids=repr)
def test_a_norm_that_is_no_bound_is_refused(norm: Any) -> None:
    content = body(TWIN)
    content["policy"]["max_update_norm"] = norm
    with pytest.raises(ManifestError, match=r"policy\.max_update_norm: expected a number above 0"):
        TwinManifest.from_bytes(canonical.encode(content))


def test_an_update_that_lies_open_says_so() -> None:
    content = body(UPDATE) | {"encryption": None}
    manifest = StationUpdateManifest.from_bytes(canonical.encode(content))
    assert manifest.encryption is None
    assert b'"encryption":null' in manifest.to_bytes()


def test_an_update_sealed_in_an_unknown_way_is_refused() -> None:
    content = body(UPDATE)
    content["encryption"]["algorithm"] = "AES-128-ECB"
    with pytest.raises(ManifestError, match="sealed with 'AES-128-ECB': expected AES-256-GCM"):
        StationUpdateManifest.from_bytes(canonical.encode(content))
