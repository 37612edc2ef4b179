"""The rules alone: no chain, no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.checks import (
    Finding,
    check_model,
    check_model_manifest,
    check_recomputed,
    check_update_manifest,
    compare,
    findings_text,
)
from chain.contribution_checks import check_index
from chain.events import RoundFinal, UpdateSubmitted
from twins.aggregation import WEIGHTED_MEAN, weighted_mean
from twins.contribution import Contribution, SigningDomain, address_of_key
from twins.errors import AggregationError, SchemaError
from twins.manifest import ArtifactRef, StationUpdateManifest, TwinModelManifest, UpdateRef
from twins.model import TwinModel
from twins.types import Address, Digest, sha256_digest, twin_id
from twins.updates import (
    ContributionIndex,
    DeviceUpdate,
    Rejection,
    RejectionReason,
    contributions_tree,
    device_order,
    roster_tree,
)

pytestmark = pytest.mark.unit

TWIN = twin_id("watch")
STATION = address_of_key(bytes([40]) * 32)
OTHER_STATION = address_of_key(bytes([41]) * 32)
BASE = sha256_digest(b"base")
DOMAIN = SigningDomain(31337, address_of_key(bytes([50]) * 32))
KEYS = sorted((bytes([n]) * 32 for n in (1, 2, 3)), key=lambda key: device_order(address_of_key(key)))
ROSTER = tuple(address_of_key(key) for key in KEYS)
ROOT = roster_tree(ROSTER).root
WHERE = f"round 2, station {STATION}"


def model(*values: float) -> TwinModel:
    return TwinModel({"w": np.array(values, np.float32)})


def signed(key: bytes, count: int = 10, **changes: Any) -> DeviceUpdate:
    payload = DeviceUpdate.encode_payload(model(count, 1.0), {"train_loss": 0.5})
    statement = Contribution(TWIN, 2, STATION, BASE, sha256_digest(payload), count)
    domain = changes.pop("domain", DOMAIN)
    signature = replace(statement, **changes).sign(domain, key)
    return DeviceUpdate(address_of_key(key), count, payload, signature)


def root_of(updates: Sequence[DeviceUpdate]) -> Digest:
    return contributions_tree([update.entry for update in updates]).root


UPDATES = tuple(signed(key, 10 + index) for index, key in enumerate(KEYS))
REF = ArtifactRef.of(b"anything")
MANIFEST = StationUpdateManifest(
    twin=TWIN,
    round=2,
    trained_round=2,
    station=STATION,
    base_round=1,
    base=BASE,
    rule=WEIGHTED_MEAN,
    model=REF,
    index=REF,
    payloads=REF,
    encryption=None,
    roster=REF,
    contributions=root_of(UPDATES),
    devices=3,
    rejected=0,
    examples=33,
    metrics={},
    engine={},
)
RECORDED = UpdateSubmitted(
    block=9,
    log_index=0,
    transaction="0x00",
    twin=TWIN,
    round=2,
    station=STATION,
    trained_round=2,
    base_round=1,
    base=BASE,
    update=MANIFEST.digest,
    contributions=MANIFEST.contributions,
    examples=33,
    staleness=0,
    late=False,
)
ACCEPTED = {
    station: replace(RECORDED, station=station, update=sha256_digest(station.encode()), examples=examples)
    for station, examples in ((STATION, 33), (OTHER_STATION, 7))
}
ORDER = sorted(ACCEPTED, key=device_order)
FINAL = RoundFinal(
    block=12,
    log_index=0,
    transaction="0x00",
    twin=TWIN,
    round=2,
    parent=BASE,
    model=sha256_digest(b"merged"),
    attesters=3,
    accepted=3,
)
MERGED = TwinModelManifest(
    twin=TWIN,
    round=2,
    parent=BASE,
    updates=tuple(UpdateRef(station, ACCEPTED[station].update) for station in ORDER),
    rule=WEIGHTED_MEAN,
    model=REF,
    examples=40,
    origin={},
)


def index(
    updates: Sequence[DeviceUpdate] = UPDATES, rejections: tuple[Rejection, ...] = (), **changes: Any
) -> list[Finding]:
    arguments: dict[str, Any] = {
        "manifest": MANIFEST,
        "roster": ROSTER,
        "roster_root": ROOT,
        "domain": DOMAIN,
        **changes,
    }
    told = ContributionIndex(tuple(update.entry for update in updates), rejections)
    return list(check_index(index=told, **arguments))


def missing(device: Address) -> Rejection:
    return Rejection(device, RejectionReason.MISSING, "did not answer")


def test_a_finding_is_one_line_with_all_it_says() -> None:
    finding = Finding("roster", "round 1", "a", "b")
    assert str(finding) == "roster [round 1]: expected a, got b"
    assert findings_text([finding, finding]) == f"{finding}\n{finding}"
    assert findings_text([]) == ""


@given(st.dictionaries(st.text(), st.integers()), st.data())
def test_a_comparison_names_exactly_the_keys_that_differ(expected: dict[str, int], data: st.DataObject) -> None:
    got = {key: data.draw(st.integers()) for key in expected}
    named = [finding.where for finding in compare("check", "here", expected, got)]
    assert named == [f"here, {key}" for key in expected if expected[key] != got[key]]


# -- a station's manifest -------------------------------------------------------------------------------------------


def test_a_manifest_as_recorded_has_no_findings() -> None:
    assert list(check_update_manifest(RECORDED, MANIFEST)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("twin", twin_id("gait")),
        ("round", 3),
        ("trained_round", 1),
        ("station", OTHER_STATION),
        ("base_round", 0),
        ("base", sha256_digest(b"other")),
        ("contributions", sha256_digest(b"other")),
        ("examples", 34),
    ],
)
def test_every_field_that_the_chain_knows_is_held_against_it(field: str, value: object) -> None:
    (finding,) = check_update_manifest(RECORDED, replace(MANIFEST, **{field: value}))  # type: ignore[arg-type]
    assert finding == Finding("update-manifest", f"{WHERE}, {field}", str(getattr(RECORDED, field)), str(value))


# -- the devices' updates -------------------------------------------------------------------------------------------


def test_an_index_as_signed_has_no_findings() -> None:
    assert index() == []


@pytest.mark.parametrize(
    "change",
    [
        {"twin": twin_id("gait")},
        {"round": 1},
        {"station": OTHER_STATION},
        {"base": sha256_digest(b"other")},
        {"digest": sha256_digest(b"other")},
        {"examples": 11},
        {"domain": SigningDomain(1, DOMAIN.contract)},
        {"domain": SigningDomain(31337, STATION)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_signature_under_any_other_statement_is_a_replay(change: dict[str, Any]) -> None:
    replayed = (signed(KEYS[0], 10, **change), *UPDATES[1:])
    manifest = replace(MANIFEST, contributions=root_of(replayed))
    (finding,) = index(replayed, manifest=manifest)
    assert (finding.check, finding.where) == ("device-signature", f"{WHERE}, device {ROSTER[0]}")
    assert finding.expected == f"signed by {ROSTER[0]}"
    assert finding.got.startswith("recovers to 0x")


def test_a_device_outside_the_roster_is_found_twice_over() -> None:
    findings = index(roster=ROSTER[:2])
    root = roster_tree(ROSTER[:2]).root
    assert findings == [
        Finding("roster", WHERE, f"devices under root {ROOT}", f"devices under root {root}"),
        Finding(
            "roster",
            f"{WHERE}, device {ROSTER[2]}",
            "a device of the station's roster",
            "a device that isn't in it",
        ),
    ]


def test_a_station_that_had_set_no_roster_has_no_devices() -> None:
    assert index(roster_root=None) == [
        Finding("roster", WHERE, "devices under root None", f"devices under root {ROOT}")
    ]
    empty = index(roster=(), roster_root=None)
    assert [finding.check for finding in empty] == ["roster"] * 3


def test_an_index_without_contributions_is_found() -> None:
    findings = index((), tuple(missing(device) for device in ROSTER))
    assert findings == [Finding("contributions", WHERE, "at least one device", "an empty index")]


def test_attack_a_device_left_out_without_a_reason_is_found() -> None:
    told = replace(MANIFEST, contributions=root_of(UPDATES[:2]), devices=2, examples=21)
    place = f"{WHERE}, device {ROSTER[2]}"
    expected = Finding("omitted", place, "its contribution, or the reason why it was rejected", "neither")
    assert index(UPDATES[:2], manifest=told) == [expected]
    assert index(UPDATES[:2], (missing(ROSTER[2]),), manifest=replace(told, rejected=1)) == []


def test_attack_a_rejection_of_a_device_that_was_never_enrolled_is_found() -> None:
    findings = index(UPDATES, (missing(OTHER_STATION),), manifest=replace(MANIFEST, rejected=1))
    place = f"{WHERE}, device {OTHER_STATION}"
    assert findings == [Finding("roster", place, "a device of the roster", "a rejection of another's")]


def test_a_number_of_rejections_other_than_told_is_found() -> None:
    assert index(manifest=replace(MANIFEST, rejected=2)) == [Finding("contributions", f"{WHERE}, rejected", "2", "0")]


def test_the_round_that_was_trained_for_is_the_one_that_was_signed_for() -> None:
    # An update that counts later than it was trained is held against its training.
    assert index(manifest=replace(MANIFEST, round=5)) == []
    assert {finding.check for finding in index(manifest=replace(MANIFEST, trained_round=1))} == {"device-signature"}


def test_a_device_left_out_shows_in_root_devices_and_examples() -> None:
    assert index(UPDATES[:2], (missing(ROSTER[2]),), manifest=replace(MANIFEST, rejected=1)) == [
        Finding("contributions", f"{WHERE}, {key}", expected, got)
        for key, expected, got in (
            ("Merkle root", str(MANIFEST.contributions), str(root_of(UPDATES[:2]))),
            ("devices", "3", "2"),
            ("examples", "33", "21"),
        )
    ]


def test_a_signature_that_is_none_does_not_hide_the_findings_after_it() -> None:
    broken = (replace(UPDATES[0], signature=b""), replace(UPDATES[1], signature=UPDATES[2].signature), UPDATES[2])
    places = [(finding.check, finding.where) for finding in index(broken)]
    assert places == [
        ("device-signature", f"{WHERE}, device {ROSTER[0]}"),
        ("device-signature", f"{WHERE}, device {ROSTER[1]}"),
        ("contributions", f"{WHERE}, Merkle root"),
    ]


# -- a final model --------------------------------------------------------------------------------------------------


def test_a_final_models_manifest_as_the_chain_has_it_has_no_findings() -> None:
    assert list(check_model_manifest(FINAL, ACCEPTED, MERGED)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("twin", twin_id("gait")),
        ("round", 3),
        ("parent", None),
        ("updates", MERGED.updates[:1]),
        ("updates", MERGED.updates[::-1]),
        ("updates", (*MERGED.updates, MERGED.updates[0])),
        ("examples", 41),
    ],
)
def test_every_field_of_a_final_model_is_held_against_the_chain(field: str, value: object) -> None:
    (finding,) = check_model_manifest(FINAL, ACCEPTED, replace(MERGED, **{field: value}))  # type: ignore[arg-type]
    assert (finding.check, finding.where) == ("model-manifest", f"round 2, {field}")


def test_a_model_is_of_the_schema_and_finite() -> None:
    schema = {"w": [2]}
    assert list(check_model(model(1, 2), schema, "here")) == []
    assert [f.check for f in check_model(model(1, 2, 3), schema, "here")] == ["schema"]
    assert [f.check for f in check_model(model(1, np.nan), schema, "here")] == ["finite"]
    assert [f.check for f in check_model(model(1, -np.inf, 3), schema, "here")] == ["schema", "finite"]


# -- recomputing ----------------------------------------------------------------------------------------------------


def test_an_aggregate_that_is_recomputed_alike_has_no_findings() -> None:
    inputs = [(model(0.1, 0.2), 3), (model(0.3, 0.7), 5)]
    assert list(check_recomputed("tier-2", "here", weighted_mean(inputs), lambda: weighted_mean(inputs))) == []


def test_one_unit_in_the_last_place_is_another_model() -> None:
    exact = model(1, 2)
    off = TwinModel({"w": np.nextafter(exact.tensors["w"], np.float32(9), dtype=np.float32)})
    (finding,) = check_recomputed("tier-2", "here", off, lambda: exact)
    assert finding.expected == "the aggregate of the recorded updates, bit for bit (2 parameters)"
    assert finding.got == "another model (2 values differ, by up to 2.38e-07)"


@pytest.mark.parametrize(
    ("expected", "got", "text"),
    [
        (0.0, -0.0, "1 values differ, by up to 0"),
        (np.inf, -np.inf, "1 values differ, by up to inf"),
        (np.nan, 1.0, "1 values differ, by up to nan"),
    ],
)
def test_values_are_counted_as_they_are_compared_by_their_bits(expected: float, got: float, text: str) -> None:
    # Both also have an infinity in common: its difference from itself is no number, and must not count.
    (finding,) = check_recomputed("tier-2", "here", model(got, np.inf), lambda: model(expected, np.inf))
    assert finding.got == f"another model ({text})"


def test_another_schema_is_another_model() -> None:
    (finding,) = check_recomputed("tier-1", "here", model(1), lambda: model(1, 2))
    assert finding.got == "another model (of another schema)"


@pytest.mark.parametrize("error", [AggregationError("cannot"), SchemaError("cannot")])
def test_what_cannot_be_aggregated_is_a_finding(error: Exception) -> None:
    def fail() -> TwinModel:
        raise error

    assert list(check_recomputed("tier-1", "here", model(1), fail)) == [
        Finding("tier-1", "here", "inputs that can be aggregated", "cannot")
    ]


def test_a_defect_of_ours_is_no_finding() -> None:
    def fail() -> TwinModel:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(check_recomputed("tier-1", "here", model(1), fail))


def test_a_digest_is_compared_as_text() -> None:
    assert list(compare("c", "w", {"d": Digest("0x00")}, {"d": "0x00"})) == []
