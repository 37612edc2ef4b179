from __future__ import annotations

import pytest
from eth_account import Account as EthAccount
from eth_keys.datatypes import Signature

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.errors import ChainError

pytestmark = pytest.mark.unit

KEY = bytes.fromhex("46" * 32)
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2 §2.4.1


def test_the_key_of_eip_155_has_its_address() -> None:
    # EIP-155, "Example".
    assert Account.from_key(KEY).address == "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"


@pytest.mark.parametrize(
    ("index", "address"),
    [
        # As every Hardhat node prints them.
        (0, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        (1, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        (19, "0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199"),
    ],
)
def test_hardhats_mnemonic_gives_hardhats_accounts(index: int, address: str) -> None:
    assert Account.from_mnemonic(HARDHAT_MNEMONIC, index).address == address


def test_the_all_abandon_mnemonic_gives_its_well_known_account() -> None:
    # BIP-39's first test mnemonic under BIP-44's path for Ethereum.
    mnemonic = "abandon " * 11 + "about"
    assert Account.from_mnemonic(mnemonic, 0).address == "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"


def test_a_signature_is_deterministic_and_the_accounts_own() -> None:
    account = Account.from_key(KEY)
    transaction = {
        "type": 2,
        "chainId": 31337,
        "nonce": 9,
        "to": "0x" + "35" * 20,
        "value": 10**18,
        "gas": 21_000,
        "maxFeePerGas": 10**9,
        "maxPriorityFeePerGas": 1,
    }
    raw, hash_ = account.sign_transaction(transaction)
    assert (raw, hash_) == account.sign_transaction(transaction)  # RFC 6979: no random nonce to leak the key by
    assert EthAccount.recover_transaction(raw) == account.address
    assert EthAccount.recover_transaction(account.sign_transaction({**transaction, "chainId": 1})[0]) == account.address
    assert account.sign_transaction({**transaction, "chainId": 1})[0] != raw


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(32), N.to_bytes(32, "big"), b"\xff" * 32, bytes(33)])
def test_what_is_no_key_is_refused(key: bytes) -> None:
    with pytest.raises(ChainError, match="private key"):
        Account.from_key(key)


@pytest.mark.parametrize("words", ["", "test", "test " * 12, "not words of the list " * 3])
def test_a_mnemonic_without_its_checksum_is_refused(words: str) -> None:
    with pytest.raises(ChainError, match="mnemonic"):
        Account.from_mnemonic(words, 0)


@pytest.mark.parametrize("index", [-1, 2**31])
def test_an_index_beyond_bip_32_is_refused(index: int) -> None:
    with pytest.raises(ChainError, match="BIP-32"):
        Account.from_mnemonic(HARDHAT_MNEMONIC, index)


def test_no_secret_is_printed() -> None:
    account = Account.from_key(KEY)
    for text in (repr(account), str(account), f"{account}"):
        assert "46" * 8 not in text
        assert account.address in text
    with pytest.raises(ChainError) as caught:
        Account.from_mnemonic("correct horse battery staple", 0)
    assert "horse" not in str(caught.value)


def test_accounts_are_equal_when_their_addresses_are() -> None:
    assert Account.from_key(KEY) == Account.from_key(KEY)
    assert len({Account.from_key(KEY), Account.from_key(KEY)}) == 1
    assert Account.from_key(KEY) != Account.from_mnemonic(HARDHAT_MNEMONIC, 0)


def test_a_signed_hash_recovers_to_the_account_with_a_low_s() -> None:
    account, digest = Account.from_key(KEY), bytes(range(32))
    signature = account.sign_hash(digest)
    r, s, v = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
    assert (len(signature), v in (27, 28), s <= N // 2) == (65, True, True)
    recovered = Signature(vrs=(v - 27, r, s)).recover_public_key_from_msg_hash(digest)
    assert recovered.to_checksum_address() == account.address
    assert account.sign_hash(digest) == signature


@pytest.mark.parametrize("length", [0, 31, 33])
def test_only_whole_hashes_are_signed(length: int) -> None:
    with pytest.raises(ChainError, match=f"expected 32 bytes, got {length}"):
        Account.from_key(KEY).sign_hash(bytes(length))
