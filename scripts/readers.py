"""Who may read the device updates that the stations of a home seal, and the keys of its own readers.

The list is read again for every update, so that a reader can be added or revoked while stations run; what a reader
was granted before stays readable to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scripts.cli import BadInputError
from scripts.home import Home, create_private, write_atomically
from twins.encryption import Grant, Keyring, ReaderId, ReaderKey, parse_reader_id
from twins.errors import TwinsError
from twins.types import Digest, parse_digest

KEY = "auditor.key"


@dataclass(frozen=True)
class Readers:
    """The readers of one home.

    Attributes:
        home: whose.
        own: the home's auditor, who reads unless the list says otherwise.
        more: named on the command line.
    """

    home: Home
    own: ReaderId
    more: tuple[ReaderId, ...] = ()

    @classmethod
    def of(cls, home: Home, seed: int, public: bool, more: Sequence[str] = ()) -> Readers:
        """Return a home's readers, making its auditor's key if it isn't there.

        Args:
            home: whose.
            seed: of the run.
            public: on a devnet, where the auditor's key is made of the seed like every key there, so that a run can be
                repeated bit for bit; elsewhere it is drawn at random.
            more: public keys.

        Raises:
            BadInputError: no public keys, or a list or key that was changed by hand.
        """
        file = home.path / "keys" / (f"seed-{seed}/{KEY}" if public else KEY)
        if not file.exists():
            info = b"twinledger/devnet/auditor"
            key = ReaderKey.from_bytes(HKDF(SHA256(), 32, salt=None, info=info).derive(str(seed).encode()))
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            create_reader_key(file, key if public else ReaderKey.generate())
        readers = cls(home, read_reader_key(file).public, tuple(_reader(text) for text in more))
        readers()  # a list that can't be read is better told now than in mid-round
        return readers

    def __call__(self) -> tuple[ReaderId, ...]:
        """Return who gets a grant to the next update.

        Raises:
            BadInputError: the list was changed by hand.
        """
        return (*listed_readers(self.home, (self.own,)), *self.more)


ReaderSource = Callable[[], tuple[ReaderId, ...]]


def listed_readers(home: Home, default: tuple[ReaderId, ...]) -> tuple[ReaderId, ...]:
    """Return the home's list of readers, or ``default`` while it has none.

    Raises:
        BadInputError: no list of public keys.
    """
    file = _list(home)
    if not file.exists():
        return default
    try:
        return tuple(parse_reader_id(text) for text in json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, TwinsError) as error:
        raise BadInputError(f"{file}: expected a JSON list of readers' public keys, got {error}") from error


def keep_readers(home: Home, readers: Sequence[ReaderId]) -> None:
    """Write the home's list of readers."""
    home.path.mkdir(parents=True, exist_ok=True)
    write_atomically(_list(home), json.dumps(sorted(set(readers)), indent=1) + "\n")


def _list(home: Home) -> Path:
    return home.path / "readers.json"


def create_reader_key(file: Path, key: ReaderKey) -> bool:
    """Write a reader's private key where only its owner can read it; False: there was one, which stays."""
    return create_private(file, key.to_bytes().hex())


def read_reader_key(file: Path) -> ReaderKey:
    """Read a reader's private key: 64 hex digits.

    Raises:
        BadInputError: no such file, or another content (which the message doesn't repeat).
    """
    try:
        return ReaderKey.from_bytes(bytes.fromhex(file.read_text(encoding="utf-8").strip()))
    except (OSError, ValueError, TwinsError) as error:
        raise BadInputError(f"reader key {file}: expected 64 hex digits, got {type(error).__name__}") from None


def keyring(home: Home, keys: Sequence[Path], grants: Sequence[Path]) -> Keyring:
    """Return what an audit can open: the given keys, or else those of the home's own auditors.

    Args:
        home: whose auditors.
        keys: key files.
        grants: files of later grants.

    Raises:
        BadInputError: a file that can't be read.
    """
    files = keys or sorted((home.path / "keys").glob(f"**/{KEY}"))
    found: dict[Digest, tuple[Grant, ...]] = {}
    for file in grants:
        for update, more in read_grants(file).items():
            found[update] = (*found.get(update, ()), *more)
    return Keyring(tuple(read_reader_key(file) for file in files), found)


def read_grants(file: Path) -> dict[Digest, tuple[Grant, ...]]:
    """Read grants that came after the updates, by the digest of the update.

    Raises:
        BadInputError: not what `write_grants` wrote.
    """
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
        return {
            parse_digest(update): tuple(Grant(grant["reader"], grant["wrapped"]) for grant in grants)
            for update, grants in body["grants"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, TwinsError) as error:
        raise BadInputError(f"{file}: expected grants of scripts/grants.py issue, got {error}") from error


def write_grants(file: Path, grants: Mapping[Digest, Sequence[Grant]]) -> None:
    """Write grants for their readers; nobody else can use them."""
    body = {update: [vars(grant) for grant in given] for update, given in sorted(grants.items())}
    write_atomically(file, json.dumps({"grants": body}, indent=1) + "\n")


def _reader(text: str) -> ReaderId:
    try:
        return parse_reader_id(text)
    except TwinsError as error:
        raise BadInputError(f"--reader: {error}") from error
