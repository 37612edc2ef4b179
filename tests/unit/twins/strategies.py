"""Values of twins, drawn at random: what the laws are tried on."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from twins.aggregation import Rule
from twins.content import cid_of_digest
from twins.contribution import Contribution
from twins.manifest import (
    ArtifactRef,
    Manifest,
    StationUpdateManifest,
    TwinManifest,
    TwinModelManifest,
    UpdateRef,
)
from twins.model import TwinModel
from twins.types import TwinId, address_of_bytes, digest_of_bytes
from twins.updates import DeviceUpdate, device_order

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

device_updates = st.builds(
    DeviceUpdate,
    device=addresses,
    examples=naturals,
    payload=st.binary(max_size=40),
    signature=st.binary(max_size=65),
)


def bundles(min_size: int = 0) -> st.SearchStrategy[tuple[DeviceUpdate, ...]]:
    """Device updates as `encode_bundle` takes them."""
    return st.lists(device_updates, min_size=min_size, max_size=4, unique_by=lambda u: u.device).map(
        lambda updates: tuple(sorted(updates, key=lambda u: device_order(u.device)))
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
        task=json_objects,
    ),
    StationUpdateManifest: st.builds(
        StationUpdateManifest,
        twin=twin_ids,
        round=naturals,
        station=addresses,
        base_round=naturals,
        base=digests,
        rule=rules,
        model=artifact_refs,
        bundle=artifact_refs,
        roster=artifact_refs,
        contributions=digests,
        devices=naturals,
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
}
"""Strategy of every kind of manifest."""
