"""Manifests: canonical JSON that says what an artifact is and what it was made from.

The SHA-256 of a manifest's bytes is its name on the chain (``bytes32``), inside its CID (CIDv1, raw) and in other
manifests. A manifest carries only what every honest party derives alike: no clock, no path, no host.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self, TypeVar

from twins import canonical
from twins.aggregation import Rule
from twins.canonical import Json
from twins.content import CHUNK, cid_of, parse_cid
from twins.encryption import Encryption, Grant, parse_reader_id
from twins.errors import FormatError, ManifestError
from twins.types import (
    Address,
    Cid,
    Digest,
    TwinId,
    parse_address,
    parse_digest,
    sha256_digest,
)

_T = TypeVar("_T")

SCHEMA = 2
"""Version of all manifest kinds below. Version 1 had no policy, no rejections and nothing sealed."""


@dataclass(frozen=True)
class ArtifactRef:
    """Bytes that a manifest names: where (CID), how many, and their SHA-256."""

    cid: Cid
    size: int
    sha256: Digest

    @classmethod
    def of(cls, data: bytes) -> ArtifactRef:
        """Name these bytes."""
        return cls(cid_of(data), len(data), sha256_digest(data))


@dataclass(frozen=True)
class Manifest:
    """What all kinds have in common.

    Laws: ``K.from_bytes(k.to_bytes()) == k``; equal manifests have equal digests.
    """

    KIND: ClassVar[str]

    def to_bytes(self) -> bytes:
        """Return the canonical bytes.

        Raises:
            ManifestError: more than one block (1 MiB): its digest would not be its CID.
        """
        data = canonical.encode({"kind": self.KIND, "schema": SCHEMA, **asdict(self)})
        if len(data) > CHUNK:
            raise ManifestError(f"{self.KIND} manifest of {len(data)} bytes: expected at most {CHUNK}")
        return data

    @property
    def digest(self) -> Digest:
        """SHA-256 of the bytes."""
        return sha256_digest(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse and check every field.

        Raises:
            ManifestError: not canonical, another kind or schema, a field missing, unknown or of another type.
        """
        try:
            body = canonical.decode(data)
            if not isinstance(body, dict):
                raise ManifestError(f"expected a {cls.KIND} manifest, got {type(body).__name__}")
            kind, schema = body.pop("kind", None), body.pop("schema", None)
            # True equals 1: without the type a manifest would have a second spelling, and a second digest.
            if (kind, schema, type(schema)) != (cls.KIND, SCHEMA, int):
                raise ManifestError(f"expected a {cls.KIND} manifest of schema {SCHEMA}, got {kind} of {schema}")
            return _build(cls, body, cls.KIND)
        except FormatError as error:
            if isinstance(error, ManifestError):
                raise
            raise ManifestError(f"{cls.KIND} manifest: {error}") from error


@dataclass(frozen=True)
class TwinPolicy:
    """What a twin asks of every update; stations and auditors hold updates against it.

    Attributes:
        max_update_norm: how far training may move a model (`twins.updates.update_norm`); None for no bound.
        max_staleness: rounds that the model which was trained on may be behind the head; 0 for fresh updates only.
        sealed: whether stations encrypt their devices' updates.
    """

    max_update_norm: float | None
    max_staleness: int
    sealed: bool


@dataclass(frozen=True)
class TwinManifest(Manifest):
    """What a twin is: registered with the twin, the same for all its rounds.

    Attributes:
        name: the twin's name; its id on the chain is derived from it.
        model_schema: tensor name to shape.
        merge_rule: how stations' models become the twin's (tier 2).
        policy: what the twin asks of every update.
        task: what is learnt and how: data set, split, strategy and its arguments, training configuration. Whoever
            continues the twin continues this.
    """

    KIND = "twin"
    name: str
    model_schema: Mapping[str, Json]
    merge_rule: Rule
    policy: TwinPolicy
    task: Mapping[str, Json]


