"""Devices' private keys, in files: read without torch, which takes two seconds to import."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fl.errors import DataError


def public_key_material(seed: int, index: int) -> bytes:
    """Return the private key of a devnet's or a simulation's device: anybody can derive it, so it protects nothing.

    From the run's seed (HKDF, RFC 5869), so that a run can be repeated bit for bit.
    """
    info = f"twinledger/devnet/device/{index}".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(str(seed).encode())


def read_key(file: Path | str) -> bytes:
    """Read a device's private key: 64 hex digits.

    Raises:
        DataError: no such file, or another content (which the message doesn't repeat).
    """
    try:
        with open(file, "rb", buffering=0) as raw:  # every device's, in every round
            key = bytes.fromhex(raw.read().decode().strip().removeprefix("0x"))
    except OSError as error:
        raise DataError(f"cannot read the device key {file}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"device key {file}: expected 64 hex digits") from error
    if len(key) != 32:
        raise DataError(f"device key {file}: expected 64 hex digits, got {2 * len(key)}")
    return key
