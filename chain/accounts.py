"""Accounts that sign locally: no key ever goes to a node.

Threads and processes may share an account: `chain.transactions` puts the threads in line, and signs anew when another
process has taken a nonce.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from eth_utils.exceptions import ValidationError

from chain.errors import ChainError
from twins.contribution import sign_hash
from twins.encryption import StationSecret
from twins.types import Address, parse_address

HARDHAT_MNEMONIC = "test test test test test test test test test test test junk"
"""Of the accounts that a Hardhat node funds. Public: whatever they hold elsewhere is anybody's."""

HARDHAT_ACCOUNTS = 80
"""How many of them are funded (hardhat.config.js)."""


class Account:
    """An Ethereum account with its private key.

    Attributes:
        address: EIP-55.
    """

    def __init__(self, signer: LocalAccount) -> None:
        """Wrap an eth-account signer; use `from_key` or `from_mnemonic`."""
        self._signer = signer
        self.address: Address = parse_address(signer.address)

    @classmethod
    def from_key(cls, key: bytes) -> Account:
        """Return the account of a private key.

        Args:
            key: 32 bytes, 1 to n - 1 of secp256k1 (SEC 2 §2.4.1).

        Raises:
            ChainError: no such key. The message doesn't contain it.
        """
        try:
            return cls(EthAccount.from_key(key))
        except (ValueError, ValidationError):
            raise ChainError(f"not a private key: expected 32 bytes from 1 to n - 1, got {len(key)} bytes") from None

    @classmethod
    def from_mnemonic(cls, mnemonic: str, index: int) -> Account:
        """Return account ``index`` of a mnemonic: BIP-39, and BIP-44 path ``m/44'/60'/0'/0/index``.

        Raises:
            ChainError: no valid mnemonic, or index. The message doesn't contain the words.
        """
        # "Unaudited" is eth-account's word for its BIP-32 code; a test holds it against BIP-39's own vectors.
        EthAccount.enable_unaudited_hdwallet_features()
        if not 0 <= index < 2**31:
            raise ChainError(f"account index: expected 0 to 2^31 - 1 (BIP-32), got {index}")
        try:
            return cls(EthAccount.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{index}"))
        except (ValueError, ValidationError):
            raise ChainError(
                f"not a mnemonic: expected 12 to 24 words with their checksum (BIP-39), got "
                f"{len(mnemonic.split())} words"
            ) from None

    @classmethod
    def create(cls) -> Account:
        """Return a new account, its key from the system's random numbers."""
        return cls(EthAccount.create())

    @classmethod
    def from_keystore(cls, text: str, password: str) -> Account:
        """Return the account of an encrypted key (Web3 Secret Storage, version 3).

        Raises:
            ChainError: not one, or another password.
        """
        try:
            return cls(EthAccount.from_key(EthAccount.decrypt(text, password)))
        except (ValueError, TypeError, KeyError, NotImplementedError, AttributeError, ValidationError):
            raise ChainError("expected an encrypted key (Web3 Secret Storage) and its password, got others") from None

    def to_keystore(self, password: str) -> str:
        """Return the key encrypted (Web3 Secret Storage, version 3; scrypt, n = 2^18: half a second a guess)."""
        return json.dumps(EthAccount.encrypt(self._signer.key, password, kdf="scrypt"))

    def sign_transaction(self, transaction: Mapping[str, Any]) -> tuple[bytes, str]:
        """Sign with a deterministic nonce (RFC 6979), under the transaction's chain id (EIP-155, EIP-1559).

        Returns:
            Raw transaction, and its hash (``0x`` and 64 hex digits).
        """
        signed = self._signer.sign_transaction(dict(transaction))
        return bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()

    @property
    def station_secret(self) -> StationSecret:
        """What a station with this account seals its devices' updates with."""
        return StationSecret.from_key(bytes(self._signer.key))

    def derive(self, purpose: str) -> bytes:
        """Return 32 secret bytes that only this account can make, always the same for a purpose (RFC 5869)."""
        return HKDF(SHA256(), 32, salt=None, info=f"twinledger/{purpose}".encode()).derive(bytes(self._signer.key))

    def sign_hash(self, digest: bytes) -> bytes:
        """Sign a 32-byte hash of typed data (EIP-712) with a deterministic nonce (RFC 6979), low s.

        Only for hashes made here: whoever chooses the hash chooses what is signed, a transaction for example.

        Returns:
            65 bytes ``r ‖ s ‖ v`` with v 27 or 28, as Solidity's ``ECDSA.recover`` reads them.

        Raises:
            ChainError: not 32 bytes.
        """
        if len(digest) != 32:
            raise ChainError(f"hash to sign: expected 32 bytes, got {len(digest)}")
        return sign_hash(digest, bytes(self._signer.key))

    def __eq__(self, other: object) -> bool:
        """Equal when the address is."""
        return isinstance(other, Account) and other.address == self.address

    def __hash__(self) -> int:
        """Of the address."""
        return hash(self.address)

    def __repr__(self) -> str:
        """The address; never the key, which would end in logs."""
        return f"Account({self.address})"