@dataclass(frozen=True)
class StationUpdateManifest(Manifest):
    """A station's update of one round: what stands behind `RoundLedger.submitUpdate`.

    Attributes:
        round: in which the update counts.
        trained_round: for which the devices trained and signed: earlier than ``round`` when it came late.
        base_round: the round whose model the devices trained on; ``base`` is its manifest.
        rule: how the devices' updates were aggregated (tier 1).
        model: the tier-1 aggregate.
        index: who contributed, and who didn't and why (`twins.updates.ContributionIndex`).
        payloads: the devices' updates (`twins.updates.encode_payloads`), sealed if ``encryption`` says so.
        encryption: how; None when they lie open.
        roster: canonical JSON list of the station's devices, ascending; its Merkle root is in the registry.
        contributions: Merkle root over the devices' contributions.
        devices: how many contributed.
        rejected: how many of the roster didn't.
        examples: sum of their training examples.
        metrics: what the station measured.
        engine: what computed it.
    """

    KIND = "station-update"
    twin: TwinId
    round: int
    trained_round: int
    station: Address
    base_round: int
    base: Digest
    rule: Rule
    model: ArtifactRef
    index: ArtifactRef
    payloads: ArtifactRef
    encryption: Encryption | None
    roster: ArtifactRef
    contributions: Digest
    devices: int
    rejected: int
    examples: int
    metrics: Mapping[str, Json]
    engine: Mapping[str, Json]


@dataclass(frozen=True)
class UpdateRef:
    """One accepted station update, as a parent of a model."""

    station: Address
    update: Digest


@dataclass(frozen=True)
class TwinModelManifest(Manifest):
    """A version of the twin's model: what stations attest to and what the head names.

    Attributes:
        round: 0 for the genesis.
        parent: the former head, None for the genesis.
        updates: the accepted station updates, ascending by station.
        rule: how they were merged (tier 2).
        model: the weights.
        examples: training examples behind this version.
        origin: how the genesis was made; empty in later rounds.
    """

    KIND = "twin-model"
    twin: TwinId
    round: int
    parent: Digest | None
    updates: tuple[UpdateRef, ...]
    rule: Rule
    model: ArtifactRef
    examples: int
    origin: Mapping[str, Json]


@dataclass(frozen=True)
class TagsManifest(Manifest):
    """The tags of one version in one tagger's lane: what stands behind `SyncAudit.registerTags`.

    Attributes:
        model: manifest of the version.
        artifact: what was tagged.
        key: of the tagger.
        block: bytes of a block.
        root: tree hash over the blocks (RFC 6962, section 2.1).
        tags: the file of tags.
    """

    KIND = "tags"
    twin: TwinId
    model: Digest
    artifact: ArtifactRef
    key: Digest
    block: int
    root: Digest
    tags: ArtifactRef


_PARSERS: dict[str, Any] = {
    "TwinId": lambda v: TwinId(parse_digest(v)),
    "Digest": parse_digest,
    "Digest | None": lambda v: None if v is None else parse_digest(v),
    "Address": parse_address,
    "Cid": lambda v: _cid(v),
    "str": lambda v: _typed(v, str),
    "int": lambda v: _natural(v),
    "bool": lambda v: _typed(v, bool),
    "float | None": lambda v: None if v is None else _positive(v),
    "Mapping[str, Json]": lambda v: _typed(v, dict),
    "Rule": lambda v: _build(Rule, v, "rule"),
    "TwinPolicy": lambda v: _build(TwinPolicy, v, "policy"),
    "ReaderId": parse_reader_id,
    "Encryption | None": lambda v: None if v is None else _build(Encryption, v, "encryption"),
    "tuple[Grant, ...]": lambda v: tuple(_build(Grant, item, "grant") for item in _typed(v, list)),
    "ArtifactRef": lambda v: _build(ArtifactRef, v, "artifact"),
    "tuple[UpdateRef, ...]": lambda v: tuple(_build(UpdateRef, item, "update") for item in _typed(v, list)),
}
"""Every type that a field above may have, by its annotation's text; a test holds the two together."""


def _build(cls: type[_T], body: Json, what: str) -> _T:
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    if not isinstance(body, dict) or set(body) != names:
        got = sorted(body) if isinstance(body, dict) else type(body).__name__
        raise ManifestError(f"{what}: expected the fields {sorted(names)}, got {got}")
    values = {}
    for field in fields(cls):  # type: ignore[arg-type]
        try:
            values[field.name] = _PARSERS[str(field.type)](body[field.name])
        except FormatError as error:
            raise ManifestError(f"{what}.{field.name}: {error}") from error
    return cls(**values)


def _typed(value: Json, kind: type) -> Json:
    if type(value) is not kind:
        raise ManifestError(f"expected {kind.__name__}, got {value!r}")
    return value


def _cid(value: Json) -> Cid:
    text = _typed(value, str)
    parse_cid(text)
    return Cid(text)


def _natural(value: Json) -> int:
    if type(value) is not int or value < 0:
        raise ManifestError(f"expected a whole number from 0, got {value!r}")
    return value


def _positive(value: Json) -> float:
    # Canonical JSON writes 5.0 as 5.
    if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
        raise ManifestError(f"expected a number above 0, got {value!r}")
    return float(value)
