"""Devices as Flower SuperNodes and stations behind Flower SuperLinks: processes that could be anywhere, here.

Examples:
    scripts/federation.py up --rounds 5                         2 stations, 10 devices, on this machine
    scripts/federation.py up --stations 1 --devices 2 --rounds 3
    scripts/federation.py up --twin watch --rounds 20           a twin that is registered: it says how many devices
    scripts/federation.py remove --device 3                     cut a device off, from the next round on
    scripts/federation.py renew                                 new certificates for the SuperLinks

A devnet must be up (scripts/devnet.py up) and the contracts deployed (scripts/deploy.py). Connections are TLS, every
node has a key of its own, and the chain names the keys that may connect. Interrupt it at any moment and run the same
command again. Several machines: docs/deployment.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer

from chain.enrolment import enrol_nodes
from chain.errors import TwinRegistryUnknownTwin
from chain.hardhat_node import CHAIN_ID
from chain.ports import free_ports
from chain.station import Windows
from fl.datasets import get
from fl.deployed import Patience
from fl.station_trainer import deal
from scripts.accounts import Accounts
from scripts.certificates import SERVER_DAYS, Authority
from scripts.cli import (
    DEFAULT_HOME,
    BadInputError,
    HomeOption,
    JsonOption,
    PlainCommand,
    application,
    command,
    err,
    out,
    print_json,
    run,
)
from scripts.connections import Network, Reach, warn
from scripts.federation_files import DevicePlace, StationPlace, federation_folder
from scripts.federation_processes import FederationProcesses, Station
from scripts.flower import connect
from scripts.home import Home
from scripts.launch import announce
from scripts.node_files import NodeFile, load_nodes, make_node_key, sign_node
from scripts.process_run import ProcessRound, own_first, run_processes, write_tokens
from scripts.recorded import recorded_settings
from scripts.round_table import PROCESS_HEADINGS, Notice, process_cells, process_json, show
from scripts.session import enrol
from scripts.settings import FRESH_ENOUGH, RunSettings, require_possible
from scripts.signals import end_on_sigterm
from scripts.signing import signing
from scripts.station_app import StationFile
from scripts.station_options import PossessionOption
from scripts.station_run import StationOptions
from twins.archive import Archive
from twins.manifest import TwinPolicy
from twins.types import twin_id

app = application(__doc__)


@app.command(cls=PlainCommand)
@command("""Start all SuperLinks, SuperNodes and stations, and bring the twin's head to a round.""")
def up(
    twin: Annotated[str, typer.Option(help="Name of the twin.")] = "watch",
    rounds: Annotated[int, typer.Option(help="Bring the twin's head to this round.", min=1)] = 20,
    dataset: Annotated[str, typer.Option(help="As scripts/rounds.py; for a twin that isn't registered yet.")] = "watch",
    split: Annotated[str, typer.Option(help="As scripts/rounds.py; the same.")] = "temporal",
    stations: Annotated[int, typer.Option(help="Base stations; the same.")] = 2,
    devices: Annotated[int, typer.Option(help="Devices in all, dealt out to the stations; the same.")] = 10,
    strategy: Annotated[str, typer.Option(help="Flower strategy of the stations; the same.")] = "FedAvg",
    seed: Annotated[int, typer.Option(min=0, help="Of genesis, training and a devnet's device keys; the same.")] = 0,
    deadline: Annotated[float, typer.Option(help="Seconds to wait for a device's reply.", min=1)] = Patience.deadline,
    gather: Annotated[float, typer.Option(help="Seconds to wait for a device to connect, once.", min=0)] = 60.0,
    possession: PossessionOption = True,
    warm: Annotated[
        bool, typer.Option("--warm/--cold", help="Start ClientApps from a process that has imported what they need.")
    ] = True,
    home: HomeOption = DEFAULT_HOME,
    json_output: JsonOption = False,
) -> None:
    """Run a federation (see --help)."""
    end_on_sigterm()
    reach = Reach(Home(home))
    network = Network.open(reach.chain(), reach.home.deployment)
    archive = Archive(reach.store())
    if network.chain.chain_id != CHAIN_ID:
        raise BadInputError("up: expected a devnet, whose keys are public; for your own network: docs/deployment.md")
    try:
        network.registry.twin_of(twin_id(twin))
        settings = recorded_settings(network, archive, twin, [dataset, strategy])
    except TwinRegistryUnknownTwin:
        settings = RunSettings(
            twin=twin,
            dataset=dataset,
            split=split,
            stations=stations,
            devices=devices,
            strategy=strategy,
            seed=seed,
            windows=Windows(),
            policy=TwinPolicy(None, FRESH_ENOUGH, sealed=True),
        )
        require_possible(settings)
    accounts, _ = signing(network, settings.stations, None, None, None)
    enrol(settings, network, archive, accounts.owner, [account.address for account in accounts.stations])
    network.chain.settle()
    authority, placed = prepare(settings, network, reach, accounts, rounds, Patience(gather, deadline), possession)
    processes = FederationProcesses(
        federation_folder(reach.home),
        authority,
        placed,
        until=rounds,
        dataset=settings.dataset,
        receipts=reach.home.receipts,
        notice=warn,
        warm=warm,
    )
    first = network.ledger.head(twin_id(twin)).number

    def each(notice: Notice) -> Iterator[ProcessRound]:
        return run_processes(processes, network, archive, settings, rounds, notice, warn)

    if json_output:
        for row in each(lambda text: None):
            print_json(process_json(row))
        return
    err.print(announce(settings, first, rounds))
    show(PROCESS_HEADINGS, rounds - first, lambda notice: map(process_cells, each(notice)))
    head = network.ledger.head(twin_id(twin))
    out.print(f"head: round {head.number} {head.model}")
    err.print(f"audit it: scripts/audit.py {twin}")


