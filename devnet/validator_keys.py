"""A validator's keys: the account that seals, and the node's own for its peers."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from eth_account import Account as EthAccount
from eth_keys.datatypes import PrivateKey

from chain.ports import HOST
from devnet.geth_node import Validator

# Light, since the password lies beside the key anyway (standard: 2^18): five validators start in one second, not five.
_SCRYPT_N = 4096


def create(name: str, datadir: Path, ports: Sequence[int], password: str) -> Validator:
    """Make a validator's keys in a new folder: ``keystore/`` (encrypted) and ``geth/nodekey``.

    Args:
        name: of the validator.
        datadir: folder that isn't there yet.
        ports: p2p, http, authrpc.
        password: that encrypts the account's key.
    """
    account = EthAccount.create()
    nodekey = PrivateKey((secrets.randbelow(2**256 - 2**129) + 1).to_bytes(32, "big"))  # below n of secp256k1
    (datadir / "keystore").mkdir(parents=True, mode=0o700)
    (datadir / "geth").mkdir(mode=0o700)
    encrypted = EthAccount.encrypt(account.key, password, kdf="scrypt", iterations=_SCRYPT_N)
    write_secret(datadir / "keystore" / f"UTC--{account.address[2:].lower()}", json.dumps(encrypted))
    write_secret(datadir / "geth" / "nodekey", nodekey.to_bytes().hex())
    enode = f"enode://{nodekey.public_key.to_bytes().hex()}@{HOST}:{ports[0]}?discport=0"
    return Validator(name, account.address, enode, *ports)


def write_secret(file: Path, text: str) -> None:
    """Write a new file that only this user can read, from its first moment on."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
