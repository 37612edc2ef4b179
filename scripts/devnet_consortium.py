"""The consortium profile's part of ``devnet.py``: geth validators and Kubo nodes under a supervisor."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chain.processes import ProcessIdentity
from devnet import healing, membership, operation
from devnet.control import Alarm
from devnet.creation import ENDOWMENT, Plan, create, hardhat_balances
from devnet.network import Network
from devnet.report import NodeReport, report
from devnet.toolchain import Binaries, find_or_build
from scripts.cli import BadInputError, err, out
from scripts.devnet_state import DevnetState
from scripts.keys import PASSWORD, password
from scripts.setup import uv_environment
from twins.types import parse_address

PROFILE = "consortium"
VALIDATORS, STATIONS, CHAIN_ID, PERIOD = 5, 3, 31337, 1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What ``up`` was told of the network; None where it wasn't.

    Attributes:
        validators: how many.
        stations: how many.
        chain_id: EIP-155.
        period: seconds between blocks.
        fund: addresses that get money in block 0, beside Hardhat's.
        password: of the validators' keys; those of a network that is there keep theirs.
    """

    validators: int | None = None
    stations: int | None = None
    chain_id: int | None = None
    period: int | None = None
    fund: tuple[str, ...] = ()
    password: str | None = None

    def plan(self) -> Plan:
        """Return what a new network is to be."""
        return Plan(
            validators=VALIDATORS if self.validators is None else self.validators,
            stations=STATIONS if self.stations is None else self.stations,
            chain_id=CHAIN_ID if self.chain_id is None else self.chain_id,
            period=PERIOD if self.period is None else self.period,
            balances={**hardhat_balances(), **dict.fromkeys(self.fund, ENDOWMENT)},
            password=self.password,
        )

    def require(self, network: Network) -> None:
        """Refuse a network that is another one than was asked for.

        Raises:
            BadInputError: it is.
        """
        there = {
            "--validators": (self.validators, len(network.validators)),
            "--stations": (self.stations, len(network.stations)),
            "--chain-id": (self.chain_id, network.chain_id),
            "--period": (self.period, network.period),
        }
        for option, (wanted, got) in there.items():
            if wanted is not None and wanted != got:
                raise BadInputError(
                    f"{option}: the network in {network.root} has {got}, expected {wanted}; leave the option out, or "
                    f"make a new network with --fresh, which forgets this one's chain and artifacts"
                )
        if self.fund:
            raise BadInputError(
                f"--fund: it is for a new network, and {network.root} has one; leave it out, or make a new network "
                f"with --fresh, which forgets this one's chain and artifacts"
            )


def addresses(given: Sequence[str]) -> tuple[str, ...]:
    """Check addresses that were typed.

    Raises:
        TwinsError: one isn't an address, or its checksum is wrong (EIP-55).
    """
    return tuple(parse_address(address) for address in given)


def secret(file: Path | None) -> str | None:
    """Return the password in a file or the environment, or None: a random one will do.

    Raises:
        BadInputError: an empty one.
    """
    return password(file) if file is not None or os.environ.get(PASSWORD) else None


def root_of(home: Path) -> Path:
    """Folder of the consortium's network."""
    return home.resolve() / "consortium"


def binaries(say: Say) -> Binaries:
    """Find or build geth and ipfs; the user's environment says from where."""
    return find_or_build(cache_folder(os.environ), os.environ.get("PATH", os.defpath), say, uv_environment())


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where built programs are kept (XDG Base Directory Specification)."""
    given = environment.get("XDG_CACHE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else Path.home() / ".cache") / "twinledger"


def up(home: Path, wanted: Wanted, fresh: bool, say: Say) -> DevnetState:
    """Start the network of a folder, made first if there is none; what runs already is left alone.

    Raises:
        BadInputError: the network there is another one.
        DevnetError: a node doesn't start; nothing is left running then.
    """
    root = root_of(home)
    if fresh and root.exists():
        shutil.rmtree(root)
        say("removed the network that was here")
    with timed(say, "geth and ipfs"):
        programs = binaries(say)
    if Network.exists(root):
        network = Network.load(root)
        wanted.require(network)
    else:
        with timed(say, "keys, block 0, repositories"):
            network = create(root, wanted.plan(), programs, lambda text: None)
    state = operation.up(network, say, lambda identity: remember(home, network, identity).save(home))
    return remember(home, network, state)


def remember(home: Path, network: Network, identity: ProcessIdentity) -> DevnetState:
    """Return what the other scripts have to know."""
    return DevnetState(
        PROFILE,
        ",".join(validator.url for validator in network.validators),
        network.chain_id,
        identity.pid,
        identity.started,
        str(network.root / "logs" / "supervisord.log"),
        network.confirmations,
        tuple((station.api_url, str(station.token_file)) for station in network.stations),
    )


def running(home: Path) -> Network:
    """Return the network that runs.

    Raises:
        BadInputError: none does.
    """
    state = DevnetState.load(home)
    if state is None or not state.alive or state.profile != PROFILE:
        raise BadInputError(
            f"no consortium is running in {home}: start it with scripts/devnet.py up --profile {PROFILE}"
        )
    return Network.load(root_of(home))


def down(home: Path, identity: ProcessIdentity | None) -> bool:
    """End the network of a folder, also one that only half started; say whether anything ran."""
    root = root_of(home)
    if not Network.exists(root):
        return False
    network = Network.load(root)
    ran = (identity is not None and identity.alive) or operation.supervisor_of(network).answers()
    operation.end(network, identity)
    return ran


def complete(home: Path, say: Say) -> list[str]:
    """Start what doesn't run of a network that is up; return the names."""
    return operation.complete(running(home), say)


