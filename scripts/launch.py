"""What launching rounds comes to: all stations in this process, each in its own, or only the owner's part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chain.accounts import Account
from chain.hardhat_node import CHAIN_ID
from fl.choice import EngineChoice
from scripts.accounts import devnet_accounts
from scripts.cli import BadInputError, err, out, print_json
from scripts.connections import Network, Reach, warn
from scripts.engine_options import engine_words, opened, settled
from scripts.federation_run import RoundResult, run_rounds
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
from scripts.session import Session, enrol, open_session
from scripts.settings import RunSettings
from scripts.signals import end_on_sigterm
from scripts.signing import Keys
from scripts.station_processes import StationProcesses
from twins.archive import Archive
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


@dataclass(frozen=True)
class Launch:
    """What is to run.

    Attributes:
        settings: of the twin.
        network: the consortium.
        reach: where it and its stores are.
        keys: of owner, stations and devices.
        readers: who gets a grant to the devices' sealed updates.
        until: round to bring the head to.
        json_output: print one JSON object a round.
        engine: wished for the devices.
    """

    settings: RunSettings
    network: Network
    reach: Reach
    keys: Keys
    readers: Readers
    until: int
    json_output: bool
    engine: EngineChoice

    def head_round(self) -> int:
        """Return the round of the head now."""
        return self.network.ledger.head(twin_id(self.settings.twin)).number


def run_here(launch: Launch) -> None:
    """Run all stations in this process."""
    settings, reach, keys = launch.settings, launch.reach, launch.keys
    choice = settled(launch.engine, settings, launch.until - launch.head_round(), reach.home)
    with opened(choice) as engine:
        session = open_session(
            settings,
            launch.network,
            reach.store(launch.network.chain.patience),
            keys.devices,
            keys.accounts,
            launch.readers,
            reach.home.receipts,
            engine,
        )
        if launch.json_output:
            for result in run_rounds(session, launch.until):
                print_json(result_json(result))
            return
        err.print(announce(settings, session.head_round(), launch.until))
        err.print(f"engine: {choice}")
        show_rounds(session, launch.until)


def run_apart(launch: Launch, *, restart: bool) -> None:
    """Run each station as a process of its own."""
    end_on_sigterm()
    settings, network, reach, keys, until = launch.settings, launch.network, launch.reach, launch.keys, launch.until
    archive = Archive(reach.store())
    stations = [account.address for account in keys.accounts.stations]
    enrol(settings, network, archive, keys.accounts.owner, stations)
    network.chain.settle()  # each station asks another node
    extra = tuple(word for reader in launch.readers.more for word in ("--reader", reader))
    extra += engine_words(launch.engine)
    commands = station_commands(settings, reach, network, until, keys.signers, keys.devices, extra)
    processes = StationProcesses(reach.home.path / "stations", commands, restart=restart, notice=warn)
    first = launch.head_round()

    def rounds(notice: Notice) -> Iterator[ProcessRound]:
        return run_processes(processes, network, archive, settings, until, notice, warn)

    if launch.json_output:
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
