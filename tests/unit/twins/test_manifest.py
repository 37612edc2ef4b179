"""Manifests: every kind there and back, then every field missing, unknown or of another type."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.twins.strategies import MAX_SAFE, json_values, manifests
from twins import canonical, manifest
from twins.aggregation import WEIGHTED_MEAN, Rule
from twins.content import CHUNK, cid_of, cid_of_digest, digest_of_cid
from twins.encryption import ALGORITHM, Encryption, Grant, parse_reader_id
from twins.errors import ManifestError
from twins.manifest import (
    ArtifactRef,
    Manifest,
    StationUpdateManifest,
    TagsManifest,
    TwinManifest,
    TwinModelManifest,
    TwinPolicy,
    UpdateRef,
)
from twins.nodes import NodesManifest
from twins.types import Digest, address_of_bytes, twin_id

pytestmark = pytest.mark.unit

D = Digest("0x" + "11" * 32)
STATION = address_of_bytes(bytes.fromhex("0aBc" * 10))
REF = ArtifactRef.of(b"artifact")
READER = parse_reader_id("0x" + "22" * 32)
POLICY = TwinPolicy(max_update_norm=0.5, max_staleness=3, sealed=True)

EXAMPLES: list[Manifest] = [
    TwinManifest("plant/pump", {"w": [2, 3]}, WEIGHTED_MEAN, POLICY, {"epochs": 1}),
    StationUpdateManifest(
        twin=twin_id("plant/pump"),
        round=3,
        trained_round=3,
        station=STATION,
        base_round=2,
        base=D,
        rule=Rule("flwr/FedAdam", "1", {"eta": 0.1}),
        model=REF,
        index=REF,
        payloads=REF,
        encryption=Encryption(ALGORITHM, READER, D, (Grant(READER, "0x" + "33" * 40),)),
        roster=REF,
        contributions=D,
        devices=4,
        rejected=1,
        examples=400,
        metrics={"loss": 0.5},
        engine={},
    ),
    TwinModelManifest(
        twin=twin_id("plant/pump"),
        round=3,
        parent=D,
        updates=(UpdateRef(STATION, D),),
        rule=WEIGHTED_MEAN,
        model=REF,
        examples=400,
        origin={},
    ),
    TagsManifest(twin=twin_id("plant/pump"), model=D, artifact=REF, key=D, block=16_384, root=D, tags=REF),
    NodesManifest(station=STATION, devices=5, nodes=REF),
]
KINDS: list[type[Manifest]] = list(manifests)
by_kind = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.KIND)

ACCEPTS: dict[str, Any] = {
    "TwinId": lambda v: False,
    "Digest": lambda v: False,
    "Digest | None": lambda v: v is None,
    "Address": lambda v: False,
    "Cid": lambda v: False,
    "str": lambda v: isinstance(v, str),
    "int": lambda v: type(v) is int and v >= 0,
    "bool": lambda v: type(v) is bool,
    "float | None": lambda v: v is None or (type(v) in (int, float) and v > 0),
    "Mapping[str, Json]": lambda v: isinstance(v, dict),
    "Rule": lambda v: False,
    "TwinPolicy": lambda v: False,
    "ReaderId": lambda v: False,
    "Encryption | None": lambda v: v is None,
    "tuple[Grant, ...]": lambda v: v == [],
    "ArtifactRef": lambda v: False,
    "tuple[UpdateRef, ...]": lambda v: v == [],
}
"""Which of WRONG a field of each type takes after all."""

NARROWER = {"algorithm": "cannot open what is sealed with", "wrapped": "grant: expected"}
"""Texts that are one of few: none of WRONG, and what their refusal says."""

WRONG: list[Any] = [
    None,
    True,
    False,
    -1,
    1,
    1.5,
    2.0**53,
    "",
    "text",
    "0x" + "AB" * 32,
    STATION.lower(),
    REF.cid.upper(),
    [],
    [1],
    [{}],
    {},
    {"cid": 1},
]


def body(of: Manifest) -> dict[str, Any]:
    return json.loads(of.to_bytes())  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_manifest_comes_back_with_its_digest(kind: type[Manifest], data: st.DataObject) -> None:
    original = data.draw(manifests[kind])
    encoded = original.to_bytes()
    back = kind.from_bytes(encoded)
    assert back == original
    assert back.to_bytes() == encoded
    assert original.digest == "0x" + hashlib.sha256(encoded).hexdigest()
    assert cid_of(encoded) == cid_of_digest(original.digest)
    assert digest_of_cid(cid_of(encoded)) == original.digest


@by_kind
def test_the_examples_come_back(example: Manifest) -> None:
    assert type(example).from_bytes(example.to_bytes()) == example


def test_the_digest_of_a_manifest_is_as_recorded() -> None:
    """A golden: whoever changes the bytes of a manifest makes every recorded digest unreadable; raise SCHEMA."""
    assert EXAMPLES[2].to_bytes() == (
        b'{"examples":400,"kind":"twin-model","model":{"cid":"' + REF.cid.encode() + b'","sha256":"'
        b"0x" + hashlib.sha256(b"artifact").hexdigest().encode() + b'","size":8},"origin":{},"parent":"0x'
        + b"11" * 32 + b'","round":3,"rule":{"name":"twinledger/weighted-mean","parameters":{},"version":"1"},'
        b'"schema":2,"twin":"' + twin_id("plant/pump").encode() + b'","updates":[{"station":"'
        + STATION.encode() + b'","update":"0x' + b"11" * 32 + b'"}]}'
    )  # fmt: skip


def test_the_genesis_has_no_parent() -> None:
    genesis = TwinModelManifest(twin_id("a"), 0, None, (), WEIGHTED_MEAN, REF, 0, {"seed": 7})
    assert TwinModelManifest.from_bytes(genesis.to_bytes()) == genesis
    assert b'"parent":null' in genesis.to_bytes()


def test_every_field_has_a_parser_and_every_parser_a_field() -> None:
    annotations = {
        str(field.type)
        for cls in (*KINDS, ArtifactRef, UpdateRef, Rule, TwinPolicy, Encryption, Grant)
        for field in fields(cls)
    }
    assert annotations == set(manifest._PARSERS) == set(ACCEPTS)
    assert set(KINDS) == set(Manifest.__subclasses__())


def places(of: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Every field of a manifest and of what it contains: the path to it, and its type."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    for field in fields(of):
        found.append(((field.name,), str(field.type)))
        value = getattr(of, field.name)
        if isinstance(value, (ArtifactRef, Rule, TwinPolicy, Encryption)):
            found += [((field.name, *path), kind) for path, kind in places(value)]
        if isinstance(value, tuple):
            found += [((field.name, 0, *path), kind) for path, kind in places(value[0])]
    return found


PLACES = [(example, path, kind) for example in EXAMPLES for path, kind in places(example)]
every_field = pytest.mark.parametrize(
    ("example", "path", "kind"), PLACES, ids=lambda v: ".".join(map(str, v)) if isinstance(v, tuple) else ""
)


def around(content: Any, path: tuple[str | int, ...]) -> Any:
    """What contains the field at ``path``."""
    for step in path[:-1]:
        content = content[step]
    return content


@every_field
def test_a_field_of_another_type_is_refused_by_name(example: Manifest, path: Any, kind: str) -> None:
    for wrong in WRONG:
        content = body(example)
        around(content, path)[path[-1]] = wrong
        data = canonical.encode(content)
        narrower = NARROWER.get(path[-1]) if isinstance(wrong, str) else None
        if ACCEPTS[kind](wrong) and not narrower:
            assert type(example).from_bytes(data).to_bytes() == data
        else:
            with pytest.raises(ManifestError, match=narrower or str(path[-1])):
                type(example).from_bytes(data)


@every_field
def test_a_field_missing_or_unknown_is_refused_by_name(example: Manifest, path: Any, kind: str) -> None:
    content = body(example)
    value = around(content, path).pop(path[-1])
    with pytest.raises(ManifestError, match="expected the fields"):
        type(example).from_bytes(canonical.encode(content))
    around(content, path)[f"{path[-1]}2"] = value
    with pytest.raises(ManifestError, match=f"{path[-1]}2"):
        type(example).from_bytes(canonical.encode(content))
    around(content, path)[path[-1]] = value
    with pytest.raises(ManifestError, match=f"{path[-1]}2"):
        type(example).from_bytes(canonical.encode(content))


@by_kind
@pytest.mark.parametrize(
    "change",
    [
        {"kind": "another"},
        {"kind": None},
        {"kind": ["twin"]},
        {"schema": 1},
        {"schema": 3},
        {"schema": 0},
        {"schema": "2"},
        {"schema": True},
        {"schema": 2.5},
        {"schema": None},
    ],
    ids=str,
)
def test_another_kind_or_schema_is_refused(example: Manifest, change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=f"expected a {example.KIND} manifest of schema 2"):
        type(example).from_bytes(canonical.encode(body(example) | change))


def test_a_manifest_of_the_first_schema_is_refused_saying_which_is_expected() -> None:
    first = {
        "kind": "twin",
        "merge_rule": {"name": "twinledger/weighted-mean", "parameters": {}, "version": "1"},
        "model_schema": {"w": [2, 3]},
        "name": "plant/pump",
        "schema": 1,
        "task": {},
    }
    with pytest.raises(ManifestError, match="expected a twin manifest of schema 2, got twin of 1"):
        TwinManifest.from_bytes(canonical.encode(first))


@by_kind
def test_a_manifest_of_one_kind_is_no_other(example: Manifest) -> None:
    for kind in KINDS:
        if kind is not type(example):
            with pytest.raises(ManifestError, match="expected a"):
                kind.from_bytes(example.to_bytes())


@by_kind
def test_a_second_spelling_is_refused(example: Manifest) -> None:
    for data in (
        json.dumps(body(example)).encode(),
        json.dumps(body(example), separators=(",", ":"), sort_keys=False).encode() + b"\n",
        example.to_bytes().replace(b":", b": ", 1),
        example.to_bytes().replace(b'{"', b'{"kind":"x","', 1),
    ):
        with pytest.raises(ManifestError):
            type(example).from_bytes(data)


@by_kind
def test_a_manifest_cut_short_anywhere_is_refused(example: Manifest) -> None:
    data = example.to_bytes()
    for length in range(len(data)):
        with pytest.raises(ManifestError):
            type(example).from_bytes(data[:length])


@given(st.sampled_from(KINDS), json_values.map(canonical.encode) | st.binary(max_size=50))
def test_whatever_the_bytes_nothing_but_a_manifest_error_escapes(kind: type[Manifest], data: bytes) -> None:
    with pytest.raises(ManifestError):
        kind.from_bytes(data)


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_damaged_manifest_is_refused_or_is_the_only_spelling_of_another(
    example: Manifest, data: st.DataObject
) -> None:
    damaged = bytearray(example.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = type(example).from_bytes(bytes(damaged))
    except ManifestError:
        return
    assert back.to_bytes() == damaged


def test_the_largest_counts_pass_and_larger_ones_are_refused() -> None:
    content = body(EXAMPLES[1]) | {"examples": MAX_SAFE}
    assert StationUpdateManifest.from_bytes(canonical.encode(content)).examples == MAX_SAFE
    data = canonical.encode(content).replace(str(MAX_SAFE).encode(), str(MAX_SAFE + 1).encode())
    with pytest.raises(ManifestError, match=r"station-update\.examples"):
        StationUpdateManifest.from_bytes(data)


def test_a_manifest_of_more_than_one_block_is_refused() -> None:
    room = CHUNK - len(TwinManifest("", {}, WEIGHTED_MEAN, POLICY, {}).to_bytes())
    fitting = TwinManifest("x" * room, {}, WEIGHTED_MEAN, POLICY, {})
    assert len(fitting.to_bytes()) == CHUNK
    assert digest_of_cid(cid_of(fitting.to_bytes())) == fitting.digest
    with pytest.raises(ManifestError, match="at most 1048576"):
        TwinManifest("x" * (room + 1), {}, WEIGHTED_MEAN, POLICY, {}).to_bytes()


def test_the_order_of_keys_in_free_fields_does_not_show() -> None:
    one = TwinManifest("a", {"v": [1], "w": []}, WEIGHTED_MEAN, POLICY, {"x": 1, "y": 2})
    other = TwinManifest("a", {"w": [], "v": [1]}, WEIGHTED_MEAN, POLICY, {"y": 2, "x": 1})
    assert one.digest == other.digest
