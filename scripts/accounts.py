"""Who signs a run's transactions, and the accounts of a devnet."""

from __future__ import annotations

from dataclasses import dataclass

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.hardhat_node import CHAIN_ID
from scripts.cli import BadInputError
from scripts.connections import Network


@dataclass(frozen=True)
class Accounts:
    """Who signs a run's transactions.

    Attributes:
        owner: owns the twin, and as registrar admits stations.
        stations: by index.
    """

    owner: Account
    stations: tuple[Account, ...]


def devnet_accounts(network: Network, count: int) -> Accounts:
    """Return the devnet's accounts: Hardhat's 0 owns, 1 to ``count`` are the stations.

    Raises:
        BadInputError: another chain: those keys are public.
    """
    owner, *stations = (devnet_account(network, index) for index in range(count + 1))
    return Accounts(owner, tuple(stations))


def devnet_account(network: Network, index: int) -> Account:
    """Return one of Hardhat's accounts.

    Raises:
        BadInputError: another chain: those keys are public.
    """
    if network.chain.chain_id != CHAIN_ID:
        raise BadInputError(
            f"expected a devnet (chain id {CHAIN_ID}), whose stations have public keys, got chain id "
            f"{network.chain.chain_id}; give --station-keys and --admin-key"
        )
    return Account.from_mnemonic(HARDHAT_MNEMONIC, index)
