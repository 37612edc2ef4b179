"""An audit's report as people read it: a tree with the head first, and one line for all of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.tree import Tree

from chain.audit_report import AuditReport, RoundAudit, StationAudit
from chain.audit_values import Verdict
from chain.checks import Finding
from chain.possession_report import PossessionAudit
from twins.types import Address

_VERDICTS = {
    "verified": "[bold green]verified[/]",
    "incomplete": "[bold yellow]incomplete[/]",
    "failed": "[bold red]FAILED[/]",
}
_SHOWN = 12  # of the newest failures
_GOOD, _BAD, _UNKNOWN = "[green]✓[/]", "[red]✗[/]", "[yellow]?[/]"


def render_report(report: AuditReport) -> Tree:
    """Draw the report as a tree: head first, genesis last."""
    tree = Tree(f"twin [bold]{report.name}[/] {report.twin}\nblock {report.block}: {_VERDICTS[report.verdict]}")
    _add_findings(tree, report.findings)
    for number in reversed(report.rounds):
        _add_round(tree, number)
    if report.uncounted:
        branch = tree.add("recorded, but in no final model")
        for station in report.uncounted:
            _add_station(branch, station)
    if report.possession is not None and report.possession.rows:
        _add_possession(tree, report.possession)
    if report.incidents:
        branch = tree.add("what happened besides")
        for incident in report.incidents:
            branch.add(escape(str(incident)))
    return tree


def summary(report: AuditReport) -> str:
    """One line: what was checked, what couldn't be, and the verdict."""
    checked = report.to_json()["checked"]
    parts = [f"{checked['rounds']} models", f"{checked['station_updates']} station updates"]
    parts.append(f"{checked['device_updates']} device updates recomputed")
    if report.unchecked:
        parts.append(f"those of {checked['unchecked_updates']} station updates are sealed and no key here opens them")
    count = len(list(report.all_findings()))
    verdict = f"[bold red]{count} findings[/]" if count else _VERDICTS[report.verdict]
    return f"{', '.join(parts)}: {verdict}"


def _add_round(tree: Tree, number: RoundAudit) -> None:
    name = "genesis" if number.number == 0 else f"round {number.number}"
    stations = number.stations
    bad = bool(number.findings) or any(station.findings for station in stations)
    unknown = any(station.unchecked for station in stations)
    notes = []
    if stations:
        devices = sum(station.devices or 0 for station in stations)
        votes = f"{len(number.attesters)} attested of {number.quorum} needed"
        notes = [f"{len(stations)} stations", f"{devices} devices", votes]
    if number.missing:
        notes.append(f"without {_listed(number.missing)}")
    branch = tree.add(f"{_mark(bad, unknown)} {name} {number.model[:18]}… {', '.join(notes)}".rstrip())
    _add_findings(branch, number.findings)
    for station in stations:
        _add_station(branch, station)


def _add_station(tree: Tree, station: StationAudit) -> None:
    devices = "devices unknown" if station.devices is None else f"{station.devices} devices"
    notes = [devices, f"{station.examples} examples"]
    if station.trained_round != station.round:
        notes.append(f"trained for round {station.trained_round}")
    if station.staleness:
        notes.append(f"{station.staleness} rounds stale")
    if station.late:
        notes.append("late")
    if station.excluded:
        notes.append("excluded by the consortium")
    mark = _mark(bool(station.findings), station.unchecked is not None)
    branch = tree.add(f"{mark} station {station.station} {', '.join(notes)}", style="" if station.findings else "dim")
    for rejection in station.rejections:
        branch.add(escape(f"rejected device {rejection.device}: {rejection.reason} ({rejection.detail})"))
    if station.unchecked is not None:
        branch.add(f"[yellow]not checked[/] {escape(station.unchecked)}")
    _add_findings(branch, station.findings)


def _add_possession(tree: Tree, possession: PossessionAudit) -> None:
    slots = len({row.slot for row in possession.rows})
    counts = ", ".join(f"{possession.count(v)} {v}" for v in Verdict if possession.count(v))
    bad = bool(possession.findings or possession.failed)
    words = f"possession in {slots} slots: {counts}; {possession.verified} proofs verified here"
    branch = tree.add(f"{_mark(bad, False)} {words}")
    for row in possession.failed[-_SHOWN:]:
        branch.add(f"[red]failed[/] slot {row.slot}, holder {row.holder}: {escape(row.why)}")
    for slot, stations in list(possession.withheld.items())[-_SHOWN:]:
        branch.add(f"slot {slot}: withheld by {_listed(stations)}")
    _add_findings(branch, possession.findings)


def _mark(bad: bool, unknown: bool) -> str:
    return _BAD if bad else _UNKNOWN if unknown else _GOOD


def _listed(stations: Sequence[Address]) -> str:
    return ", ".join(f"{station[:10]}…" for station in stations)


def _add_findings(tree: Tree, findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        node = tree.add(f"[red]{escape(finding.check)}[/] {escape(finding.where)}")
        node.add(f"expected {escape(finding.expected)}")
        node.add(f"got      {escape(finding.got)}")
