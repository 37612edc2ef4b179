"""Deploy the contracts, and register stations.

Examples:
    scripts/deploy.py                   to the devnet (scripts/devnet.py up); writes .twinledger/deployment.json
    scripts/deploy.py --stations 3      and admit Hardhat's accounts 1, 2 and 3 as stations
    scripts/deploy.py --force           anew, although the deployment is still there
    scripts/deploy.py --slot 3600       possession is proven every hour
    scripts/deploy.py --rpc http://10.0.0.7:8545 --admin-key admin.key

A deployment that is still on the chain is kept. On any chain but a Hardhat devnet, --admin-key names the file
with the administrator's private key (hex); it should hand its roles to a multisig afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from chain.accounts import HARDHAT_ACCOUNTS, HARDHAT_MNEMONIC, Account
from chain.audit_values import Timing
from chain.connection import Chain, Receipt
from chain.deployment import Deployment, deploy_contracts, open_contracts
from chain.errors import DeploymentError, WrongChainError
from chain.hardhat_node import CHAIN_ID
from chain.twin_registry import TwinRegistry
from scripts.cli import (
    DEFAULT_HOME,
    BadInputError,
    HomeOption,
    JsonOption,
    RpcOption,
    command,
    err,
    out,
    print_json,
    run,
)
from scripts.connections import ConfirmationsOption, PatienceOption, Reach
from scripts.home import Home
from scripts.keys import PasswordOption, read_account

MAX_STATIONS = 64


@command(__doc__)
def main(
    stations: Annotated[int, typer.Option(help="Admit Hardhat's accounts 1 to N.", min=0, max=MAX_STATIONS)] = 0,
    admin_key: Annotated[Path | None, typer.Option(help="Administrator's key file: hex, or encrypted (.json).")] = None,
    slot: Annotated[
        int | None,
        typer.Option(help="Seconds of an audit's slot [15 on a development node, 60 on a devnet, else 600].", min=10),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Deploy anew.")] = False,
    password_file: PasswordOption = None,
    rpc: RpcOption = None,
    confirmations: ConfirmationsOption = None,
    patience: PatienceOption = None,
    home: HomeOption = DEFAULT_HOME,
    json_output: JsonOption = False,
) -> None:
    """Deploy (see --help)."""
    chain = Reach(Home(home), rpc, confirmations=confirmations, patience=patience).chain()
    admin = administrator(chain, admin_key, password_file)
    if stations and chain.chain_id != CHAIN_ID:
        raise BadInputError(
            f"--stations: expected a Hardhat devnet (chain id {CHAIN_ID}), got chain id {chain.chain_id}: "
            f"the keys of "
            "those accounts are public"
        )
    file = home / "deployment.json"
    receipts: dict[str, Receipt] = {}
    deployment = None if force else present_deployment(chain, file)
    if deployment is None:
        deployment, receipts = deploy_contracts(chain, admin, timing=slots(chain, slot))
        deployment.save(file)
    registry, _ = open_contracts(chain, deployment)
    kept = not receipts
    receipts |= admit(registry, admin, stations)
    chain.settle()
    if json_output:
        print_json(
            {
                "chain_id": deployment.chain_id,
                "block": deployment.block,
                "registry": deployment.registry,
                "ledger": deployment.ledger,
                "verifier": deployment.verifier,
                "audit": deployment.audit,
                "stations": list(registry.stations()),
                "kept": kept,
                "gas": {name: receipt.gas_used for name, receipt in receipts.items()},
                "file": str(file),
            }
        )
        return
    if kept:
        out.print(f"kept: the deployment in {file} is on this chain (--force deploys anew)")
    out.print(_table(deployment, registry, receipts))
    out.print(f"deployment file: {file}")


def slots(chain: Chain, seconds: int | None = None) -> Timing:
    """Return how the chain's time is cut: short slots where everything is on one machine and somebody waits."""
    if seconds is None:
        seconds = 15 if not chain.confirmations else 60 if chain.chain_id == CHAIN_ID else 600
    return Timing.of(seconds)


def administrator(chain: Chain, key_file: Path | None, password_file: Path | None = None) -> Account:
    """Return the account that deploys and admits.

    Raises:
        BadInputError: no key on a chain where Hardhat's public ones would make everybody the administrator.
    """
    if key_file is not None:
        return read_account(key_file, password_file)
    if chain.chain_id != CHAIN_ID:
        raise BadInputError(
            f"--admin-key: expected a key file on chain id {chain.chain_id}, got none; only on a Hardhat "
            f"devnet "
            f"(chain id {CHAIN_ID}) its public account 0 will do"
        )
    return Account.from_mnemonic(HARDHAT_MNEMONIC, 0)


def present_deployment(chain: Chain, file: Path) -> Deployment | None:
    """Return the deployment in ``file`` if it is on this chain."""
    if not file.exists():
        return None
    try:
        deployment = Deployment.load(file)
        open_contracts(chain, deployment)
    except (DeploymentError, WrongChainError) as error:
        err.print(
            f"deploying anew, because the deployment file is of no use here: {error}",
            style="yellow",
            markup=False,
        )
        return None
    return deployment


def admit(registry: TwinRegistry, registrar: Account, count: int) -> Mapping[str, Receipt]:
    """Register Hardhat's accounts 1 to ``count`` as stations, leaving out those that are registered.

    Returns:
        Receipts, by what they are of.
    """
    if count >= HARDHAT_ACCOUNTS:
        raise BadInputError(f"--stations: expected less than {HARDHAT_ACCOUNTS}, got {count}")
    accounts = [Account.from_mnemonic(HARDHAT_MNEMONIC, index).address for index in range(1, count + 1)]
    missing = [address for address in accounts if not registry.station_of(address).registered]
    receipts = registry.register_stations(registrar, missing)
    return {f"station {address}": receipt for address, receipt in zip(missing, receipts, strict=True)}


def _table(deployment: Deployment, registry: TwinRegistry, receipts: Mapping[str, Receipt]) -> Table:
    table = Table("what", "address", "gas", box=None, header_style="bold", pad_edge=False)
    table.columns[2].justify = "right"
    rows = [
        ("TwinRegistry", "TwinRegistry", deployment.registry),
        ("RoundLedger", "RoundLedger", deployment.ledger),
        ("PDPVerifier", "PDPVerifier", deployment.verifier),
        ("SyncAudit", "SyncAudit", deployment.audit),
        *((f"station {index}", f"station {address}", address) for index, address in enumerate(registry.stations())),
    ]
    for what, key, address in rows:
        table.add_row(what, address, f"{receipts[key].gas_used:,}" if key in receipts else "")
    return table


if __name__ == "__main__":
    run(main)
