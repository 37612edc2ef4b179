"""Device updates sealed for those who may read them.

A device's update tells of its data (gradient inversion, membership inference), so a station seals what it puts on
IPFS and gives grants: to auditors, or to peers. Bytes are sealed with AES-256-GCM (NIST SP 800-38D) under a key of
their own, derived by HKDF-SHA256 (RFC 5869) from the station's secret, the context and the plaintext's SHA-256. So
the same run gives the same bytes, as every digest here must be reproducible, and the constant nonce is safe: a key
never seals two plaintexts. A grant is that key, wrapped (RFC 3394) under what the station and the reader share by
X25519 (RFC 7748).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from twins.errors import FormatError, NoGrantError, SealError
from twins.types import Address, Digest, TwinId, digest_bytes, sha256_digest

ALGORITHM = "AES-256-GCM"

ReaderId = NewType("ReaderId", str)
"""``0x`` and 64 lower-case hex digits: an X25519 public key."""

_LABEL = b"twinledger/encryption/1"
_NONCE = bytes(12)
_MOST = 2**31 - 1  # what OpenSSL takes in one call


def parse_reader_id(text: object) -> ReaderId:
    """Check the spelling of a reader's public key.

    Raises:
        FormatError: anything but ``0x`` and 64 lower-case hex digits.
    """
    if not isinstance(text, str) or not re.fullmatch(r"0x[0-9a-f]{64}", text):
        raise FormatError(f"not a reader's public key: expected 0x and 64 lower-case hex digits, got {text!r}")
    return ReaderId(text)


@dataclass(frozen=True)
class Grant:
    """The key to one sealed artifact, readable by one reader.

    Attributes:
        reader: who may read.
        wrapped: ``0x`` and the 40 wrapped bytes in lower-case hex.
    """

    reader: ReaderId
    wrapped: str

    def __post_init__(self) -> None:
        """Refuse other spellings.

        Raises:
            FormatError: not 40 bytes in lower-case hex.
        """
        parse_reader_id(self.reader)
        if not re.fullmatch(r"0x[0-9a-f]{80}", str(self.wrapped)):
            raise FormatError(f"grant: expected 0x and 80 lower-case hex digits, got {self.wrapped!r}")


@dataclass(frozen=True)
class Encryption:
    """How an artifact is sealed, as its manifest says.

    Attributes:
        algorithm: `ALGORITHM`.
        sender: the station's public key.
        plaintext: SHA-256 of what was sealed.
        grants: who may read it from the beginning.
    """

    algorithm: str
    sender: ReaderId
    plaintext: Digest
    grants: tuple[Grant, ...]

    def __post_init__(self) -> None:
        """Refuse what this version can't open.

        Raises:
            FormatError: another algorithm.
        """
        if self.algorithm != ALGORITHM:
            raise FormatError(f"cannot open what is sealed with {self.algorithm!r}: expected {ALGORITHM}")


def encryption_context(twin: TwinId, trained_round: int, station: Address) -> bytes:
    """Return the 60 bytes that tie sealed bytes to their place: moved to another, they don't open."""
    return digest_bytes(twin) + trained_round.to_bytes(8, "big") + bytes.fromhex(station[2:])


