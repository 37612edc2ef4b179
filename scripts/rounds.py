"""Launch federated rounds: devices train, stations aggregate, the chain records.

Examples:
    scripts/rounds.py                                       3 stations, 10 devices, 20 rounds on the watch data
    scripts/rounds.py --rounds 50                           continue the same twin to round 50
    scripts/rounds.py --twin gait --strategy FedAdam --strategy-arg eta=0.01
    scripts/rounds.py --twin tough --merge-rule median --max-norm 2      bear stations and devices that lie
    scripts/rounds.py --split loso:3 --rounds 5 --json      one JSON object a line, for programs
    scripts/rounds.py --processes                           each station as a process of its own (scripts/station.py)
    scripts/rounds.py --devices 1000 --dataset my:DATA --engine fastest     many devices at once, if that is faster
    scripts/rounds.py --rpc https://node:8545 --ipfs https://node:5001 --station-keys keys --admin-key admin.json

A devnet must be up (scripts/devnet.py up) and the contracts deployed (scripts/deploy.py). Interrupt it at any moment
and run the same command again: it continues from the chain's head. A network of your own: docs/operations.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chain.hardhat_node import CHAIN_ID
from chain.station import Windows
from scripts.cli import (
    DEFAULT_HOME,
    BadInputError,
    HomeOption,
    JsonOption,
    RpcOption,
    command,
    err,
    out,
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
)
from scripts.deploy import administrator
from scripts.engine_options import CohortOption, EngineOption, ThreadsOption, WorkersOption, wished
from scripts.home import Home, given_device_keys, require_own_keys
from scripts.keys import PasswordOption
from scripts.launch import Launch, enrol_alone, run_apart, run_here
from scripts.readers import Readers
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
from scripts.settings import FRESH_ENOUGH, RunSettings, require_possible, with_least_updates
from scripts.signing import Keys, signing
from twins.manifest import TwinPolicy
from twins.types import twin_id


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
    engine: EngineOption = "auto",
    workers: WorkersOption = None,
    cohort: CohortOption = None,
    threads: ThreadsOption = None,
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
    wish = wished(engine, workers, cohort, threads)
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
    launch = Launch(settings, network, reach, keys, readers, rounds, json_output, wish)
    if processes:
        run_apart(launch, restart=restart)
    else:
        run_here(launch)
    if not json_output:
        head = network.ledger.head(twin_id(twin))
        out.print(f"head: round {head.number} {head.model}")
        err.print(f"audit it: scripts/audit.py {twin}")


if __name__ == "__main__":
    run(main)
