"""Launch federated rounds: devices train, stations aggregate, the chain records.

Examples:
    scripts/rounds.py                                       3 stations, 10 devices, 20 rounds on the watch data
    scripts/rounds.py --rounds 50                           continue the same twin to round 50
    scripts/rounds.py --twin gait --strategy FedAdam --strategy-arg eta=0.01
    scripts/rounds.py --split loso:3 --rounds 5 --json      one JSON object a line, for programs
    scripts/rounds.py --rpc https://node:8545 --ipfs https://node:5001 --station-keys keys --admin-key admin.json

A devnet must be up (scripts/devnet.py up) and the contracts deployed (scripts/deploy.py). Interrupt it at any moment
and run the same command again: it continues from the chain's head. A network of your own: docs/operations.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

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
)
from scripts.federation_run import RoundResult, run_rounds
from scripts.home import Home, given_device_keys
from scripts.keys import PasswordOption, read_account, read_accounts
from scripts.session import Accounts, Session, open_session
from scripts.settings import RunSettings, require_possible


def announce(session: Session, until: int) -> str:
    """Say what is about to run."""
    settings, number = session.settings, session.head_round()
    what = (
        f"twin {settings.twin}: {settings.dataset}/{settings.split}, {settings.strategy}, "
        f"{settings.stations} stations, {settings.devices} devices, seed {settings.seed}"
    )
    if number >= until:
        return f"{what}; round {number} is final already, nothing to do (more with --rounds {number + 10})"
    return f"{what}; {'continuing after' if number else 'starting from'} round {number}, to round {until}"


def result_json(result: RoundResult) -> dict[str, object]:
    """Return a round as JSON values."""
    return {
        "round": result.number,
        "model": result.model,
        "parent": result.parent,
        "accuracy": result.evaluation.accuracy,
        "loss": result.evaluation.loss,
        "stations": result.stations,
        "devices": result.devices,
        "gas": result.gas,
        "seconds": round(result.seconds, 3),
        "phases": {name: round(seconds, 3) for name, seconds in result.phases.items()},
    }


_HEADINGS = ("round", "accuracy", "stations", "model", "gas", "seconds")


def _cells(result: RoundResult) -> tuple[str, ...]:
    return (
        str(result.number),
        f"{result.evaluation.accuracy:.3f}",
        str(result.stations),
        result.model[:18] + "…",
        f"{result.gas:,}",
        f"{result.seconds:.1f}",
    )


def show_rounds(session: Session, until: int) -> list[RoundResult]:
    """Run to round ``until`` with a live table and a progress bar; plain lines where there is no terminal."""
    results: list[RoundResult] = []
    first = session.head_round()
    table = Table(*_HEADINGS, box=None, header_style="bold", pad_edge=False)
    for column in table.columns[:1] + table.columns[1:3] + table.columns[4:]:
        column.justify = "right"
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    progress = Progress(*columns, console=out)
    task = progress.add_task("", total=until - first)
    if not out.is_terminal:
        out.print("  ".join(_HEADINGS))
        for result in run_rounds(session, until):
            results.append(result)
            out.print("  ".join(_cells(result)))
        return results
    with Live(Group(table, progress), console=out, refresh_per_second=8):
        for result in run_rounds(session, until, lambda text: progress.update(task, description=text)):
            results.append(result)
            table.add_row(*_cells(result))
            progress.advance(task)
        progress.update(task, visible=False)
    return results


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
    submit_window: Annotated[int, typer.Option(help="Seconds that a round waits for updates.")] = 600,
    attest_window: Annotated[int, typer.Option(help="Seconds that a round waits for votes after that.")] = 600,
    device_keys: Annotated[Path | None, typer.Option(help="Folder of the devices' key files (*.key).")] = None,
    station_keys: Annotated[
        Path | None, typer.Option(help="Folder of the stations' key files (*.json, *.key) [a devnet's public ones].")
    ] = None,
    admin_key: Annotated[
        Path | None, typer.Option(help="Key file of the twin's owner, who also admits stations; with --station-keys.")
    ] = None,
    password_file: PasswordOption = None,
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
        windows=Windows(submit_window, attest_window),
    )
    if rounds < 1:
        raise BadInputError(f"--rounds: expected at least 1, got {rounds}")
    if (station_keys is None) != (admin_key is None):
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
    keys = given_device_keys(device_keys, devices) if device_keys else place.device_keys(seed, devices)
    accounts = None
    if admin_key is not None and station_keys is not None:
        owner = read_account(admin_key, password_file)
        accounts = Accounts(owner, read_accounts(station_keys, stations, password_file))
    session = open_session(settings, network, reach.store(), keys, accounts)
    if json_output:
        for result in run_rounds(session, rounds):
            print_json(result_json(result))
        return
    err.print(announce(session, rounds))
    show_rounds(session, rounds)
    number, head, _ = session.head_model()
    out.print(f"head: round {number} {head}")
    err.print(f"audit it: scripts/audit.py {twin}")


if __name__ == "__main__":
    run(main)
