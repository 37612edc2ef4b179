"""What a report is made of: plain values, so that whatever ran the rounds can fill them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RoundRow:
    """One round of the run.

    Attributes:
        number: from 1 (0, if given, is the genesis).
        accuracy: of the round's model, as a fraction; None when it was not measured.
        loss: of the round's model; None when it was not measured.
        stations: whose updates were merged.
        devices: that contributed to them.
        digest: of the model's manifest.
        parent: digest of the model before; None for the genesis.
        gas: of all the round's transactions.
        seconds: the whole round, by the clock on the wall.
        phases: seconds by phase, e.g. ``train``, ``record``, ``merge``, ``evaluate``, in the
            order to draw them.
    """

    number: int
    accuracy: float | None
    loss: float | None
    stations: int
    devices: int
    digest: str
    parent: str | None
    gas: int
    seconds: float
    phases: Mapping[str, float]


@dataclass(frozen=True)
class Tampering:
    """One deliberate falsification and what the audit made of it.

    Attributes:
        what: was changed, in words.
        findings: of the audit, as JSON: ``check``, ``where``, ``expected``, ``got``. None at
            all means that it went unseen.
    """

    what: str
    findings: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ReportData:
    """Everything in a report.

    Attributes:
        title: of the page.
        settings: of the run.
        rounds: in order.
        audit: ``chain.audit_report.AuditReport.to_json()``; empty when there was no audit.
        tampering: falsifications tried after the run.
        gas: of each receipt, by operation.
        timings: seconds by step of the whole job.
        versions: of the software that ran.
    """

    title: str
    settings: Mapping[str, str]
    rounds: Sequence[RoundRow]
    audit: Mapping[str, Any]
    tampering: Sequence[Tampering]
    gas: Mapping[str, Sequence[int]]
    timings: Mapping[str, float]
    versions: Mapping[str, str]