class ReaderKey:
    """A reader's X25519 key: an auditor's, or a station's as the reader of another's updates."""

    def __init__(self, private: X25519PrivateKey) -> None:
        """Use this key."""
        self._private = private

    @classmethod
    def generate(cls) -> ReaderKey:
        """Make a key."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, raw: bytes) -> ReaderKey:
        """Read a key of 32 bytes.

        Raises:
            FormatError: of another length.
        """
        if len(raw) != 32:
            raise FormatError(f"not a reader's private key: expected 32 bytes, got {len(raw)}")
        return cls(X25519PrivateKey.from_private_bytes(raw))

    def to_bytes(self) -> bytes:
        """Return the 32 secret bytes."""
        return self._private.private_bytes_raw()

    @property
    def public(self) -> ReaderId:
        """Its public key."""
        return ReaderId("0x" + self._private.public_key().public_bytes_raw().hex())

    def open(self, ciphertext: bytes, encryption: Encryption, context: bytes, grant: Grant) -> bytes:
        """Open sealed bytes with a grant.

        Raises:
            SealError: the grant isn't for this key, sender and context, or the bytes aren't what was sealed.
        """
        return _unseal(ciphertext, encryption, context, self.granted_key(encryption, context, grant))

    def granted_key(self, encryption: Encryption, context: bytes, grant: Grant) -> bytes:
        """Return the key that a grant gives, which may still be none to the sealed bytes.

        Raises:
            SealError: the grant isn't for this key, sender and context.
        """
        try:
            return aes_key_unwrap(self._shared(encryption.sender, context), bytes.fromhex(grant.wrapped[2:]))
        except InvalidUnwrap as error:
            raise SealError(
                f"grant of {encryption.sender} for {grant.reader}: expected the key to the sealed bytes, got something "
                "that doesn't unwrap: another reader's, another place's, or altered"
            ) from error

    def _shared(self, other: ReaderId, context: bytes) -> bytes:
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(other[2:])))
        except ValueError as error:  # a point of small order would make the shared secret public (RFC 7748 §6.1)
            raise SealError(
                f"public key {other}: expected a point to share a secret with, got one of small order"
            ) from (error)
        return _derive(secret, b"wrap" + context)


class StationSecret(ReaderKey):
    """What a station seals its devices' updates with: nothing to keep but its account's key."""

    def __init__(self, secret: bytes) -> None:
        """Use 32 secret bytes."""
        super().__init__(X25519PrivateKey.from_private_bytes(_derive(secret, b"x25519")))
        self._secret = secret

    @classmethod
    def from_key(cls, private_key: bytes) -> StationSecret:
        """Derive the secret from the account's private key of 32 bytes."""
        return cls(_derive(private_key, _LABEL))

    def seal(self, plaintext: bytes, context: bytes, readers: Sequence[ReaderId]) -> tuple[bytes, Encryption]:
        """Seal bytes and grant them to ``readers``.

        Law: deterministic; the order of the readers, and one named twice, make no difference.

        Raises:
            SealError: 2 GiB or more, or a reader whose public key is of small order.
        """
        if len(plaintext) > _MOST - 16:
            raise SealError(f"expected less than 2 GiB to seal at once, got {len(plaintext)} bytes: use more stations")
        digest = sha256_digest(plaintext)
        ciphertext = AESGCM(self._content_key(digest, context)).encrypt(_NONCE, plaintext, context)
        bare = Encryption(ALGORITHM, self.public, digest, ())
        grants = tuple(self.grant(bare, context, reader) for reader in sorted(set(readers)))
        return ciphertext, Encryption(ALGORITHM, self.public, digest, grants)

    def grant(self, encryption: Encryption, context: bytes, reader: ReaderId) -> Grant:
        """Let one more reader read what this station sealed: the sealed bytes stay as they are.

        Raises:
            SealError: sealed by another station, or a public key of small order.
        """
        if encryption.sender != self.public:
            raise SealError(f"expected what this station sealed ({self.public}), got what {encryption.sender} sealed")
        key = self.own_key(encryption, context)
        return Grant(reader, "0x" + aes_key_wrap(self._shared(reader, context), key).hex())

    def own_key(self, encryption: Encryption, context: bytes) -> bytes:
        """Return the key to what this station sealed; it needs no grant."""
        return self._content_key(encryption.plaintext, context)

    def noise(self, context: bytes) -> bytes:
        """Return 32 bytes to seed a rule's noise with, of `encryption_context`.

        The same for the same training, so that a station that was killed makes the same update again; nobody else
        knows them, or the noise could be taken off.
        """
        return _derive(self._secret, b"noise" + context)

    def _content_key(self, plaintext: Digest, context: bytes) -> bytes:
        return _derive(self._secret, b"content" + context + digest_bytes(plaintext))


@dataclass(frozen=True)
class Keyring:
    """The keys at hand, and the grants that came after the manifests.

    Attributes:
        readers: keys; a station's secret opens also what the station itself has sealed.
        grants: later grants, by the digest of the station update's manifest.
    """

    readers: Sequence[ReaderKey] = ()
    grants: Mapping[Digest, tuple[Grant, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def open(self, update: Digest, encryption: Encryption, context: bytes, ciphertext: bytes) -> bytes:
        """Open a station update's sealed bytes with the first key that does.

        Args:
            update: digest of the manifest that names them.
            encryption: as that manifest says.
            context: of `encryption_context`.
            ciphertext: the bytes.

        Raises:
            NoGrantError: no key at hand may read them.
            SealError: one may, and they don't open.
        """
        failure: SealError | None = None
        for key in self._keys(update, encryption, context):
            try:
                return _unseal(ciphertext, encryption, context, key())
            except SealError as error:
                failure = error
        if failure is not None:
            raise failure
        raise NoGrantError(
            f"device updates behind {update} are sealed by {encryption.sender}: expected a grant for a key at hand, "
            f"got {len(encryption.grants)} for others; ask the station for one"
        )

    def keys(self, update: Digest, encryption: Encryption, context: bytes) -> frozenset[bytes]:
        """Return the keys that may open a station update's sealed bytes; two keyrings that have the same can the same.

        Raises:
            SealError: a grant for a key at hand gives none.
        """
        return frozenset(key() for key in self._keys(update, encryption, context))

    def _keys(self, update: Digest, encryption: Encryption, context: bytes) -> Iterator[Callable[[], bytes]]:
        for reader in self.readers:
            if isinstance(reader, StationSecret) and reader.public == encryption.sender:
                yield partial(reader.own_key, encryption, context)
            for grant in (*encryption.grants, *self.grants.get(update, ())):
                if grant.reader == reader.public:
                    yield partial(reader.granted_key, encryption, context, grant)


def _unseal(ciphertext: bytes, encryption: Encryption, context: bytes, key: bytes) -> bytes:
    try:
        plaintext = AESGCM(key).decrypt(_NONCE, ciphertext, context)
    except (InvalidTag, ValueError, OverflowError) as error:
        raise SealError(
            f"sealed bytes of {encryption.sender}: expected what was sealed for this place, got {len(ciphertext)} "
            "bytes that don't open"
        ) from error
    # GCM doesn't commit to its key: one ciphertext could open to two texts for two readers.
    if (actual := sha256_digest(plaintext)) != encryption.plaintext:
        raise SealError(f"sealed bytes of {encryption.sender}: expected digest {encryption.plaintext}, got {actual}")
    return plaintext


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=info).derive(secret)