@app.command(cls=PlainCommand)
@command("""Give every SuperLink of this home a new certificate and key; start the SuperLinks anew after it.""")
def renew(
    host: Annotated[
        list[str] | None, typer.Option(help="Host under which devices reach it [127.0.0.1, localhost]; repeatable.")
    ] = None,
    station: Annotated[int | None, typer.Option(help="Number of one station, from 1 [all].", min=1)] = None,
    days: Annotated[int, typer.Option(help="Days that they are valid.", min=1)] = SERVER_DAYS,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Renew certificates (see --help)."""
    folder = federation_folder(Home(home))
    authority = Authority.of(folder)
    found = sorted(folder.glob("station-*")) if station is None else [folder / f"station-{station}"]
    if not found:
        raise BadInputError(f"{folder}: expected a folder station-N for each station, got none; run up first")
    for one in found:
        place = StationPlace(one, 0, 0, tuple(host)) if host else StationPlace(one, 0, 0)
        authority.issue(place.certificate, place.hosts, days=days)
        until = authority.require_valid(place.certificate, place.hosts)
        out.print(f"{place.certificate.certificate}: valid until {until:%Y-%m-%d}", markup=False)


@app.command(cls=PlainCommand)
@command("""Cut a device off: its station names its node no more, and strikes it off its roster at the next start.""")
def remove(
    device: Annotated[int, typer.Option(help="Its index.", min=0)],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Remove a device (see --help)."""
    reach = Reach(Home(home))
    network = Network.open(reach.chain(), reach.home.deployment)
    found = sorted(federation_folder(reach.home).glob(f"station-*/nodes/device-{device:04d}.json"))
    if not found:
        raise BadInputError(f"--device: expected one of a station of {home}, got {device}, which has no file there")
    for file in found:
        station = StationFile.load(file.parents[1] / "station.json")
        gone = NodeFile.load(file).node.device
        left = [one.node for one in load_nodes(station.nodes) if one.node.device != gone]
        account = station.options.signer(network)
        # The chain first: a file that is gone while the chain still names the node would be forgotten, not cut off.
        enrol_nodes(network.registry, Archive(reach.store()), network.domain, account, tuple(left))
        network.chain.settle()
        file.unlink()
        out.print(f"device {device} {gone}: removed from station {account.address}")


def prepare(
    settings: RunSettings,
    network: Network,
    reach: Reach,
    accounts: Accounts,
    rounds: int,
    patience: Patience,
    possession: bool = True,
) -> tuple[Authority, list[Station]]:
    """Write everything that a federation on this machine needs; what is there and valid stays.

    Raises:
        BadInputError: a certificate that can't be read.
        FlError: data that isn't there.
    """
    folder = federation_folder(reach.home)
    authority = Authority.of(folder)
    partitions = get(settings.dataset).load(settings.split, settings.devices)
    ports = iter(free_ports(2 * settings.stations + settings.devices))
    placed = []
    parts = zip(accounts.stations, deal(settings.devices, settings.stations), strict=True)
    for number, (account, part) in enumerate(parts, 1):
        place = StationPlace(folder / f"station-{number}", next(ports), next(ports))
        if not place.certificate.certificate.exists() or authority.is_due(place.certificate):
            authority.issue(place.certificate, place.hosts)
        connect(place.flower, place.address, authority.files.certificate)
        devices = []
        for index in part:
            own = DevicePlace(
                folder / f"device-{index:04d}", index, reach.home.device_key(settings.seed, index), next(ports)
            )
            own.write_data(partitions[index])
            make_node_key(own.node_key)
            sign_node(index, own.node_key, own.key, account.address, network.domain).save(place.nodes)
            devices.append(own)
        options = replace(station_options(settings, network, reach, number, rounds), possession=possession)
        StationFile(options, place.nodes, place.told, place.flower, patience.gather, patience.deadline).save(place.file)
        placed.append(Station(account.address, place, devices))
    return authority, placed


def station_options(settings: RunSettings, network: Network, reach: Reach, number: int, rounds: int) -> StationOptions:
    """Return what a devnet's station is told: its own nodes first, as `scripts.process_run` does."""
    urls, endpoints = own_first(reach.urls(), number - 1), reach.endpoints()
    own = own_first(endpoints, number - 1) if endpoints else []
    tokens = federation_folder(reach.home) / f"station-{number}" / "ipfs.tokens"
    return StationOptions(
        twin=settings.twin,
        home=reach.home.path,
        account=number,
        rounds=rounds,
        trust=tuple(code for code in (settings.dataset, settings.strategy) if ":" in code),
        rpc=",".join(urls),
        ipfs=tuple(url for url, _ in own),
        ipfs_tokens=write_tokens(tokens, own) if own else None,
        replicas=reach.copies(len(endpoints)) if own else None,
        confirmations=network.chain.confirmations,
        patience=network.chain.patience,
    )


if __name__ == "__main__":
    run(app)