def stop_node(home: Path, name: str) -> None:
    """End a node of the running network."""
    operation.stop_node(running(home), name)


def start_node(home: Path, name: str) -> None:
    """Start a node of the running network, and wait until it answers."""
    operation.start_node(running(home), name)


def add_validators(home: Path, count: int, say: Say) -> None:
    """Vote validators in, one after the other."""
    network = running(home)
    for _ in range(count):
        network = membership.add(network, say)
        _renew(home, network)


def remove_validator(home: Path, name: str, say: Say) -> None:
    """Vote a validator out and end it."""
    _renew(home, membership.remove(running(home), name, say))


def heal(home: Path, say: Say) -> bool:
    """Cure a deadlock, if there is one."""
    return healing.heal(running(home), say)


def _renew(home: Path, network: Network) -> None:
    state = DevnetState.load(home)
    if state is not None:
        remember(home, network, state.identity).save(home)


def look(home: Path) -> tuple[list[NodeReport], Alarm | None]:
    """Return what there is to say of the running network."""
    network = running(home)
    return report(network), Alarm.load(network.root)


def describe(home: Path, state: DevnetState) -> dict[str, Any]:
    """Return the same for programs."""
    nodes, alarm = look(home)
    heights = [node.height for node in nodes if node.height is not None]
    return {
        "running": True,
        "profile": PROFILE,
        "url": state.url,
        "chain_id": state.chain_id,
        "block": max(heights, default=None),
        "pid": state.pid,
        "log": state.log,
        "confirmations": state.confirmations,
        "ipfs": [{"url": url, "token_file": file} for url, file in state.ipfs],
        "nodes": [asdict(node) for node in nodes],
        "alarm": None if alarm is None else asdict(alarm),
    }


def show(home: Path, state: DevnetState) -> bool:
    """Print the table; False when there is an alarm."""
    nodes, alarm = look(home)
    rows = [("node", "state", "height", "head age", "peers", "seals", "repository", "memory", "url")]
    for node in nodes:
        age = "" if node.head_age is None else f"{node.head_age} s"
        seals = {None: "", True: "yes", False: "no"}[node.signs]
        height, peers = ("" if count is None else str(count) for count in (node.height, node.peers))
        sizes = (_megabytes(node.repo_size), _megabytes(node.memory or None))
        rows.append((node.name, node.state.lower(), height, age, peers, seals, *sizes, node.url))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # not a table of rich's: in a pipe it would cut the URLs off
        out.print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip(), markup=False)
    out.print(f"chain id {state.chain_id}, supervisor {state.pid}, logs {root_of(home) / 'logs'}")
    if alarm is not None:
        since = time.strftime("%H:%M:%S", time.localtime(alarm.since))
        out.print(f"[bold red]ALARM[/] {alarm.what} since {since}: {alarm.message}")
    return alarm is None


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f} MB"


@contextmanager
def timed(say: Say, what: str) -> Iterator[None]:
    """Say what was done and how long it took, once it is."""
    started = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - started:.1f} s")


def told(json_output: bool) -> Say:
    """Return where progress goes: to stdout, or to stderr when a program reads stdout."""
    console = err if json_output else out
    return lambda text: console.print(f"  {text}", markup=False)
