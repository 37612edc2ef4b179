"""What devices and stations sign, and the leaf that stands for a device's update on the chain.

Every signature is EIP-712 typed data under the ledger's domain, so it is worth nothing on another chain, in another
contract, for another twin, round, station or base model: each field stops one replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from coincurve import PrivateKey, PublicKey

from twins.errors import SignatureError
from twins.keccak import keccak
from twins.remembered import remember
from twins.types import Address, Digest, TwinId, address_of_bytes, digest_bytes
from twins.words import encode_words

DOMAIN_NAME = "Twinledger"
DOMAIN_VERSION = "1"

_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0  # SEC 2 §2.4.1: n / 2

LEAF_TYPES = ("address", "bytes32", "uint64", "bytes32")
"""Of a contribution's leaf: device, digest, examples, keccak256(signature)."""


@dataclass(frozen=True)
class SigningDomain:
    """The EIP-712 domain of one ledger.

    Attributes:
        chain_id: EIP-155.
        contract: the RoundLedger.
    """

    chain_id: int
    contract: Address

    @property
    def separator(self) -> bytes:
        """32 bytes, EIP-712 §"Definition of domainSeparator"."""
        return _separator(self.chain_id, self.contract)


@lru_cache(maxsize=64)
def _separator(chain_id: int, contract: Address) -> bytes:
    """Compute it once, not once for every device that reads its domain from a message."""
    return keccak(
        encode_words(
            ("bytes32", "bytes32", "bytes32", "uint256", "address"),
            (_DOMAIN_TYPE, keccak(DOMAIN_NAME.encode()), keccak(DOMAIN_VERSION.encode()), chain_id, contract),
        )
    )


class Statement:
    """What somebody signs under a ledger's domain: EIP-712 typed data whose fields are all of fixed size."""

    TYPE: ClassVar[bytes]
    """32 bytes, the type's hash (EIP-712 §"Definition of hashStruct")."""

    def _fields(self) -> tuple[tuple[str, object], ...]:
        """Return the fields as pairs of ABI type and value, in the order of the type."""
        raise NotImplementedError

    def signing_hash(self, domain: SigningDomain) -> bytes:
        """Return the 32 bytes that are signed (EIP-712 ``encode``)."""
        return _signing_hash(self, domain)

    def sign(self, domain: SigningDomain, private_key: bytes) -> bytes:
        """Sign; deterministic (RFC 6979), low s.

        Returns:
            65 bytes ``r ‖ s ‖ v`` with v 27 or 28, as Solidity's ``ECDSA.recover`` reads them.
        """
        return sign_hash(self.signing_hash(domain), private_key)

    def signer(self, domain: SigningDomain, signature: bytes) -> Address:
        """Return the account that signed.

        Raises:
            SignatureError: not 65 bytes, v not 27 or 28, not on the curve, or s in the upper half: a second valid
                signature of the same statement would give one contribution two leaves (EIP-2).
        """
        made = self, domain, signature
        found = _signers.get(made)
        if found is None:
            found = _signer(*made)
            believe_signer(*made, found)
        return found


_signers: dict[tuple[Statement, SigningDomain, bytes], Address] = {}
_MOST = 2**16  # signers that are remembered


def believe_signer(statement: Statement, domain: SigningDomain, signature: bytes, signer: Address) -> None:
    """Remember who signed, for all that hold the same record against it: a station's own check, and every vote.

    Only what this process has recovered, or another of one's own on this machine: from anybody else it would be his
    word for a signature that nobody looks at again.
    """
    remember(_signers, (statement, domain, signature), signer, _MOST)


def _signer(statement: Statement, domain: SigningDomain, signature: bytes) -> Address:
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise SignatureError(f"expected 65 bytes ending in 27 or 28, got {len(signature)}: 0x{signature.hex()}")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise SignatureError("expected s in the lower half of the order (EIP-2), got the malleated signature")
    recoverable = signature[:64] + bytes([signature[64] - 27])
    try:
        public = PublicKey.from_signature_and_message(recoverable, statement.signing_hash(domain), hasher=None)
    except ValueError as error:
        raise SignatureError(f"no key made this signature: {error}") from error
    return _account(public.format(compressed=False))


