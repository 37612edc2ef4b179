"""Who still holds a twin's models, slot by slot: look on, challenge now, report, or hold.

Examples:
    scripts/integrity.py watch                      live: every twin, holder and slot
    scripts/integrity.py watch watch --slots 3 --json      one JSON object per verdict, for three slots
    scripts/integrity.py challenge now watch        a fresh challenge for the copies that this machine can read
    scripts/integrity.py report watch               the whole history, judged again from the chain
    scripts/integrity.py report watch --max-age 1200    … exit code 1 unless it was proven in the last 20 minutes
    scripts/integrity.py hold --account 1           prove as station 1 of a devnet, without rounds
    scripts/integrity.py hold --key station.json --ipfs http://127.0.0.1:5001

What a slot is, and what a proof says: docs/protocol-pdp.md. Exit codes: 0 all is well,
1 somebody failed or the twin isn't fresh, 2 it could not be found out, 130 Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from chain.audit_values import Verdict
from chain.clock import Moment, SlotClock
from chain.possession_audit import SlotVerdict, audit_possession
from chain.slot_steps import SlotAction, SlotStep
from scripts.audited import Audited, audited, challenges, devnet_stations
from scripts.cli import BadInputError, JsonOption, PlainCommand, application, err, out, print_json, run
from scripts.connections import Network, warn
from scripts.home import Home
from scripts.possession import PossessionThread, holding_of, possession_of
from scripts.record_options import Place, Sender, place, sender, wide, with_options
from scripts.signals import end_on_sigterm
from scripts.told import slot_told
from twins.archive import Archive
from twins.types import Address, TwinId, twin_id

_LOOK = 1.0  # seconds between looks

_STYLES = {
    Verdict.PROVEN: "green",
    Verdict.ATTESTED: "green",
    Verdict.PROVISIONAL: "yellow",
    Verdict.PENDING: "dim",
    Verdict.FAILED: "bold red",
    Verdict.VOID: "yellow",
}

TwinsArgument = Annotated[list[str] | None, typer.Argument(help="Names of twins [all that are audited].")]
TwinArgument = Annotated[str, typer.Argument(help="Name of the twin.", show_default=False)]

app = application(__doc__)


class When(StrEnum):
    """When to challenge."""

    NOW = "now"


def verdicts(network: Network, twin: TwinId, slot: int) -> list[tuple[Address, Verdict]]:
    """Return what follows for each holder of a twin in a slot, at the newest block."""
    audit = network.audit
    return [(h, audit.verdict(twin, h, slot, audit.now_block)) for h in audit.holders_of(twin, audit.now_block)]


@app.command(cls=PlainCommand)
@with_options(place)
def watch(
    place: Place,
    twins: TwinsArgument = None,
    slots: Annotated[int | None, typer.Option(help="Stop after so many slots [never].", min=1)] = None,
    json_output: JsonOption = False,
) -> None:
    """Show every twin, holder and slot as they come. Exit code 1 if somebody failed meanwhile."""
    network, archive = place.network(), Archive(place.reach.store())
    clock, watched = SlotClock(network.audit), audited(network, archive, twins or ())
    last = None if slots is None else clock.read().slot + slots
    failed = 0
    seen: dict[tuple[TwinId, Address, int], Verdict] = {}
    with ExitStack() as stack:
        live = None if json_output else stack.enter_context(Live(console=out, refresh_per_second=4, transient=False))
        while True:
            moment = clock.read()
            for one in watched:
                for slot in range(max(0, moment.slot - 2), moment.slot + 1):
                    for holder, verdict in verdicts(network, one.twin, slot):
                        key = (one.twin, holder, slot)
                        if seen.get(key) is verdict:
                            continue
                        seen[key] = verdict
                        failed += verdict is Verdict.FAILED
                        if json_output and verdict is not Verdict.NOT_DUE:
                            row = {"twin": one.name, "holder": holder, "slot": slot, "verdict": str(verdict)}
                            print_json({"time": moment.time, **row})
            if live is not None:
                live.update(_table(clock, moment, watched, seen))
            if last is not None and moment.slot >= last:
                break
            network.chain.sleep(_LOOK)
    if failed:
        raise typer.Exit(1)


def _table(
    clock: SlotClock, moment: Moment, watched: Sequence[Audited], seen: dict[tuple[TwinId, Address, int], Verdict]
) -> Table:
    shown = [slot for slot in range(moment.slot - 2, moment.slot + 1) if slot >= 0]
    title = (
        f"slot {moment.slot}, {moment.phase}: {moment.left} s left; the next slot in "
        f"{clock.start_of(moment.slot + 1) - moment.time} s; the chain is {moment.skew:.0f} s behind this machine"
    )
    table = Table("twin", "holder", *(f"slot {slot}" for slot in shown), title=title, title_justify="left")
    for one in watched:
        for holder in sorted({h for twin, h, _ in seen if twin == one.twin}):
            cells = []
            for slot in shown:
                verdict = seen.get((one.twin, holder, slot), Verdict.NOT_DUE)
                cells.append(f"[{_STYLES.get(verdict, 'dim')}]{verdict}[/]")
            table.add_row(one.name, holder, *cells)
    return table


@app.command(cls=PlainCommand)
@with_options(place)
def challenge(
    place: Place,
    when: Annotated[When, typer.Argument(help="now: the chain's own challenges come with its slots.")],
    twin: TwinArgument,
    json_output: JsonOption = False,
) -> None:
    """Challenge the copies that this machine can read, with a seed of its own: nothing is sent to the chain.

    Each IPFS node that is named (or the folder of artifacts) answers for itself, over the tags that the chain names.
    """
    network, archive = place.network(), Archive(place.reach.store())
    audited(network, archive, [twin])
    rows = list(challenges(place, network, archive, twin_id(twin)))
    if not rows:
        raise BadInputError(f"twin {twin}: expected tags in force, got none yet; wait for the next slot")
    if json_output:
        print_json({"twin": twin, "copies": rows})
    else:
        table = Table("copy", "lane of", "round", "blocks", "result", "ms")
        for row in rows:
            style = "green" if row["ok"] else "bold red"
            milliseconds = "" if row["seconds"] is None else f"{1000 * float(str(row['seconds'])):.0f}"
            cells = (str(row["copy"]), str(row["tagger"]), str(row["version"]), str(row["blocks"]))
            table.add_row(*cells, f"[{style}]{row['result']}[/]", milliseconds)
        wide(table)
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
@with_options(place)
def report(
    place: Place,
    twin: TwinArgument,
    max_age: Annotated[int | None, typer.Option(help="Seconds since the newest proof, at most.", min=1)] = None,
    json_output: JsonOption = False,
) -> None:
    """Judge a twin's possession history again, from the chain alone. Exit code 1 if somebody failed, or it isn't fresh.

    A slot is void where too few stations revealed: nobody fails then.
    """
    network, archive = place.network(), Archive(place.reach.store())
    audited(network, archive, [twin])
    audit = network.audit
    found = audit_possession(audit, twin_id(twin), network.since, network.registry.stations())
    state = audit.time_state(twin_id(twin), audit.now_block)
    fresh = None if max_age is None else audit.is_fresh(twin_id(twin), max_age, audit.now_block)
    if json_output:
        print_json({"twin": twin, **found.to_json(), "time_state": vars(state), "fresh": fresh})
    else:
        _show(found.rows)
        for slot, stations in found.withheld.items():
            out.print(f"slot {slot}: withheld its reveal: {', '.join(stations)}", markup=False)
        for finding in found.findings:
            err.print(f"{finding.check} {finding.where}: expected {finding.expected}, got {finding.got}", markup=False)
        if state.proven:
            now = SlotClock(audit).read().time
            out.print(
                f"round {state.version} was whole at {state.sealed_at} (slot {state.slot}, {now - state.sealed_at} s "
                f"ago): {state.holders} holders in {state.taggers} lanes"
            )
        else:
            out.print(f"round {state.version} has not been proven yet")
        counts = ", ".join(f"{found.count(v)} {v}" for v in Verdict if found.count(v)) or "nobody was asked"
        out.print(f"{counts}; {found.verified} proofs verified here")
        if fresh is not None:
            out.print("fresh" if fresh else f"not fresh: not proven by enough in the last {max_age} s")
    if found.failed or found.findings or fresh is False:
        raise typer.Exit(1)


def _show(rows: Sequence[SlotVerdict]) -> None:
    table = Table("slot", "holder", "lane of", "round", "verdict", "why")
    for row in rows:
        style = _STYLES.get(row.verdict, "dim")
        table.add_row(str(row.slot), row.holder, row.tagger, str(row.version), f"[{style}]{row.verdict}[/]", row.why)
    wide(table)


@app.command(cls=PlainCommand)
@with_options(place, sender)
def hold(
    place: Place,
    sender: Sender,
    twins: TwinsArgument = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="On a devnet: all its stations, whose keys are public, in this process.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Be a holder, and a tagger where the twin's policy says so, without taking part in rounds. Ends with Ctrl-C."""
    end_on_sigterm()
    network, archive = place.network(), Archive(place.reach.store())
    watched = audited(network, archive, twins or ())
    accounts = devnet_stations(network) if everyone else [sender.of(network)]
    folder = Home(place.home).tagging_keys
    many = len(place.reach.endpoints())
    parts = [
        possession_of(
            Network.open(place.reach.chain(), place.deployment or Home(place.home).deployment),
            archive,
            holding_of(place.reach.only(index % many) if everyone and many else place.reach, archive),
            account,
            [one.twin for one in watched],
            folder,
            warn,
        )
        for index, account in enumerate(accounts)
    ]

    def tell(step: SlotStep) -> None:
        told = slot_told(step)
        if json_output:
            print_json(told.to_json())
        else:
            out.print(told.words, style="red" if step.action is SlotAction.FAILED else None, markup=False)

    with PossessionThread(parts[0].clock, parts, tell):
        while True:
            network.chain.sleep(_LOOK)


if __name__ == "__main__":
    run(app)
