"""A federation on several machines: what its authority, each device's owner and each station prepare on their own.

Examples:
    scripts/fleet.py authority authority                         once, on one member's machine
    scripts/fleet.py request station                             a station: its SuperLink's key, and a request
    scripts/fleet.py certify superlink.csr superlink.pem --authority authority --host station-1.example
    scripts/fleet.py device device --index 3 --station 0x7099… --deployment deployment.json
    scripts/fleet.py apps state                                  a device: starts its ClientApps in a moment; stays
    scripts/fleet.py station station --twin watch --key station.key --home state --rpc http://node-a:8545

The first word after each command is a folder on that party's own machine. A key never leaves the folder in which it was
made, and what is there already stays. Who starts which programs then, and all of it together: docs/deployment.md; on a
devnet scripts/federation.py does everything at once.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from coincurve import PrivateKey

from chain.deployment import Deployment
from fl.data_files import partition_bytes
from fl.datasets import get
from fl.deployed import Patience
from scripts.certificates import SERVER_DAYS, Authority, request_certificate
from scripts.cli import (
    BadInputError,
    PlainCommand,
    application,
    command,
    err,
    out,
    run,
)
from scripts.federation_files import StationPlace, warm_apps, write_bytes
from scripts.flower import connect
from scripts.home import create_private
from scripts.node_files import make_node_key, sign_node
from scripts.record_options import with_options
from scripts.station_app import StationFile
from scripts.station_options import follower
from scripts.station_run import StationOptions
from twins.contribution import SigningDomain
from twins.errors import FormatError
from twins.types import parse_address

SUPERLINK = 9091
"""Port of a SuperLink, on its own machine only."""

app = application(__doc__)


@app.command(cls=PlainCommand)
@command("""Make the authority of a consortium: ca.pem is for everybody, ca.key for nobody else.""")
def authority(
    folder: Annotated[Path, typer.Argument(help="For its two files.", show_default=False)],
) -> None:
    """Make an authority (see --help)."""
    files = Authority.of(folder).files
    out.print(f"{files.certificate}: valid until {files.load().not_valid_after_utc:%Y-%m-%d}", markup=False)


@app.command(cls=PlainCommand)
@command("""Make a SuperLink's key where there is none, and superlink.csr, which the authority signs.""")
def request(
    folder: Annotated[Path, typer.Argument(help="The station's.", show_default=False)],
) -> None:
    """Request a certificate (see --help)."""
    file = folder / "superlink.csr"
    request_certificate(StationPlace(folder, SUPERLINK, 0).certificate.key, file)
    out.print(f"{file}: for the authority; it gives superlink.pem and ca.pem back", markup=False)


@app.command(cls=PlainCommand)
@command("""Sign a station's request, for the hosts that are known to be its own; again before it expires.""")
def certify(
    request: Annotated[Path, typer.Argument(help="superlink.csr, as the station sent it.", show_default=False)],
    certificate: Annotated[Path, typer.Argument(help="File to write: superlink.pem.", show_default=False)],
    authority: Annotated[Path, typer.Option(help="Folder of the authority.", file_okay=False, exists=True)],
    host: Annotated[list[str], typer.Option(help="Name or address under which devices reach it; repeatable.")],
    days: Annotated[int, typer.Option(help="Days that it is valid.", min=1)] = SERVER_DAYS,
) -> None:
    """Sign (see --help)."""
    Authority.of(authority).certify(request, certificate, host, days)
    out.print(f"{certificate}: for {', '.join(host)}, {days} days", markup=False)


@app.command(cls=PlainCommand)
@command("""Make a device's two keys where there are none, and let it sign for its node: device-NNNN.json.

The file has no secret in it; its station puts it into its folder nodes/.""")
def device(
    folder: Annotated[Path, typer.Argument(help="The device's.", show_default=False)],
    index: Annotated[int, typer.Option(help="Its number in the twin, from 0.", min=0)],
    station: Annotated[str, typer.Option(metavar="ADDRESS", help="Account of its station.")],
    deployment: Annotated[Path, typer.Option(help="The consortium's deployment file.", dir_okay=False, exists=True)],
    key: Annotated[Path | None, typer.Option(help="Key that it signs with [FOLDER/device.key].")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Take its examples from this data set, for a trial: FOLDER/data.npz.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of the data set.")] = "temporal",
    devices: Annotated[int, typer.Option(help="Over which the data set is dealt out.", min=1)] = 10,
) -> None:
    """Prepare a device (see --help)."""
    try:
        account = parse_address(station)
    except FormatError as error:
        raise BadInputError(f"--station: {error}") from error
    deployed = Deployment.load(deployment)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own, node_key = key or folder / "device.key", folder / "node.key"
    if key is None:
        create_private(own, PrivateKey().secret.hex())
    make_node_key(node_key)
    if dataset is not None:
        partitions = get(dataset).load(split, devices)
        if index >= len(partitions):
            raise BadInputError(f"--index: expected one below --devices {devices}, got {index}")
        write_bytes(folder / "data.npz", partition_bytes(partitions[index]))
    domain = SigningDomain(deployed.chain_id, deployed.ledger)
    signed = sign_node(index, node_key, own, account, domain)
    out.print(f"{signed.save(folder)}: device {signed.node.device}, for station {account}", markup=False)


@app.command(cls=PlainCommand)
@command("""Stay, and start ClientApps for a SuperNode that has FOLDER/apps first on its PATH: warm, in a moment.""")
def apps(
    folder: Annotated[Path, typer.Argument(help="For the programs that ask this one.", show_default=False)],
) -> None:
    """Serve (see --help)."""
    server, programs = warm_apps(folder)
    err.print(f"programs for a SuperNode's PATH: {programs}", markup=False)
    os.execve(server.command[0], list(server.command), dict(server.environment))


@app.command(cls=PlainCommand)
@command("""Write station.json, which the station's ServerApp is told, and Flower's connection to its SuperLink.

Devices' files go into FOLDER/nodes, superlink.pem, superlink.key and ca.pem into FOLDER.""")
@with_options(follower)
def station(
    follower: StationOptions,
    folder: Annotated[Path, typer.Argument(help="The station's.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The station's key file: hex, or encrypted (.json).", exists=True)],
    rounds: Annotated[int | None, typer.Option(help="Stop when the head is at this round [never].", min=1)] = None,
    port: Annotated[int, typer.Option(help="Of its SuperLink.", min=1, max=65535)] = SUPERLINK,
    deadline: Annotated[float, typer.Option(help="Seconds to wait for a device's reply.", min=1)] = Patience.deadline,
    gather: Annotated[float, typer.Option(help="Seconds to wait for a device to connect, once.", min=0)] = 60.0,
) -> None:
    """Prepare a station (see --help)."""
    place = StationPlace(folder, port, 0)
    options = replace(follower, key=key, rounds=rounds)
    account = options.signer(options.network())  # what is wrong with key, chain or contracts is told now, not in a log
    place.nodes.mkdir(parents=True, exist_ok=True, mode=0o700)
    connect(place.flower, place.address, folder / "ca.pem")
    StationFile(options, place.nodes, place.told, place.flower, gather, deadline).save(place.file)
    out.print(f"{place.file}: station {account.address}", markup=False)


if __name__ == "__main__":
    run(app)
