"""An audit's verdict: wrong beats unchecked beats verified, and what the consortium threw out spoils no model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from chain.audit_report import AuditReport, Incident, RoundAudit, StationAudit
from chain.checks import Finding
from chain.values import Head
from tests.unit.chain.test_lineage import STATIONS, TWIN, digest
from twins.updates import Rejection, RejectionReason

pytestmark = pytest.mark.unit

FINDING = Finding("tier-1", "here", "this", "that")
GOOD = StationAudit(
    station=STATIONS[0],
    round=1,
    trained_round=1,
    update=digest("update"),
    devices=2,
    examples=30,
    staleness=0,
    late=False,
    rule="twinledger/weighted-mean@1",
    metrics={"train_loss": 0.5},
    rejections=(Rejection(STATIONS[2], RejectionReason.NORM, "norm 9 beyond 5"),),
    excluded=False,
    unchecked=None,
    findings=(),
)
CLOSED = replace(GOOD, unchecked="expected a grant")
WRONG = replace(GOOD, findings=(FINDING,))
ROUND = RoundAudit(
    number=1,
    model=digest("model 1"),
    parent=digest("model 0"),
    attesters=STATIONS[:2],
    quorum=2,
    missing=STATIONS[2:],
    stations=(GOOD,),
    findings=(),
)
REPORT = AuditReport(
    twin=TWIN,
    name="watch",
    block=9,
    head=Head(1, digest("model 1")),
    rounds=(ROUND,),
    uncounted=(),
    incidents=(Incident("missing", 1, STATIONS[2], "no update in time"),),
    findings=(),
)


def with_station(*stations: StationAudit) -> AuditReport:
    return replace(REPORT, rounds=(replace(ROUND, stations=stations),))


def test_nothing_wrong_and_everything_checked_is_verified() -> None:
    assert (REPORT.verdict, REPORT.ok, REPORT.complete) == ("verified", True, True)


def test_what_could_not_be_checked_is_never_called_verified() -> None:
    report = with_station(GOOD, CLOSED)
    assert (report.verdict, report.ok, report.complete) == ("incomplete", True, False)
    assert report.unchecked == (CLOSED,)
    assert replace(REPORT, uncounted=(CLOSED,)).verdict == "incomplete"


@pytest.mark.parametrize(
    "report",
    [
        with_station(GOOD, WRONG),
        with_station(CLOSED, WRONG),
        replace(REPORT, findings=(FINDING,)),
        replace(REPORT, rounds=(replace(ROUND, findings=(FINDING,)),)),
        replace(REPORT, uncounted=(WRONG,)),
    ],
    ids=["station", "beside what is closed", "lineage", "round", "uncounted"],
)
def test_one_finding_anywhere_fails_the_audit(report: AuditReport) -> None:
    assert (report.verdict, list(report.all_findings())) == ("failed", [FINDING])


def test_what_is_wrong_with_an_update_that_was_thrown_out_is_told_and_fails_nothing() -> None:
    report = replace(REPORT, uncounted=(replace(WRONG, excluded=True),))
    assert report.verdict == "verified"
    (told,) = report.to_json()["uncounted"]
    assert told["excluded"]
    assert told["findings"] == [{"check": "tier-1", "where": "here", "expected": "this", "got": "that"}]


def test_only_what_was_opened_counts_as_device_updates_checked() -> None:
    checked = with_station(GOOD, CLOSED, replace(GOOD, devices=None)).to_json()["checked"]
    assert checked == {"rounds": 1, "station_updates": 3, "device_updates": 2, "unchecked_updates": 1}


def test_the_report_as_json_has_rejections_missing_stations_and_incidents() -> None:
    whole = json.loads(json.dumps(REPORT.to_json()))
    (number,) = whole["rounds"]
    assert (number["quorum"], number["missing"]) == (2, [STATIONS[2]])
    assert number["stations"][0]["rejections"] == [
        {"device": STATIONS[2], "reason": "norm", "detail": "norm 9 beyond 5"}
    ]
    assert whole["incidents"] == [{"kind": "missing", "round": 1, "who": STATIONS[2], "text": "no update in time"}]


def test_an_incident_of_no_round_is_one_line_too() -> None:
    assert str(Incident("suspended", None, STATIONS[0], "by X")) == f"suspended {STATIONS[0]}: by X"
