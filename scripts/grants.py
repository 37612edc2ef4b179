"""Who may read the device updates that stations seal: readers' keys, the list of readers, grants that come later.

Examples:
    scripts/grants.py key mine.key                        make a reader's key; prints its public part
    scripts/grants.py list                                who gets a grant to every update from now on
    scripts/grants.py allow 0x3f…                         one more; running stations of this home take it at once
    scripts/grants.py revoke 0x3f…                        one less
    scripts/grants.py show --twin watch                   which reader was granted which updates
    scripts/grants.py issue --twin watch --reader 0x3f… --grants g.json --key station.json      the past too
    scripts/audit.py watch --reader-key mine.key --grants g.json

A grant can't be taken back: whoever was granted an update may have read it. Revoking ends with the updates to come.
A station of its own home has its own list. Exit codes: 0 done, 1 nothing to issue, 2 it could not be done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from chain.events import UpdateSubmitted
from scripts.cases import Case
from scripts.cli import (
    DEFAULT_HOME,
    BadInputError,
    HomeOption,
    JsonOption,
    PlainCommand,
    application,
    out,
    print_json,
    run,
)
from scripts.home import Home
from scripts.readers import KEY, create_reader_key, keep_readers, listed_readers, read_reader_key, write_grants
from scripts.record_options import Place, Sender, place, sender, wide, with_options
from twins.canonical import Json
from twins.encryption import Grant, ReaderId, ReaderKey, encryption_context, parse_reader_id
from twins.manifest import StationUpdateManifest
from twins.types import Digest, twin_id

ReaderArgument = Annotated[str, typer.Argument(help="Public key of the reader.", show_default=False)]

app = application(__doc__)


@app.command(cls=PlainCommand)
def key(
    file: Annotated[Path, typer.Argument(help="For the private key; never overwritten.", show_default=False)],
    json_output: JsonOption = False,
) -> None:
    """Make a reader's key."""
    made = ReaderKey.generate()
    if not create_reader_key(file, made):
        raise BadInputError(f"{file}: expected no such file, got one: a key is never overwritten")
    if json_output:
        print_json({"reader": made.public, "file": str(file)})
    else:
        out.print(made.public)


@app.command("list", cls=PlainCommand)
def list_readers(home: HomeOption = DEFAULT_HOME, json_output: JsonOption = False) -> None:
    """Show who gets a grant to every update from now on, unless a station's command names more."""
    readers = readers_of(Home(home))
    if json_output:
        print_json(list(readers))
    else:
        for reader in readers:
            out.print(reader)


@app.command(cls=PlainCommand)
def allow(reader: ReaderArgument, home: HomeOption = DEFAULT_HOME, json_output: JsonOption = False) -> None:
    """Grant every update from now on to one more reader."""
    place = Home(home)
    _keep(place, {*readers_of(place), parse_reader_id(reader)}, json_output)


@app.command(cls=PlainCommand)
def revoke(reader: ReaderArgument, home: HomeOption = DEFAULT_HOME, json_output: JsonOption = False) -> None:
    """Grant no update from now on to a reader."""
    place, gone = Home(home), parse_reader_id(reader)
    known = set(readers_of(place))
    if gone not in known:
        raise BadInputError(f"{gone}: expected one of the {len(known)} readers of {home}, got another; `list` has them")
    _keep(place, known - {gone}, json_output)


def readers_of(home: Home) -> tuple[ReaderId, ...]:
    """Return a home's list of readers: its own auditors, as long as nobody was allowed or revoked."""
    own = sorted((home.path / "keys").glob(f"**/{KEY}"))
    return listed_readers(home, tuple(read_reader_key(file).public for file in own))


def _keep(home: Home, readers: set[ReaderId], json_output: bool) -> None:
    keep_readers(home, tuple(readers))
    if json_output:
        print_json(sorted(readers))
    else:
        out.print(f"{len(readers)} readers from the next update on")


@app.command(cls=PlainCommand)
@with_options(place)
def show(
    place: Place,
    twin: Annotated[str, typer.Option(help="Name of the twin.", show_default=False)],
    json_output: JsonOption = False,
) -> None:
    """Show who was granted which updates when they were recorded."""
    case = place.case(twin_id(twin))
    rows: list[dict[str, Json]] = []
    for update in updates_of(case):
        encryption = case.archive.manifest(StationUpdateManifest, update.update).encryption
        readers = None if encryption is None else [grant.reader for grant in encryption.grants]
        rows.append({"round": update.round, "station": update.station, "update": update.update, "readers": readers})
    if json_output:
        print_json(rows)
        return
    table = Table("round", "station", "readers")
    for row in rows:
        told = "lies open" if row["readers"] is None else ", ".join(row["readers"]) or "nobody"
        table.add_row(str(row["round"]), row["station"], told)
    wide(table)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def issue(
    place: Place,
    sender: Sender,
    twin: Annotated[str, typer.Option(help="Name of the twin.", show_default=False)],
    reader: Annotated[str, typer.Option(help="Public key of the reader.", show_default=False)],
    grants: Annotated[Path, typer.Option(help="File for the grants; of use to the reader only.", show_default=False)],
    first: Annotated[int, typer.Option("--from", help="First round.", min=1)] = 1,
    last: Annotated[int | None, typer.Option("--to", help="Last round [the newest].", min=1)] = None,
    json_output: JsonOption = False,
) -> None:
    """Grant what a station has recorded to a reader that comes later. With the station's own key."""
    case, who = place.case(twin_id(twin)), parse_reader_id(reader)
    account = sender.of(case.network)
    secret, issued = account.station_secret, dict[Digest, tuple[Grant, ...]]()
    for update in updates_of(case):
        if update.station != account.address or update.round < first or (last is not None and update.round > last):
            continue
        manifest = case.archive.manifest(StationUpdateManifest, update.update)
        if manifest.encryption is not None:
            context = encryption_context(manifest.twin, manifest.trained_round, manifest.station)
            issued[update.update] = (secret.grant(manifest.encryption, context, who),)
    if issued:
        write_grants(grants, issued)
    if json_output:
        print_json({"station": account.address, "reader": who, "updates": len(issued)})
    else:
        out.print(f"station {account.address}: {len(issued)} updates granted to {who}")
    if not issued:
        raise typer.Exit(1)


def updates_of(case: Case) -> list[UpdateSubmitted]:
    """Return all recorded updates of a twin, late ones too, in the order of the chain."""
    events = case.network.ledger.events(case.twin, case.network.since, kinds=(UpdateSubmitted,))
    return [event for event in events if isinstance(event, UpdateSubmitted)]


if __name__ == "__main__":
    run(app)
