"""Launch federated rounds: devices train, stations aggregate, the chain records.

Examples:
    scripts/rounds.py                                       3 stations, 10 devices, 20 rounds on the watch data
    scripts/rounds.py --rounds 50                           continue the same twin to round 50
    scripts/rounds.py --twin gait --strategy FedAdam --strategy-arg eta=0.01
    scripts/rounds.py --twin tough --merge-rule median --max-norm 2      bear stations and devices that lie
    scripts/rounds.py --split loso:3 --rounds 5 --json      one JSON object a line, for programs
    scripts/rounds.py --processes                           each station as a process of its own (scripts/station.py)
    scripts/rounds.py --rpc https://node:8545 --ipfs https://node:5001 --station-keys keys --admin-key admin.json

A devnet must be up (scripts/devnet.py up) and the contracts deployed (scripts/deploy.py). Interrupt it at any moment
and run the same command again: it continues from the chain's head. A network of your own: docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from chain.accounts import Account
from chain.hardhat_node import CHAIN_ID
from chain.station import Windows
from scripts.accounts import devnet_accounts
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
from scripts.deploy import administrator
from scripts.federation_run import RoundResult, run_rounds
from scripts.home import Home, given_device_keys, require_own_keys
from scripts.keys import PasswordOption
from scripts.process_run import ProcessRound, run_processes, station_commands
from scripts.readers import Readers
from scripts.round_table import (
    HEADINGS,
    PROCESS_HEADINGS,
    Notice,
    process_cells,
    process_json,
    result_cells,
    result_json,
    show,
)
from scripts.rule_options import (
    DpArgOption,
    DpOption,
    MaxNormOption,
    MaxStalenessOption,
    MergeArgOption,
    MergeRuleOption,
    MinUpdatesOption,
    OpenGraceOption,
    ReaderOption,
    SealedOption,
)
from scripts.session import Session, enrol, open_session
from scripts.settings import FRESH_ENOUGH, RunSettings, require_possible, with_least_updates
from scripts.signals import end_on_sigterm
from scripts.signing import Keys, signing
from scripts.station_processes import StationProcesses
from twins.archive import Archive
from twins.manifest import TwinPolicy
from twins.types import twin_id


def announce(settings: RunSettings, number: int, until: int) -> str:
    """Say what is about to run, from the head's round on."""
    what = (
        f"twin {settings.twin}: {settings.dataset}/{settings.split}, {settings.strategy}, "
        f"{settings.stations} stations, {settings.devices} devices, seed {settings.seed}"
    )
    if number >= until:
        return f"{what}; round {number} is final already, nothing to do (more with --rounds {number + 10})"
    return f"{what}; {'continuing after' if number else 'starting from'} round {number}, to round {until}"


def show_rounds(session: Session, until: int) -> list[RoundResult]:
    """Run all stations in this process to round ``until``, and show each round."""
    results: list[RoundResult] = []

    def rows(notice: Notice) -> Iterator[tuple[str, ...]]:
        for result in run_rounds(session, until, notice):
            results.append(result)
            yield result_cells(result)

    show(HEADINGS, until - session.head_round(), rows)
    return results


def run_here(
    settings: RunSettings,
    network: Network,
    reach: Reach,
    keys: Keys,
    readers: Readers,
    until: int,
    json_output: bool,
) -> None:
    """Run all stations in this process."""
    receipts = reach.home.receipts
    session = open_session(settings, network, reach.store(), keys.devices, keys.accounts, readers, receipts)
    if json_output:
        for result in run_rounds(session, until):
            print_json(result_json(result))
        return
    err.print(announce(settings, session.head_round(), until))
    show_rounds(session, until)


def run_apart(
    settings: RunSettings,
    network: Network,
    reach: Reach,
    keys: Keys,
    readers: Readers,
    until: int,
    json_output: bool,
    *,
    restart: bool,
) -> None:
    """Run each station as a process of its own."""
    end_on_sigterm()
    archive = Archive(reach.store())
    stations = [account.address for account in keys.accounts.stations]
    enrol(settings, network, archive, keys.accounts.owner, stations)
    network.chain.settle()  # each station asks another node
    extra = tuple(word for reader in readers.more for word in ("--reader", reader))
    commands = station_commands(settings, reach, network, until, keys.signers, keys.devices, extra)
    processes = StationProcesses(reach.home.path / "stations", commands, restart=restart, notice=warn)
    first = network.ledger.head(twin_id(settings.twin)).number

    def rounds(notice: Notice) -> Iterator[ProcessRound]:
        return run_processes(processes, network, archive, settings, until, notice, warn)

    if json_output:
        for row in rounds(lambda text: None):
            print_json(process_json(row))
        return
    err.print(announce(settings, first, until))
    show(PROCESS_HEADINGS, until - first, lambda notice: map(process_cells, rounds(notice)))


