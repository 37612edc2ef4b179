"""Who signs a run: the owner, the stations, and how a station's process comes to its key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.accounts import Accounts, devnet_accounts
from scripts.connections import Network
from scripts.keys import read_account, read_accounts
from scripts.process_run import Signer


@dataclass(frozen=True)
class Keys:
    """Who signs.

    Attributes:
        accounts: owner and stations.
        signers: how a station's process comes to the same key.
        devices: key file of each device.
    """

    accounts: Accounts
    signers: tuple[Signer, ...]
    devices: tuple[Path, ...]


def signing(
    network: Network, count: int, admin_key: Path | None, station_keys: Path | None, password_file: Path | None
) -> tuple[Accounts, tuple[Signer, ...]]:
    """Return who signs a run: the accounts, and how each station's process comes to its own.

    Raises:
        BadInputError: keys that can't be used, or none on a chain where Hardhat's public ones won't do.
    """
    if admin_key is None or station_keys is None:
        accounts = devnet_accounts(network, count)
        options = [("--account", str(index)) for index in range(1, count + 1)]
    else:
        owner = read_account(admin_key, password_file)
        stations = read_accounts(station_keys, count, password_file)
        accounts = Accounts(owner, tuple(stations.values()))
        secret = () if password_file is None else ("--password-file", str(password_file))
        options = [("--key", str(file), *secret) for file in stations]
    signers = (Signer(a.address, o) for a, o in zip(accounts.stations, options, strict=True))
    return accounts, tuple(signers)
