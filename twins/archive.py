"""Manifests and models in an artifact store: reading what a digest names, writing before anything names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from twins import canonical
from twins.content import cid_of_digest
from twins.encryption import Keyring, encryption_context
from twins.errors import FormatError, ManifestError
from twins.manifest import ArtifactRef, Manifest, StationUpdateManifest
from twins.model import TwinModel
from twins.remembered import remember
from twins.store import ArtifactStore
from twins.types import Address, Cid, Digest, parse_address, sha256_digest
from twins.updates import ContributionIndex, DeviceUpdate, Entry, decode_payloads, device_order

_M = TypeVar("_M", bound=Manifest)

_REMEMBERED = 1024  # digests of artifacts


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
        actual = (len(data), _digest_of(ref.cid, data))
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

    def index(self, ref: ArtifactRef) -> ContributionIndex:
        """Fetch what a station tells of its devices.

        Raises:
            ArtifactError, ManifestError: as `artifact`.
            BundleError: its bytes are no index.
        """
        return ContributionIndex.from_bytes(self.artifact(ref))

    def payloads(
        self, update: Digest, manifest: StationUpdateManifest, entries: Sequence[Entry], keyring: Keyring
    ) -> tuple[tuple[DeviceUpdate, ...], bytes]:
        """Fetch a station's device updates, and open them if they are sealed.

        Args:
            update: digest of the manifest.
            manifest: the station's.
            entries: of its index; every update is held against its own.
            keyring: the keys at hand.

        Returns:
            The updates in the order of the entries, and the seed of the rule's noise (empty without any).

        Raises:
            ArtifactError, ManifestError: as `artifact`.
            NoGrantError: sealed, and no key at hand may read them.
            SealError: a key at hand may, and they don't open.
            BundleError: not the updates that the entries name.
        """
        data = self.artifact(manifest.payloads)
        if manifest.encryption is not None:
            context = encryption_context(manifest.twin, manifest.trained_round, manifest.station)
            data = keyring.open(update, manifest.encryption, context, data)
        return decode_payloads(data, entries)

    def put(self, data: bytes) -> ArtifactRef:
        """Store bytes and return the reference to them."""
        cid = self.store.put(data)
        return ArtifactRef(cid, len(data), _digest_of(cid, data))

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


_digests: dict[Cid, Digest] = {}


def _digest_of(cid: Cid, data: bytes) -> Digest:
    """Return the SHA-256 of bytes that were held against their CID: equal CIDs, equal bytes, equal digests.

    So bytes that a station's process has hashed when it stored them are hashed once by each voter, not twice.
    """
    found = _digests.get(cid)
    return remember(_digests, cid, sha256_digest(data), _REMEMBERED) if found is None else found


def _ascending(devices: tuple[Address, ...]) -> tuple[Address, ...]:
    return tuple(sorted(set(devices), key=device_order))
