"""Values of twins, drawn at random: what the laws are tried on."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from twins.aggregation import Rule
from twins.content import cid_of_digest
from twins.contribution import Attestation, Contribution, Receipt, Statement
from twins.encryption import ALGORITHM, Encryption, Grant, parse_reader_id
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
from twins.model import TwinModel
from twins.nodes import NodesManifest
from twins.types import TwinId, address_of_bytes, digest_of_bytes
from twins.updates import (
    NOISE,
    ContributionIndex,
    DeviceUpdate,
    Entry,
    Rejection,
    RejectionReason,
    device_order,
    one_line,
)

MAX_SAFE = 2**53 - 1

addresses = st.binary(min_size=20, max_size=20).map(address_of_bytes)
digests = st.binary(min_size=32, max_size=32).map(digest_of_bytes)
twin_ids = digests.map(TwinId)
naturals = st.integers(0, MAX_SAFE)
uint64s = st.integers(0, 2**64 - 1)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE, MAX_SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
json_objects = st.dictionaries(st.text(max_size=10), json_values, max_size=4)

_shapes = st.just(()) | array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
tensor_names = st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__")


def tensors(elements: st.SearchStrategy[float] | None = None) -> st.SearchStrategy[np.ndarray]:
    """float32 arrays; without ``elements``, of any bits: NaN of every kind, infinities, -0.0, subnormals."""
    if elements is None:
        return arrays(np.uint32, _shapes).map(lambda bits: bits.view(np.float32))
    return arrays(np.float32, _shapes, elements=elements)


models = st.dictionaries(tensor_names, tensors(), min_size=1, max_size=4).map(TwinModel)

contributions = st.builds(
    Contribution,
    twin=twin_ids,
    round=uint64s,
    station=addresses,
    base=digests,
    digest=digests,
    examples=uint64s,
)

statements: dict[type[Statement], st.SearchStrategy[Any]] = {
    Contribution: contributions,
    Receipt: st.builds(Receipt, twin=twin_ids, round=uint64s, leaf=digests),
    Attestation: st.builds(
        Attestation, twin=twin_ids, round=st.integers(0, 2**32 - 1), model=digests, excluded=uint64s
    ),
}
"""Strategy of every kind of statement that is signed."""

device_updates = st.builds(
    DeviceUpdate,
    device=addresses,
    examples=naturals,
    payload=st.binary(max_size=40),
    signature=st.binary(max_size=65),
)
noises = st.just(b"") | st.binary(min_size=NOISE, max_size=NOISE)


def ascending(of: st.SearchStrategy[Any], min_size: int = 0, max_size: int = 4) -> st.SearchStrategy[Any]:
    """Values that have a device, each device once, in the order that the record keeps them in."""
    return st.lists(of, min_size=min_size, max_size=max_size, unique_by=lambda value: value.device).map(
        lambda values: tuple(sorted(values, key=lambda value: device_order(value.device)))
    )


def updates(min_size: int = 0) -> st.SearchStrategy[tuple[DeviceUpdate, ...]]:
    """Device updates as `encode_payloads` takes them."""
    return ascending(device_updates, min_size)


entries = st.builds(
    Entry,
    device=addresses,
    digest=digests,
    examples=st.integers(1, MAX_SAFE),
    signature=st.binary(max_size=65),
    size=naturals,
)
rejections = st.builds(
    Rejection,
    device=addresses,
    reason=st.sampled_from(RejectionReason),
    detail=st.text(max_size=30).map(one_line),
)


@st.composite
def indexes(draw: st.DrawFn, min_entries: int = 0) -> ContributionIndex:
    """Indexes of contributions as a station makes them."""
    used = draw(ascending(entries, min_entries))
    devices = {entry.device for entry in used}
    rejected = draw(ascending(rejections.filter(lambda rejection: rejection.device not in devices)))
    return ContributionIndex(used, rejected)


reader_ids = st.binary(min_size=32, max_size=32).map(lambda raw: parse_reader_id("0x" + raw.hex()))
grants = st.builds(
    Grant, reader=reader_ids, wrapped=st.binary(min_size=40, max_size=40).map(lambda raw: "0x" + raw.hex())
)
encryptions = st.builds(
    Encryption,
    algorithm=st.just(ALGORITHM),
    sender=reader_ids,
    plaintext=digests,
    grants=st.lists(grants, max_size=3).map(tuple),
)
policies = st.builds(
    TwinPolicy,
    max_update_norm=st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
    max_staleness=naturals,
    sealed=st.booleans(),
)

rules = st.builds(Rule, name=st.text(max_size=10), version=st.text(max_size=5), parameters=json_objects)
artifact_refs = st.builds(ArtifactRef, cid=digests.map(cid_of_digest), size=naturals, sha256=digests)
update_refs = st.builds(UpdateRef, station=addresses, update=digests)

manifests: dict[type[Manifest], st.SearchStrategy[Any]] = {
    TwinManifest: st.builds(
        TwinManifest,
        name=st.text(max_size=20),
        model_schema=json_objects,
        merge_rule=rules,
        policy=policies,
        task=json_objects,
    ),
    StationUpdateManifest: st.builds(
        StationUpdateManifest,
        twin=twin_ids,
        round=naturals,
        trained_round=naturals,
        station=addresses,
        base_round=naturals,
        base=digests,
        rule=rules,
        model=artifact_refs,
        index=artifact_refs,
        payloads=artifact_refs,
        encryption=st.none() | encryptions,
        roster=artifact_refs,
        contributions=digests,
        devices=naturals,
        rejected=naturals,
        examples=naturals,
        metrics=json_objects,
        engine=json_objects,
    ),
    TwinModelManifest: st.builds(
        TwinModelManifest,
        twin=twin_ids,
        round=naturals,
        parent=st.none() | digests,
        updates=st.lists(update_refs, max_size=3).map(tuple),
        rule=rules,
        model=artifact_refs,
        examples=naturals,
        origin=json_objects,
    ),
    TagsManifest: st.builds(
        TagsManifest,
        twin=twin_ids,
        model=digests,
        artifact=artifact_refs,
        key=digests,
        block=naturals,
        root=digests,
        tags=artifact_refs,
    ),
    NodesManifest: st.builds(NodesManifest, station=addresses, devices=naturals, nodes=artifact_refs),
}
"""Strategy of every kind of manifest."""
