"""Artifact stores: bytes in, CID out; bytes back only if they are those that the CID names.

`ArtifactStore` does the checking once, in its public methods; a store implements ``_put``, ``_get`` and ``_has`` and
is never believed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

from twins.content import cid_of, parse_cid
from twins.errors import ArtifactCorruptError, ArtifactNotFoundError, StoreError
from twins.types import Cid

_ABANDONED_AFTER = 3600  # seconds


class ArtifactStore(ABC):
    """Bytes named by their CID.

    Law: ``store.get(store.put(data)) == data``; ``put`` twice is ``put`` once.
    """

    def put(self, data: bytes) -> Cid:
        """Store an artifact; when this returns, its bytes can be fetched, also after a crash.

        Raises:
            StoreError: the store is full or fails.
        """
        cid = cid_of(data)
        self._put(cid, data)
        return cid

    def get(self, cid: Cid) -> bytes:
        """Fetch an artifact.

        Raises:
            ArtifactNotFoundError: it isn't here.
            ArtifactCorruptError: the store returned other bytes; they are not handed on.
            FormatError: not a CID.
            StoreError: the store fails.
        """
        parse_cid(cid)  # a CID becomes a file name or a URL: nothing else may pass
        data = self._get(cid)
        actual = cid_of(data)
        if actual != cid:
            raise ArtifactCorruptError(cid, actual)
        return data

    def has(self, cid: Cid) -> bool:
        """Tell whether the store says that it holds the artifact (its bytes are not checked)."""
        parse_cid(cid)
        return self._has(cid)

    @abstractmethod
    def _put(self, cid: Cid, data: bytes) -> None:
        """Store ``data`` under ``cid`` durably or raise StoreError."""

    @abstractmethod
    def _get(self, cid: Cid) -> bytes:
        """Return what is stored under ``cid`` or raise ArtifactNotFoundError or StoreError."""

    @abstractmethod
    def _has(self, cid: Cid) -> bool:
        """Tell whether something is stored under ``cid``."""


class DirectoryStore(ArtifactStore):
    """Artifacts as files of a directory: the embedded profile's store.

    A file appears under its CID only when all its bytes are on the disk, by an atomic rename, so a crash at any
    point leaves no half artifact that can be read. Files are spread over 256 folders by the end of the CID.
    """

    def __init__(self, path: Path) -> None:
        """Open the store in ``path``, making it if need be.

        Raises:
            StoreError: no permission, or a file is in the way.
        """
        self._path = path
        self._incoming = path / "incoming"
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise StoreError(f"cannot open the artifact store in {path}: {error.strerror}") from error

    def path_of(self, cid: Cid) -> Path:
        """Return where the artifact is, or would be."""
        parse_cid(cid)
        return self._path / cid[-2:] / cid

    def _put(self, cid: Cid, data: bytes) -> None:
        target = self.path_of(cid)
        try:
            # An existing file may have rotted: only good bytes spare the write, so `put` also heals.
            if not target.exists() or cid_of(target.read_bytes()) != cid:
                target.parent.mkdir(exist_ok=True)
                self._write(target, data)
            # The names, too, must survive a power loss before a digest is recorded: the file's and its folder's,
            # and those of a writer that was killed, or has not come so far yet.
            for folder in (target.parent, self._path):
                _sync(folder)
        except OSError as error:
            raise StoreError(
                f"cannot store artifact {cid} ({len(data)} bytes) in {self._path}: {error.strerror}; "
                "nothing was recorded, free some space or fix the folder and run again"
            ) from error

    def _sweep(self) -> None:
        """Remove what crashed writers left; a younger file may belong to a writer that is still at work."""
        for leftover in self._incoming.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
                    leftover.unlink()

    def _write(self, target: Path, data: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _get(self, cid: Cid) -> bytes:
        try:
            return self.path_of(cid).read_bytes()
        except FileNotFoundError as error:
            raise ArtifactNotFoundError(cid, f"not in {self._path}") from error
        except OSError as error:
            raise StoreError(f"cannot read artifact {cid} in {self._path}: {error.strerror}") from error

    def _has(self, cid: Cid) -> bool:
        return self.path_of(cid).is_file()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
