"""What an audit found, as values: a tree of twin, rounds and stations, and one verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chain.checks import Finding
from chain.possession_report import PossessionAudit
from chain.values import Head
from twins.canonical import Json
from twins.types import Address, Digest, TwinId
from twins.updates import Rejection


@dataclass(frozen=True)
class StationAudit:
    """One station's update.

    Attributes:
        station: its account.
        round: for which round.
        update: digest of its manifest.
        trained_round: for which its devices trained: earlier than ``round`` when it came late.
        devices: how many contributed; None when that could not be read.
        examples: as recorded on the chain.
        staleness: in rounds.
        late: recorded, but not counted.
        rule: of tier 1; None when that could not be read.
        metrics: what the station said it measured; not recomputable from updates.
        rejections: devices whose updates the station didn't use, and why, as it says.
        excluded: rejected by the consortium: in no model, and what is wrong here is why.
        unchecked: what could not be checked for want of a grant, or None.
        findings: everything that is wrong here.
    """

    station: Address
    round: int
    trained_round: int
    update: Digest
    devices: int | None
    examples: int
    staleness: int
    late: bool
    rule: str | None
    metrics: Mapping[str, Json]
    rejections: tuple[Rejection, ...]
    excluded: bool
    unchecked: str | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Incident:
    """Something that the record tells of somebody, which makes no model wrong.

    Attributes:
        kind: e.g. ``dissent``, ``missing``, ``rejected``, ``suspended``.
        round: in which; None outside of any.
        who: the station or device that it is about.
        text: what happened.
    """

    kind: str
    round: int | None
    who: Address
    text: str

    def __str__(self) -> str:
        """One line."""
        place = "" if self.round is None else f" [round {self.round}]"
        return f"{self.kind}{place} {self.who}: {self.text}"


@dataclass(frozen=True)
class RoundAudit:
    """One final round, or the genesis.

    Attributes:
        number: 0 for the genesis.
        model: manifest digest.
        parent: the model before; None for the genesis.
        attesters: who voted for it.
        quorum: votes that it needed; 0 for the genesis.
        missing: stations of the electorate without an accepted update.
        stations: the accepted updates.
        findings: what is wrong with the model itself.
    """

    number: int
    model: Digest
    parent: Digest | None
    attesters: tuple[Address, ...]
    quorum: int
    missing: tuple[Address, ...]
    stations: tuple[StationAudit, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit.

    Attributes:
        twin: which one.
        name: by its manifest.
        block: at which the chain was read.
        head: the chain's.
        rounds: genesis first.
        uncounted: updates that were recorded but not accepted into a final round.
        incidents: who did what, in the order of the chain; none of it makes a model wrong.
        findings: what is wrong with the lineage as a whole.
        possession: who has proven to hold the twin's models, and when; None if that wasn't looked at.
    """

    twin: TwinId
    name: str
    block: int
    head: Head
    rounds: tuple[RoundAudit, ...]
    uncounted: tuple[StationAudit, ...]
    incidents: tuple[Incident, ...]
    findings: tuple[Finding, ...]
    possession: PossessionAudit | None = None

    def all_findings(self) -> Iterator[Finding]:
        """Yield every finding, the lineage's first, then by round."""
        yield from self.findings
        for number in self.rounds:
            yield from number.findings
            for station in number.stations:
                yield from station.findings
        for station in self.uncounted:
            if not station.excluded:
                yield from station.findings
        if self.possession is not None:
            yield from self.possession.findings

    @property
    def updates(self) -> tuple[StationAudit, ...]:
        """Every recorded update: the accepted ones by round, then the others."""
        return (*(station for number in self.rounds for station in number.stations), *self.uncounted)

    @property
    def unchecked(self) -> tuple[StationAudit, ...]:
        """Updates of which something could not be checked for want of a grant."""
        return tuple(update for update in self.updates if update.unchecked is not None)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return next(self.all_findings(), None) is None

    @property
    def complete(self) -> bool:
        """Whether everything could be checked."""
        return not self.unchecked

    @property
    def verdict(self) -> str:
        """One word."""
        if not self.ok:
            return "failed"
        return "verified" if self.complete else "incomplete"

    def to_json(self) -> dict[str, Json]:
        """Return the report as JSON values."""
        return {
            "twin": self.twin,
            "name": self.name,
            "block": self.block,
            "head": {"round": self.head.number, "model": self.head.model},
            "verdict": self.verdict,
            "checked": {
                "rounds": len(self.rounds),
                "station_updates": len(self.updates),
                "device_updates": sum(update.devices or 0 for update in self.updates if update.unchecked is None),
                "unchecked_updates": len(self.unchecked),
            },
            "rounds": [
                {
                    "round": number.number,
                    "model": number.model,
                    "parent": number.parent,
                    "attesters": list(number.attesters),
                    "quorum": number.quorum,
                    "missing": list(number.missing),
                    "stations": [_station_json(station) for station in number.stations],
                    "findings": [_finding_json(finding) for finding in number.findings],
                }
                for number in self.rounds
            ],
            "uncounted": [_station_json(station) for station in self.uncounted],
            "possession": None if self.possession is None else self.possession.to_json(),
            "incidents": [vars(incident) for incident in self.incidents],
            "findings": [_finding_json(finding) for finding in self.all_findings()],
        }


def _station_json(audit: StationAudit) -> dict[str, Json]:
    return {
        "station": audit.station,
        "round": audit.round,
        "trained_round": audit.trained_round,
        "update": audit.update,
        "devices": audit.devices,
        "examples": audit.examples,
        "staleness": audit.staleness,
        "late": audit.late,
        "rule": audit.rule,
        "metrics": dict(audit.metrics),
        "rejections": [{"device": r.device, "reason": str(r.reason), "detail": r.detail} for r in audit.rejections],
        "excluded": audit.excluded,
        "unchecked": audit.unchecked,
        "findings": [_finding_json(finding) for finding in audit.findings],
    }


def _finding_json(finding: Finding) -> dict[str, Json]:
    return {"check": finding.check, "where": finding.where, "expected": finding.expected, "got": finding.got}
