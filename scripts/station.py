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

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fl.engines import Engine
from scripts.cli import BadInputError, JsonOption, command, run
from scripts.engine_options import CohortOption, EngineOption, ThreadsOption, WorkersOption, opened, settled, wished
from scripts.home import Home
from scripts.record_options import with_options
from scripts.signals import end_on_sigterm
from scripts.station_options import follower
from scripts.station_run import LocalDevices, StationOptions, StationPlan, be_station, printer


@command(__doc__)
@with_options(follower)
def main(
    follower: StationOptions,
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
    engine: EngineOption = "auto",
    workers: WorkersOption = None,
    cohort: CohortOption = None,
    threads: ThreadsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Be a station (see --help)."""
    if (rounds is None) == (not follow):
        raise BadInputError("--rounds and --follow: expected one of them")
    if (key is None) == (account is None):
        raise BadInputError("--key and --account: expected one of them")
    end_on_sigterm()
    options = replace(follower, key=key, account=account, rounds=rounds)
    wish = wished(engine, workers, cohort, threads)
    place = Home(options.home)

    def engine_for(plan: StationPlan) -> AbstractContextManager[Engine]:
        return opened(settled(wish, plan.settings, plan.ahead, place, plan.settings.stations))

    be_station(options, LocalDevices(devices, device_keys or ()), engine_for, printer(json_output))


if __name__ == "__main__":
    run(main)
