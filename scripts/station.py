"""One base station: follow a twin on the chain with one account and its devices.

Examples:
    scripts/station.py --twin watch --key keys/account-0001.json --rounds 20
    scripts/station.py --twin watch --key keys/account-0001.json --devices 1,4,7 --device-keys mydevices --follow
    scripts/station.py --twin watch --account 2 --rounds 20     a devnet's station 2, whose key is public
    scripts/station.py --twin watch --key k.json --follow --rpc http://node-a:8545 --ipfs http://node-a:5001 --json

What is learnt and how comes from the twin's manifest on the chain; devices are those that --devices names, or the
station's share by its index. Beside the rounds it proves in every slot that it holds what it has to (--no-possession:
it doesn't; scripts/integrity.py hold does that alone). It talks to the other stations through the chain and IPFS only,
says each step in a line, and may be killed at any moment: started again it catches up from the chain. Exit codes: 0 the
head is at --rounds, 2 it can't go on, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from chain.accounts import Account
from chain.enrolment import enrol_devices
from chain.hardhat_node import CHAIN_ID
from fl.engines import Engine
from fl.station_trainer import deal
from scripts.accounts import devnet_account
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
from scripts.connections import (
    ConfirmationsOption,
    IpfsOption,
    IpfsTokensOption,
    Network,
    PatienceOption,
    Reach,
    ReplicasOption,
    warn,
)
from scripts.engine_options import CohortOption, EngineOption, ThreadsOption, WorkersOption, opened, settled, wished
from scripts.home import Home, require_own_keys
from scripts.keys import PasswordOption, read_account
from scripts.possession import PossessionThread, holding_of, possession_of
from scripts.readers import Readers
from scripts.recorded import recorded_settings
from scripts.rule_options import ReaderOption
from scripts.settings import RunSettings
from scripts.signals import end_on_sigterm
from scripts.station_loop import StationLoop
from scripts.station_parts import LocalStation, assemble
from scripts.told import Tell, Told, slot_told
from twins.archive import Archive
from twins.types import twin_id

TrustOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="A data set or strategy of somebody's own that the twin may name; its code is run. May be repeated.",
    ),
]
MANY_ROUNDS = 1_000
"""That a station without an end has ahead of it, for the choice of an engine."""

PossessionOption = Annotated[
    bool,
    typer.Option("--possession/--no-possession", help="Prove possession in every slot beside the rounds."),
]


@dataclass(frozen=True)
class Devices:
    """What the options say of a station's devices.

    Attributes:
        indices: ``1,4,7``; None for the station's share.
        keys: key files, or folders of them.
    """

    indices: str | None
    keys: Sequence[Path]

    def chosen(self, settings: RunSettings, index: int) -> tuple[int, ...]:
        """Return the devices of the station with this index.

        Raises:
            BadInputError: no list of different indices below the number of devices; or no share for this index.
        """
        if self.indices is None:
            if index >= settings.stations:
                raise BadInputError(
                    f"--devices: expected them named, for station {index} has no share: the twin's devices are dealt "
                    f"out to the stations 0 to {settings.stations - 1}"
                )
            return deal(settings.devices, settings.stations)[index]
        try:
            chosen = tuple(int(part) for part in self.indices.split(","))
        except ValueError:
            chosen = ()
        if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= i < settings.devices for i in chosen):
            raise BadInputError(
                f"--devices: expected different numbers from 0 to {settings.devices - 1} with commas between, "
                f"got {self.indices!r}"
            )
        return tuple(sorted(chosen))

    def key_files(self, chosen: Sequence[int], home: Home, seed: int, public: bool) -> tuple[Path, ...]:
        """Return the devices' key files, in the order of their indices.

        Args:
            chosen: their indices.
            home: where a devnet's are made.
            seed: that a devnet's are made of.
            public: whether this is a devnet.

        Raises:
            BadInputError: another number of files than of devices, or none on a chain that is no devnet.
            TwinsError, FlError: files that aren't one key each.
        """
        if not self.keys:
            if not public:
                raise BadInputError("--device-keys: expected the devices' key files on a chain of your own, got none")
            return tuple(home.device_key(seed, index) for index in chosen)
        files = tuple(f for path in self.keys for f in (sorted(path.glob("*.key")) if path.is_dir() else (path,)))
        if len(files) != len(chosen):
            raise BadInputError(
                f"--device-keys: expected {len(chosen)} key files, one for each of the devices "
                f"{', '.join(map(str, chosen))}, got {len(files)}"
            )
        require_own_keys(files)
        return files


def open_station(
    settings: RunSettings,
    network: Network,
    archive: Archive,
    account: Account,
    devices: Devices,
    home: Home,
    readers: Sequence[str] = (),
    engine: Engine | None = None,
) -> LocalStation:
    """Put the station together, and enrol its devices if they aren't.

    Raises:
        BadInputError: an account that is no station; devices or keys as `Devices`.
    """
    record = network.registry.station_of(account.address)
    if not record.registered:
        raise BadInputError(
            f"--key: expected a registered station, got {account.address}, which the registry doesn't know"
        )
    chosen = devices.chosen(settings, record.index)
    public = network.chain.chain_id == CHAIN_ID
    keys = devices.key_files(chosen, home, settings.seed, public)
    station = assemble(
        settings,
        network,
        archive,
        account,
        chosen,
        keys,
        readers=Readers.of(home, settings.seed, public, readers),
        receipts=home.receipts,
        engine=engine,
    )
    enrol_devices(network.registry, account, station.trainer.roster)
    return station


def printer(json_output: bool) -> Tell:
    """Return what prints a line."""

    def tell(told: Told) -> None:
        if json_output:
            print_json(told.to_json())
        else:
            out.print(told.words, markup=False)
            out.file.flush()

    return tell


@command(__doc__)
def main(
    twin: Annotated[str, typer.Option(help="Name of the twin.")] = "watch",
    key: Annotated[
        Path | None, typer.Option(help="The station's key file: hex, or encrypted (.json).", show_default=False)
    ] = None,
    account: Annotated[
        int | None, typer.Option(help="Instead, on a devnet: Hardhat's account with this number.", min=1, max=79)
    ] = None,
    devices: Annotated[
        str | None, typer.Option(metavar="I,J,…", help="Its devices, counted from 0 [its share by its index].")
    ] = None,
    device_keys: Annotated[
        list[Path] | None,
        typer.Option(help="Key file of each device in this order, or folder (*.key); repeatable [a devnet's]."),
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Stop when the twin's head is at this round.", min=1)] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Never stop.")] = False,
    possession: PossessionOption = True,
    trust: TrustOption = None,
    reader: ReaderOption = None,
    password_file: PasswordOption = None,
    engine: EngineOption = "auto",
    workers: WorkersOption = None,
    cohort: CohortOption = None,
    threads: ThreadsOption = None,
    home: HomeOption = DEFAULT_HOME,
    deployment: Annotated[Path | None, typer.Option(help="Deployment file [HOME/deployment.json].")] = None,
    rpc: RpcOption = None,
    ipfs: IpfsOption = None,
    ipfs_tokens: IpfsTokensOption = None,
    replicas: ReplicasOption = None,
    confirmations: ConfirmationsOption = None,
    patience: PatienceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Be a station (see --help)."""
    if (rounds is None) == (not follow):
        raise BadInputError("--rounds and --follow: expected one of them")
    if (key is None) == (account is None):
        raise BadInputError("--key and --account: expected one of them")
    end_on_sigterm()
    place = Home(home)
    reach = Reach(
        place,
        rpc,
        tuple(ipfs or ()),
        ipfs_tokens,
        replicas=replicas,
        confirmations=confirmations,
        patience=patience,
    )
    network = Network.open(reach.chain(), deployment or place.deployment)
    signer = read_account(key, password_file) if key is not None else devnet_account(network, account or 0)
    archive = Archive(reach.store())
    settings = recorded_settings(network, archive, twin, trust or ())
    ahead = (rounds or MANY_ROUNDS) - network.ledger.head(twin_id(twin)).number
    wish = wished(engine, workers, cohort, threads)
    with opened(settled(wish, settings, ahead, place, settings.stations)) as runs:
        given = Devices(devices, device_keys or ())
        station = open_station(settings, network, archive, signer, given, place, reader or (), runs)
        count = len(station.trainer.roster)
        err.print(f"station {signer.address}: twin {twin}, {count} device{'' if count == 1 else 's'}", markup=False)
        tell = printer(json_output)
        loop = StationLoop(network, station, rounds, tell)
        if not possession:
            loop.run()
            return
        # A connection of its own: what one thread sent, the other need not look after.
        own = Network.open(reach.chain(), deployment or place.deployment)
        part = possession_of(
            own, archive, holding_of(reach, archive), signer, [twin_id(twin)], place.tagging_keys, warn
        )
        with PossessionThread(part.clock, [part], lambda step: tell(slot_told(step))):
            loop.run()


if __name__ == "__main__":
    run(main)
