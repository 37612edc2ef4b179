"""One's own copy of an artifact: what a holder proves possession of, read from its own disk or node and nowhere else.

A store looks for bytes wherever they are; a holder that proved what others have would prove nothing of itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from twins.errors import ArtifactNotFoundError, StoreError
from twins.store import DirectoryStore
from twins.types import Cid


class Reader(Protocol):
    """An artifact's bytes, a part at a time."""

    @property
    def length(self) -> int:
        """How many bytes."""

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset``; fewer only where the artifact ends.

        Raises:
            TwinsError: they aren't here, or are others.
        """


class Holding(ABC):
    """Where a holder has its own copies."""

    @abstractmethod
    def keep(self, cid: Cid, fetch: Callable[[], bytes]) -> None:
        """Make sure that the artifact is here for good, whole; ``fetch`` brings its bytes, checked, if it isn't.

        Raises:
            TwinsError: it can't be fetched, or not be kept.
        """

    @abstractmethod
    def open(self, cid: Cid) -> Reader:
        """Open the copy that is here.

        Raises:
            ArtifactNotFoundError: none is.
            StoreError: the store fails.
        """


class DirectoryHolding(Holding):
    """Copies in a folder: the embedded profile's, which all stations of a process share."""

    def __init__(self, store: DirectoryStore) -> None:
        """Hold what is in this store."""
        self._store = store

    def keep(self, cid: Cid, fetch: Callable[[], bytes]) -> None:
        """Put the bytes there; what is there good stays, what has rotted is replaced."""
        if not self._store.has(cid):
            self._store.put(fetch())

    def open(self, cid: Cid) -> Reader:
        """Open the file; its bytes aren't held against the CID: that is what a proof is for."""
        path = self._store.path_of(cid)
        try:
            return _FileReader(path, path.stat().st_size)
        except FileNotFoundError as error:
            raise ArtifactNotFoundError(cid, f"not in {path.parent.parent}") from error
        except OSError as error:
            raise StoreError(f"cannot read artifact {cid}: {error.strerror}") from error


@dataclass(frozen=True)
class _FileReader:
    """A file, opened for each reading: nothing is kept open between two slots."""

    path: Path
    length: int

    def read(self, offset: int, size: int) -> bytes:
        """Return a part of it."""
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}") from error
