"""Where a consortium's local state lies: devnet, deployment, artifacts, keys, and what audits remember.

Everything is under one folder (``--home``, default ``.twinledger``), so deleting it forgets everything.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fl.keys import public_key_material, read_key
from scripts.cli import BadInputError
from twins.contribution import address_of_key
from twins.errors import TwinsError
from twins.store import DirectoryStore
from twins.types import Address, Digest, TwinId, parse_digest, twin_id


@dataclass(frozen=True)
class Home:
    """The folder of one local consortium."""

    path: Path

    @property
    def deployment(self) -> Path:
        """Deployment file."""
        return self.path / "deployment.json"

    @property
    def store_path(self) -> Path:
        """The embedded artifact store's folder."""
        return self.path / "artifacts"

    @property
    def receipts(self) -> Path:
        """Folder in which devices of this machine keep their stations' receipts."""
        return self.path / "receipts"

    @property
    def tagging_keys(self) -> Path:
        """Folder of the stations' tagging keys, each encrypted under its account."""
        return self.path / "tagging"

    def engine_of(self, twin: str) -> Path:
        """Return the file that says which engine was found fastest for a twin."""
        return self.path / "engines" / f"{twin_id(twin)}.json"

    def store(self) -> DirectoryStore:
        """Open the embedded artifact store."""
        return DirectoryStore(self.store_path)

    def device_keys(self, seed: int, count: int) -> tuple[Path, ...]:
        """Return the key files of the devnet's devices, making those that aren't there.

        The keys are derived from the run's seed, so that a run can be repeated bit for bit: they are not secret.
        Real devices bring their own (``--device-keys``).
        """
        return tuple(self.device_key(seed, index) for index in range(count))

    def device_key(self, seed: int, index: int) -> Path:
        """Return the key file of one of the devnet's devices, making it if it isn't there; as `device_keys`."""
        folder = self.path / "keys" / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / f"device-{index:04d}.key"
        if not file.exists():
            create_private(file, public_key_material(seed, index).hex())
        return file

    def remembered_head(self, twin: TwinId) -> Digest | None:
        """Return the head that the last clean audit saw.

        Raises:
            BadInputError: the file was changed by hand.
        """
        file = self._memory(twin)
        if not file.exists():
            return None
        try:
            return parse_digest(json.loads(file.read_text())["head"])
        except (ValueError, KeyError, TypeError, TwinsError) as error:
            raise BadInputError(
                f"{file}: expected what an audit wrote there, got {error}; delete it to forget"
            ) from error

    def remember_head(self, twin: TwinId, head: Digest) -> None:
        """Keep the head of a clean audit: the next one must still find it (a rolled-back chain looks whole)."""
        file = self._memory(twin)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({"head": head}) + "\n")

    def _memory(self, twin: TwinId) -> Path:
        return self.path / "audits" / f"{twin}.json"


def given_device_keys(folder: Path, count: int) -> tuple[Path, ...]:
    """Return the first ``count`` key files (``*.key``, by name) of a folder.

    Raises:
        BadInputError: fewer than that.
    """
    files = tuple(sorted(folder.glob("*.key")))
    if len(files) < count:
        raise BadInputError(f"{folder}: expected {count} files *.key (one per device), got {len(files)}")
    return files[:count]


def require_own_keys(files: Sequence[Path]) -> None:
    """Refuse key files that aren't one private key each.

    A key that two devices share would count twice, at two stations even unseen by their rosters.

    Raises:
        DataError: a file can't be read or isn't hex.
        BadInputError: no private key, or that of another file.
    """
    seen: dict[Address, Path] = {}
    for file in files:
        try:
            account = address_of_key(read_key(file))
        except TwinsError as error:
            raise BadInputError(f"device key {file}: {error}") from error
        if account in seen:
            raise BadInputError(f"device key {file}: expected a key of its own for every device, got {seen[account]}'s")
        seen[account] = file


def write_atomically(file: Path, text: str) -> None:
    """Replace a file, for its owner's eyes only, all at once: a crash leaves the old one or the new one."""
    _draft(file, text).replace(file)


def create_private(file: Path, text: str) -> bool:
    """Write a file that only its owner can read, all at once; what is there stays. Tell whether nothing was.

    Of two processes that make the same key at the same time, both go on with the first one's.
    """
    temporary = _draft(file, text + "\n")
    try:
        os.link(temporary, file)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _draft(file: Path, text: str) -> Path:
    """Write a file of mode 0600 beside another. Its name is nobody else's: another process may be writing as well."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
    except BaseException:  # a full disk isn't to fill up with drafts
        os.unlink(name)
        raise
    return Path(name)
