"""Who takes part: admit, weigh, suspend and reinstate stations; cast ballots and elect producers.

Examples:
    scripts/guard.py status                                              every station, its weight, votes against it
    scripts/guard.py admit 0x70… --key registrar.json                    the registrar admits a station
    scripts/guard.py suspend 0x70… --text "key stolen" --key guardian.json    the guardian, at once
    scripts/guard.py vote 0x70… --evidence audit.json --key station.json      a station; two thirds suspend it
    scripts/guard.py reinstate 0x70… --key registrar.json
    scripts/guard.py weigh 0x70… 1200 --key registrar.json               how much data it hosts
    scripts/guard.py ballot 0x70… 0x90… --key station.json               whom a station wants as producers
    scripts/guard.py elect 3 --key station.json                          count the ballots, once in an epoch

A suspended station does nothing until it is reinstated: its update and its vote in the running round count no more.
On a devnet --account 0 is registrar and guardian, and --account N is station N. Exit codes: 0 done, 2 it could not be
done.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from chain.round_ledger import members_of
from chain.twin_registry import TwinRegistry
from scripts.cli import BadInputError, JsonOption, PlainCommand, application, print_json, run
from scripts.record_options import (
    EvidenceOption,
    Place,
    Sender,
    TextOption,
    evidence_of,
    place,
    sender,
    told,
    wide,
    with_options,
)
from twins.archive import Archive
from twins.canonical import Json
from twins.types import Address, parse_address

StationArgument = Annotated[str, typer.Argument(help="Account of the station.", show_default=False)]

app = application(__doc__)


@app.command(cls=PlainCommand)
@with_options(place)
def status(place: Place, json_output: JsonOption = False) -> None:
    """Show every station: whether it is active, a producer, its weight and devices, who votes to suspend it."""
    rows = stations_of(place.network().registry)
    if json_output:
        print_json(rows)
        return
    table = Table("station", "state", "producer", "weight", "devices", "votes against it")
    for row in rows:
        state = "suspended" if row["suspended"] else "active"
        producer = "yes" if row["producer"] else "no"
        votes = str(len(row["votes_against"]))
        table.add_row(row["station"], state, producer, str(row["weight"]), str(row["devices"]), votes)
    wide(table)


def stations_of(registry: TwinRegistry) -> list[dict[str, Json]]:
    """Return what the registry knows of every station, by index."""
    stations = registry.stations()
    _, producers = registry.station_sets()
    rows: list[dict[str, Json]] = []
    for index, station in enumerate(stations):
        record = registry.station_of(station)
        rows.append(
            {
                "station": station,
                "index": index,
                "suspended": record.suspended,
                # Until an election everybody is one.
                "producer": not producers or bool(producers >> index & 1),
                "weight": record.weight,
                "devices": record.device_count,
                "ballot": list(members_of(registry.ballot_of(station), stations)),
                "votes_against": list(members_of(registry.suspension_votes(station), stations)),
            }
        )
    return rows


@app.command(cls=PlainCommand)
@with_options(place, sender)
def admit(place: Place, sender: Sender, station: StationArgument, json_output: JsonOption = False) -> None:
    """Admit a station. Only the registrar."""
    network, account = place.network(), parse_address(station)
    receipt = network.registry.register_station(sender.of(network), account)
    told(receipt, f"station {account} is admitted", json_output)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def weigh(
    place: Place,
    sender: Sender,
    station: StationArgument,
    weight: Annotated[int, typer.Argument(help="Its say in an election.", min=0, max=2**64 - 1, show_default=False)],
    json_output: JsonOption = False,
) -> None:
    """Say how much data a station hosts, in the consortium's unit. Only the registrar."""
    network, account = place.network(), parse_address(station)
    receipt = network.registry.set_weight(sender.of(network), account, weight)
    told(receipt, f"station {account} weighs {weight}", json_output)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def suspend(
    place: Place,
    sender: Sender,
    station: StationArgument,
    evidence: EvidenceOption = None,
    text: TextOption = None,
    json_output: JsonOption = False,
) -> None:
    """Suspend a station at once. Only the guardian, and only a few in each epoch."""
    network, account, data = place.network(), parse_address(station), evidence_of(evidence, text)
    digest = Archive(place.reach.store()).put(data).sha256
    receipt = network.registry.suspend_station(sender.of(network), account, digest)
    told(receipt, f"station {account} is suspended, evidence {digest}", json_output, evidence=digest)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def vote(
    place: Place,
    sender: Sender,
    station: StationArgument,
    evidence: EvidenceOption = None,
    text: TextOption = None,
    json_output: JsonOption = False,
) -> None:
    """Vote to suspend another station; two thirds of the active stations suspend it."""
    network, account, data = place.network(), parse_address(station), evidence_of(evidence, text)
    digest = Archive(place.reach.store()).put(data).sha256
    receipt = network.registry.vote_suspend(sender.of(network), account, digest)
    suspended = network.registry.station_of(account).suspended
    words = "and is suspended now" if suspended else "which isn't enough yet"
    told(receipt, f"voted against station {account}, {words}", json_output, evidence=digest, suspended=suspended)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def reinstate(place: Place, sender: Sender, station: StationArgument, json_output: JsonOption = False) -> None:
    """End a suspension. Only the registrar."""
    network, account = place.network(), parse_address(station)
    receipt = network.registry.reinstate_station(sender.of(network), account)
    told(receipt, f"station {account} is active again", json_output)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def ballot(
    place: Place,
    sender: Sender,
    candidates: Annotated[list[str] | None, typer.Argument(help="Stations; none withdraws the ballot.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Say whom a station wants as producers; it replaces its former ballot."""
    network = place.network()
    stations = network.registry.stations()
    chosen = 0
    for text in candidates or ():
        candidate: Address = parse_address(text)
        if candidate not in stations:
            raise BadInputError(f"{candidate}: expected a registered station; scripts/guard.py status lists them")
        chosen |= 1 << stations.index(candidate)
    receipt = network.registry.cast_ballot(sender.of(network), chosen)
    told(receipt, f"ballot for {chosen.bit_count()} stations", json_output)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def elect(
    place: Place,
    sender: Sender,
    seats: Annotated[int, typer.Argument(help="How many producers.", min=1, max=64, show_default=False)],
    json_output: JsonOption = False,
) -> None:
    """Make the stations with the most weight behind them the producers of all rounds to come."""
    network = place.network()
    receipt = network.registry.elect(sender.of(network), seats)
    elected = members_of(network.registry.station_sets()[1], network.registry.stations())
    told(receipt, f"elected: {', '.join(elected)}", json_output, producers=list(elected))


if __name__ == "__main__":
    run(app)