@lru_cache(maxsize=2**16)
def _signing_hash(statement: Statement, domain: SigningDomain) -> bytes:
    """Hash a statement once for who signs and who checks it in the same process."""
    types, values = zip(("bytes32", statement.TYPE), *statement._fields(), strict=True)
    return bytes(keccak(b"\x19\x01" + domain.separator + keccak(encode_words(types, values))))


@lru_cache(maxsize=2**17)
def _account(public: bytes) -> Address:
    """Return the account of an uncompressed public key of 65 bytes (yellow paper, appendix F)."""
    return address_of_bytes(keccak(public[1:])[12:])


@dataclass(frozen=True)
class Contribution(Statement):
    """One device's statement about its update.

    Attributes:
        twin: whose model was trained.
        round: for which round.
        station: the station it was sent to.
        base: manifest digest of the model that was trained on.
        digest: SHA-256 of the update's bytes.
        examples: training examples behind it.
    """

    TYPE = keccak(
        b"Contribution(bytes32 twin,uint64 round,address station,bytes32 base,bytes32 digest,uint64 examples)"
    )
    twin: TwinId
    round: int
    station: Address
    base: Digest
    digest: Digest
    examples: int

    def _fields(self) -> tuple[tuple[str, object], ...]:
        return (
            ("bytes32", digest_bytes(self.twin)),
            ("uint64", self.round),
            ("address", self.station),
            ("bytes32", digest_bytes(self.base)),
            ("bytes32", digest_bytes(self.digest)),
            ("uint64", self.examples),
        )


@dataclass(frozen=True)
class Receipt(Statement):
    """A station's statement that it has accepted a contribution: the device's proof, should it be left out.

    Attributes:
        twin: whose model was trained.
        round: for which round the device trained.
        leaf: hash of the contribution's leaf.
    """

    TYPE = keccak(b"Receipt(bytes32 twin,uint64 round,bytes32 leaf)")
    twin: TwinId
    round: int
    leaf: Digest

    def _fields(self) -> tuple[tuple[str, object], ...]:
        return (
            ("bytes32", digest_bytes(self.twin)),
            ("uint64", self.round),
            ("bytes32", digest_bytes(self.leaf)),
        )


@dataclass(frozen=True)
class Attestation(Statement):
    """A station's signed vote, for `RoundLedger.finalizeSigned`.

    Attributes:
        twin: whose model it is.
        round: which it is the result of.
        model: manifest digest of the model.
        excluded: bit set of the stations whose updates are excluded from it: a signature is worth nothing for another
            set of updates.
    """

    TYPE = keccak(b"Attestation(bytes32 twin,uint32 round,bytes32 model,uint64 excluded)")
    twin: TwinId
    round: int
    model: Digest
    excluded: int

    def _fields(self) -> tuple[tuple[str, object], ...]:
        return (
            ("bytes32", digest_bytes(self.twin)),
            ("uint32", self.round),
            ("bytes32", digest_bytes(self.model)),
            ("uint64", self.excluded),
        )


@lru_cache(maxsize=2**16, typed=True)
def contribution_leaf(device: Address, digest: Digest, examples: int, signature: bytes) -> tuple[object, ...]:
    """Return the values of a contribution's leaf, of `LEAF_TYPES` (rounds.md, rule 9)."""
    return (device, digest_bytes(digest), examples, keccak(signature))


def sign_hash(digest: bytes, private_key: bytes) -> bytes:
    """Sign 32 bytes; deterministic (RFC 6979), low s.

    Returns:
        65 bytes ``r ‖ s ‖ v`` with v 27 or 28.

    Raises:
        SignatureError: not a private key.
    """
    signature = _key(private_key).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


def address_of_key(private_key: bytes) -> Address:
    """Return the account of a secp256k1 private key of 32 bytes."""
    return _account(_key(private_key).public_key.format(compressed=False))


@lru_cache(maxsize=2**17)
def _key(private_key: bytes) -> PrivateKey:
    """Derive the public key once per device, not once per update."""
    try:
        if len(private_key) != 32:  # coincurve would fill it up with zeros
            raise ValueError(f"{len(private_key)} bytes")
        return PrivateKey(private_key)
    except ValueError as error:
        raise SignatureError(f"not a secp256k1 private key of 32 bytes: {type(error).__name__}") from error