def enrol_alone(settings: RunSettings, network: Network, reach: Reach, owner: Account, json_output: bool) -> None:
    """Do the owner's part only: the stations are somebody else's processes.

    Raises:
        BadInputError: not so many stations are admitted as the settings say, on a chain that is no devnet.
    """
    stations = network.registry.stations()
    if not stations and network.chain.chain_id == CHAIN_ID:
        stations = tuple(account.address for account in devnet_accounts(network, settings.stations).stations)
    if len(stations) != settings.stations:
        raise BadInputError(
            f"--stations: expected the {len(stations)} that are registered, got {settings.stations}; "
            f"scripts/guard.py admit ADDRESS admits a station"
        )
    enrol(settings, network, Archive(reach.store()), owner, stations)
    network.chain.settle()
    record = network.registry.twin_of(twin_id(settings.twin))
    if json_output:
        print_json({"twin": twin_id(settings.twin), "manifest": record.manifest, "stations": list(stations)})
    else:
        out.print(f"twin {settings.twin}: manifest {record.manifest}, {len(stations)} stations")
        err.print(f"each station: scripts/station.py --twin {settings.twin} --key KEY --rounds N")


@command(__doc__)
def main(
    twin: Annotated[str, typer.Option(help="Name of the twin.")] = "watch",
    dataset: Annotated[str, typer.Option(help="Name in fl/datasets, or module:attribute of your own.")] = "watch",
    split: Annotated[str, typer.Option(help="How the data set is split; see its description.")] = "temporal",
    stations: Annotated[int, typer.Option(help="Base stations.")] = 3,
    devices: Annotated[int, typer.Option(help="Devices in all, dealt out to the stations.")] = 10,
    rounds: Annotated[int, typer.Option(help="Bring the twin's head to this round.")] = 20,
    strategy: Annotated[str, typer.Option(help="Flower strategy of the stations, or module:Class.")] = "FedAvg",
    strategy_arg: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the strategy; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of genesis model, training and the devnet's device keys.")] = 0,
    merge_rule: MergeRuleOption = RunSettings.merge_rule,
    merge_arg: MergeArgOption = None,
    min_updates: MinUpdatesOption = None,
    max_norm: MaxNormOption = None,
    max_staleness: MaxStalenessOption = FRESH_ENOUGH,
    sealed: SealedOption = True,
    reader: ReaderOption = None,
    dp: DpOption = None,
    dp_arg: DpArgOption = None,
    submit_window: Annotated[int, typer.Option(help="Seconds that a round waits for updates.")] = 600,
    attest_window: Annotated[int, typer.Option(help="Seconds that a round waits for votes after that.")] = 600,
    open_grace: OpenGraceOption = Windows.open_grace,
    device_keys: Annotated[Path | None, typer.Option(help="Folder of the devices' key files (*.key).")] = None,
    station_keys: Annotated[
        Path | None, typer.Option(help="Folder of the stations' key files (*.json, *.key) [a devnet's public ones].")
    ] = None,
    admin_key: Annotated[
        Path | None, typer.Option(help="Key file of the twin's owner, who also admits stations; with --station-keys.")
    ] = None,
    password_file: PasswordOption = None,
    processes: Annotated[bool, typer.Option("--processes", help="One process per station.")] = False,
    enrol_only: Annotated[
        bool, typer.Option("--enrol-only", help="Register the twin with its genesis, and start nothing.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart/--no-restart", help="With --processes: bring a station back that died.")
    ] = True,
    home: HomeOption = DEFAULT_HOME,
    rpc: RpcOption = None,
    ipfs: IpfsOption = None,
    ipfs_tokens: IpfsTokensOption = None,
    replicas: ReplicasOption = None,
    confirmations: ConfirmationsOption = None,
    patience: PatienceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Launch federated rounds (see --help)."""
    settings = RunSettings(
        twin=twin,
        dataset=dataset,
        split=split,
        stations=stations,
        devices=devices,
        strategy=strategy,
        strategy_arguments=tuple(strategy_arg or ()),
        seed=seed,
        windows=Windows(submit_window, attest_window, min_updates or 0, open_grace),
        merge_rule=merge_rule,
        merge_arguments=tuple(merge_arg or ()),
        policy=TwinPolicy(max_norm, max_staleness, sealed),
        dp=dp,
        dp_arguments=tuple(dp_arg or ()),
    )
    if min_updates is None:
        settings = with_least_updates(settings)
    if rounds < 1:
        raise BadInputError(f"--rounds: expected at least 1, got {rounds}")
    if enrol_only and (processes or station_keys is not None):
        raise BadInputError("--enrol-only: expected neither --processes nor --station-keys, which it doesn't need")
    if not enrol_only and (station_keys is None) != (admin_key is None):
        raise BadInputError("--station-keys and --admin-key: expected both or neither, got one")
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
    network = Network.open(reach.chain(), place.deployment)
    require_possible(settings)  # before any key is written
    if enrol_only:
        enrol_alone(settings, network, reach, administrator(network.chain, admin_key, password_file), json_output)
        return
    accounts, signers = signing(network, stations, admin_key, station_keys, password_file)
    files = given_device_keys(device_keys, devices) if device_keys else place.device_keys(seed, devices)
    require_own_keys(files)
    keys = Keys(accounts, signers, files)
    readers = Readers.of(place, seed, network.chain.chain_id == CHAIN_ID, reader or ())
    if processes:
        run_apart(settings, network, reach, keys, readers, rounds, json_output, restart=restart)
    else:
        run_here(settings, network, reach, keys, readers, rounds, json_output)
    if not json_output:
        head = network.ledger.head(twin_id(twin))
        out.print(f"head: round {head.number} {head.model}")
        err.print(f"audit it: scripts/audit.py {twin}")


if __name__ == "__main__":
    run(main)
