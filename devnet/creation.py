"""Makes a network: ports, keys, block 0, repositories. Nothing runs afterwards."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from chain.accounts import HARDHAT_ACCOUNTS, HARDHAT_MNEMONIC, Account
from chain.errors import DevnetError
from chain.ports import free_ports
from devnet import geth_node, kubo_node, sockets, validator_keys
from devnet.geth_node import Validator
from devnet.network import Network
from devnet.toolchain import Binaries
from devnet.validator_keys import write_secret

ENDOWMENT = 10**24  # wei: more than all the gas that a network of this kind can burn in its life
_PORTS = 3  # of a validator: peers, clients, authrpc
_HEADSTART = 2  # seconds that the validators have to find each other before block 1


@dataclass(frozen=True)
class Plan:
    """What a new network is to be.

    Attributes:
        validators: how many geth nodes, at least 1; odd numbers split best.
        stations: how many Kubo nodes.
        chain_id: EIP-155.
        period: seconds between blocks, whole, at least 1.
        balances: in wei, by address; who has none can't send transactions.
        password: that encrypts the validators' keys; a random one if None.
    """

    validators: int
    stations: int
    chain_id: int
    period: int
    balances: Mapping[str, int]
    password: str | None = None


def hardhat_balances() -> dict[str, int]:
    """Return balances for a Hardhat node's accounts, so that the same keys work on both kinds of network."""
    accounts = (Account.from_mnemonic(HARDHAT_MNEMONIC, index).address for index in range(HARDHAT_ACCOUNTS))
    return dict.fromkeys(accounts, ENDOWMENT)


def create(root: Path, plan: Plan, binaries: Binaries, say: Callable[[str], None]) -> Network:
    """Make a network in a new folder. ``network.json`` comes last: without it the folder is unfinished, and redone.

    Args:
        root: ``HOME/consortium``.
        plan: what it is to be.
        binaries: programs.
        say: told what was done.

    Raises:
        DevnetError: a program refuses.
    """
    if Network.exists(root):
        raise DevnetError(f"{root}: expected no network yet, got one")
    if root.exists():
        shutil.rmtree(root)  # of a creation that was interrupted
    for folder in (root, root / "validators", root / "kubo", root / "logs"):
        folder.mkdir(mode=0o700, parents=True)
    password = secrets.token_hex(32) if plan.password is None else plan.password
    write_secret(root / "password", password)
    ports = iter(free_ports(_PORTS * plan.validators + 2 * plan.stations))
    validators = [_validator(root, index, ports, password) for index in range(1, plan.validators + 1)]
    text = geth_node.genesis(
        plan.chain_id, plan.period, [v.address for v in validators], plan.balances, int(time.time()) + _HEADSTART
    )
    (root / "genesis.json").write_text(text, encoding="utf-8")
    swarm_key = kubo_node.swarm_key()
    stations = [
        kubo_node.init_node(
            binaries.ipfs,
            name := f"station-{index}",
            root / "kubo" / name,
            next(ports),
            next(ports),
            swarm_key,
            root / "kubo" / f"{name}.token",
        )
        for index in range(1, plan.stations + 1)
    ]
    for station in stations:
        kubo_node.set_peers(station, [other for other in stations if other is not station])
    network = Network(
        root=root,
        chain_id=plan.chain_id,
        period=plan.period,
        validators=tuple(validators),
        stations=tuple(stations),
        sockets=sockets.folder_for(root),
        geth=binaries.geth,
        ipfs=binaries.ipfs,
    )
    network.write_configurations()
    for validator in validators:
        geth_node.initialise(network.geth, network.datadir(validator.name), root / "genesis.json")
    network.save()
    say(f"keys of {plan.validators} validators, block 0, {plan.stations} IPFS repositories")
    return network


def new_validator(network: Network) -> Validator:
    """Make one more validator's keys and database; the network doesn't know it yet."""
    taken = (int(folder.name.rpartition("-")[2]) for folder in (network.root / "validators").iterdir())
    password = (network.root / "password").read_text(encoding="utf-8").rstrip("\r\n")
    validator = _validator(network.root, max(taken, default=0) + 1, iter(free_ports(_PORTS)), password)
    geth_node.initialise(network.geth, network.datadir(validator.name), network.root / "genesis.json")
    return validator


def _validator(root: Path, index: int, ports: Iterator[int], password: str) -> Validator:
    name = f"validator-{index}"
    return validator_keys.create(name, root / "validators" / name, list(islice(ports, _PORTS)), password)
