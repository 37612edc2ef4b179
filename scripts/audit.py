"""Audit a twin: walk its lineage from the chain's head to the genesis and recompute every step.

Examples:
    scripts/audit.py watch                             the whole lineage of the twin "watch"
    scripts/audit.py watch --expected-head 0x3f…       … which must contain this model
    scripts/audit.py watch --json | jq .verdict        for programs
    scripts/audit.py watch --rpc http://10.0.0.7:8545 --deployment d.json --artifacts /mnt/blocks
    scripts/audit.py watch --rpc http://10.0.0.7:8545 --deployment d.json --ipfs http://10.0.0.7:5001 --ipfs-tokens t

Exit codes: 0 verified, 1 something is wrong (each finding says what was expected and what is there), 2 the audit
could not be made. A clean audit remembers the head; the next one must still find it in the lineage, so that a
rolled-back chain is noticed (--forget starts anew).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.tree import Tree

from chain.audit_report import AuditReport, RoundAudit, StationAudit
from chain.auditor import Auditor
from chain.checks import Finding
from fl.replay import Replayer
from scripts.cli import (
    DEFAULT_HOME,
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
)
from scripts.home import Home
from twins.archive import Archive
from twins.store import ArtifactStore
from twins.types import Digest, parse_digest, twin_id


def audit_twin(
    network: Network,
    store: ArtifactStore,
    name: str,
    expected: tuple[Digest, ...],
    console: Console,
    trusted: Sequence[str] = (),
) -> AuditReport:
    """Audit with a progress bar on ``console``."""
    auditor = Auditor(network.registry, network.ledger, network.since, Archive(store), Replayer(trusted))
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"auditing {name}", total=None)
        return auditor.audit(
            twin_id(name),
            expected=expected,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def render_report(report: AuditReport) -> Tree:
    """Draw the report as a tree: head first, genesis last."""
    verdict = "[bold green]verified[/]" if report.ok else "[bold red]FAILED[/]"
    tree = Tree(f"twin [bold]{report.name}[/] {report.twin}\nblock {report.block}: {verdict}")
    _add_findings(tree, report.findings)
    for number in reversed(report.rounds):
        _add_round(tree, number)
    if report.uncounted:
        branch = tree.add("recorded, but in no final model")
        for station in report.uncounted:
            _add_station(branch, station)
    return tree


def _add_round(tree: Tree, number: RoundAudit) -> None:
    name = "genesis" if number.number == 0 else f"round {number.number}"
    stations = number.stations
    bad = bool(number.findings) or any(station.findings for station in stations)
    mark = "[red]✗[/]" if bad else "[green]✓[/]"
    devices = sum(station.devices or 0 for station in stations)
    detail = f" {len(stations)} stations, {devices} devices, {len(number.attesters)} attested" if stations else ""
    branch = tree.add(f"{mark} {name} {number.model[:18]}…{detail}")
    _add_findings(branch, number.findings)
    for station in stations:
        _add_station(branch, station)


def _add_station(tree: Tree, station: StationAudit) -> None:
    mark = "[red]✗[/]" if station.findings else "[green]✓[/]"
    devices = "devices unknown" if station.devices is None else f"{station.devices} devices"
    notes = [devices, f"{station.examples} examples"]
    if station.staleness:
        notes.append(f"{station.staleness} rounds stale")
    if station.late:
        notes.append("late")
    branch = tree.add(
        f"{mark} station {station.station} {', '.join(notes)}", style="dim" if not station.findings else ""
    )
    _add_findings(branch, station.findings)


def _add_findings(tree: Tree, findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        node = tree.add(f"[red]{escape(finding.check)}[/] {escape(finding.where)}")
        node.add(f"expected {escape(finding.expected)}")
        node.add(f"got      {escape(finding.got)}")


@command(__doc__)
def main(
    twin: Annotated[str, typer.Argument(help="Name of the twin.", show_default=False)],
    home: HomeOption = DEFAULT_HOME,
    rpc: RpcOption = None,
    deployment: Annotated[Path | None, typer.Option(help="Deployment file [HOME/deployment.json].")] = None,
    artifacts: Annotated[
        Path | None,
        typer.Option(help="Folder of an embedded store [the devnet's IPFS nodes, or HOME/artifacts]."),
    ] = None,
    ipfs: IpfsOption = None,
    ipfs_tokens: IpfsTokensOption = None,
    confirmations: ConfirmationsOption = None,
    patience: PatienceOption = 0.0,
    expected_head: Annotated[
        list[str] | None, typer.Option(help="A model digest that must be in the lineage; may be repeated.")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Don't hold the chain against the head of the last clean audit.")
    ] = False,
    trust_strategy: Annotated[
        list[str] | None,
        typer.Option(help="Your own strategy module:Class that the record may name; its code is run. May be repeated."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Audit a twin (see --help)."""
    place = Home(home)
    expected = [parse_digest(digest) for digest in expected_head or ()]
    reach = Reach(place, rpc, tuple(ipfs or ()), ipfs_tokens, artifacts, confirmations=confirmations, patience=patience)
    network = Network.open(reach.chain(), deployment or place.deployment)
    identity = twin_id(twin)
    remembered = None if forget else place.remembered_head(identity)
    if remembered is not None:
        expected.append(remembered)
    report = audit_twin(network, reach.store(), twin, tuple(expected), err, trust_strategy or ())
    if report.ok:
        place.remember_head(identity, report.head.model)
    if json_output:
        print_json(report.to_json())
    else:
        # As wide as it is: a cut address can't be copied from a pipe.
        Console(width=max(out.width, 140), highlight=False).print(render_report(report))
        out.print(summary(report))
    if not report.ok:
        raise typer.Exit(1)


def summary(report: AuditReport) -> str:
    """One line: what was checked and the verdict."""
    checked = report.to_json()["checked"]
    text = (
        f"{checked['rounds']} models, {checked['station_updates']} station updates, "
        f"{checked['device_updates']} device updates recomputed: "
    )
    count = len(list(report.all_findings()))
    return text + ("[bold green]verified[/]" if not count else f"[bold red]{count} findings[/]")


if __name__ == "__main__":
    run(main)
