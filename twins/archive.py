"""Manifests and models in an artifact store: reading what a digest names, writing before anything names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from twins import canonical
from twins.content import cid_of_digest
from twins.errors import FormatError, ManifestError
from twins.manifest import ArtifactRef, Manifest
from twins.model import TwinModel
from twins.store import ArtifactStore
from twins.types import Address, Digest, parse_address, sha256_digest
from twins.updates import device_order

_M = TypeVar("_M", bound=Manifest)


@dataclass(frozen=True)
class Archive:
    """An artifact store, read and written by the meaning of its artifacts."""

    store: ArtifactStore

    def manifest(self, kind: type[_M], digest: Digest) -> _M:
        """Fetch and parse the manifest that ``digest`` names.

        Raises:
            ArtifactError: missing, or other bytes.
            ManifestError: its bytes are no manifest of this kind.
        """
        return kind.from_bytes(self.store.get(cid_of_digest(digest)))

    def artifact(self, ref: ArtifactRef) -> bytes:
        """Fetch an artifact that a manifest names, holding it against all that the manifest says of it.

        Raises:
            ArtifactError: missing, or other bytes.
            ManifestError: CID, size and SHA-256 of the reference don't belong to the same bytes.
        """
        data = self.store.get(ref.cid)
        actual = (len(data), sha256_digest(data))
        if actual != (ref.size, ref.sha256):
            raise ManifestError(
                f"reference to artifact {ref.cid}: expected {ref.size} bytes with SHA-256 {ref.sha256}, "
                f"got {actual[0]} bytes with {actual[1]}"
            )
        return data

    def model(self, ref: ArtifactRef) -> TwinModel:
        """Fetch a model that a manifest names.

        Raises:
            ArtifactError, ManifestError: as `artifact`.
            ModelFormatError: its bytes are no model.
        """
        return TwinModel.from_bytes(self.artifact(ref))

    def roster(self, ref: ArtifactRef) -> tuple[Address, ...]:
        """Fetch a station's roster.

        Raises:
            ArtifactError: missing, or other bytes.
            ManifestError: no list of addresses strictly ascending.
        """
        data = self.artifact(ref)
        try:
            body = canonical.decode(data)
            if not isinstance(body, list):
                raise FormatError(f"expected a list of addresses, got {type(body).__name__}")
            devices = tuple(parse_address(entry) for entry in body)
        except FormatError as error:
            raise ManifestError(f"roster {ref.cid}: {error}") from error
        if _ascending(devices) != devices:
            raise ManifestError(f"roster {ref.cid}: expected addresses strictly ascending")
        return devices

    def put(self, data: bytes) -> ArtifactRef:
        """Store bytes and return the reference to them."""
        ref = ArtifactRef.of(data)
        self.store.put(data)
        return ref

    def put_manifest(self, manifest: Manifest) -> Digest:
        """Store a manifest and return its digest. Store what it names first."""
        data = manifest.to_bytes()
        self.store.put(data)
        return sha256_digest(data)

    def put_roster(self, devices: tuple[Address, ...]) -> ArtifactRef:
        """Store a station's roster, whatever the order of its devices.

        Raises:
            ManifestError: a device twice; nobody could read that roster.
        """
        roster = _ascending(devices)
        if len(roster) != len(devices):
            raise ManifestError(f"expected devices that differ, got {len(devices)} of which {len(roster)} differ")
        return self.put(canonical.encode(roster))


def _ascending(devices: tuple[Address, ...]) -> tuple[Address, ...]:
    return tuple(sorted(set(devices), key=device_order))
