"""What an audit found, as values: a tree of twin, rounds and stations, and one verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chain.checks import Finding
from chain.values import Head
from twins.canonical import Json
from twins.types import Address, Digest, TwinId


@dataclass(frozen=True)
class StationAudit:
    """One station's update.

    Attributes:
        station: its account.
        round: for which round.
        update: digest of its manifest.
        devices: how many contributed; None when that could not be read.
        examples: as recorded on the chain.
        staleness: in rounds.
        late: recorded, but not counted.
        rule: of tier 1; None when that could not be read.
        metrics: what the station said it measured; not recomputable from updates.
        findings: everything that is wrong here.
    """

    station: Address
    round: int
    update: Digest
    devices: int | None
    examples: int
    staleness: int
    late: bool
    rule: str | None
    metrics: Mapping[str, Json]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class RoundAudit:
    """One final round, or the genesis.

    Attributes:
        number: 0 for the genesis.
        model: manifest digest.
        parent: the model before; None for the genesis.
        attesters: who voted for it.
        stations: the accepted updates.
        findings: what is wrong with the model itself.
    """

    number: int
    model: Digest
    parent: Digest | None
    attesters: tuple[Address, ...]
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
        findings: what is wrong with the lineage as a whole.
    """

    twin: TwinId
    name: str
    block: int
    head: Head
    rounds: tuple[RoundAudit, ...]
    uncounted: tuple[StationAudit, ...]
    findings: tuple[Finding, ...]

    def all_findings(self) -> Iterator[Finding]:
        """Yield every finding, the lineage's first, then by round."""
        yield from self.findings
        for number in self.rounds:
            yield from number.findings
            for station in number.stations:
                yield from station.findings
        for station in self.uncounted:
            yield from station.findings

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return next(self.all_findings(), None) is None

    def to_json(self) -> dict[str, Json]:
        """Return the report as JSON values."""
        updates = [station for number in self.rounds for station in number.stations]
        return {
            "twin": self.twin,
            "name": self.name,
            "block": self.block,
            "head": {"round": self.head.number, "model": self.head.model},
            "verdict": "verified" if self.ok else "failed",
            "checked": {
                "rounds": len(self.rounds),
                "station_updates": len(updates) + len(self.uncounted),
                "device_updates": sum(station.devices or 0 for station in (*updates, *self.uncounted)),
            },
            "rounds": [
                {
                    "round": number.number,
                    "model": number.model,
                    "parent": number.parent,
                    "attesters": list(number.attesters),
                    "stations": [_station_json(station) for station in number.stations],
                    "findings": [_finding_json(finding) for finding in number.findings],
                }
                for number in self.rounds
            ],
            "uncounted": [_station_json(station) for station in self.uncounted],
            "findings": [_finding_json(finding) for finding in self.all_findings()],
        }


def _station_json(audit: StationAudit) -> dict[str, Json]:
    return {
        "station": audit.station,
        "round": audit.round,
        "update": audit.update,
        "devices": audit.devices,
        "examples": audit.examples,
        "staleness": audit.staleness,
        "late": audit.late,
        "rule": audit.rule,
        "metrics": dict(audit.metrics),
        "findings": [_finding_json(finding) for finding in audit.findings],
    }


def _finding_json(finding: Finding) -> dict[str, Json]:
    return {"check": finding.check, "where": finding.where, "expected": finding.expected, "got": finding.got}
