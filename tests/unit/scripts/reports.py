"""Data for reports as a run gives them, and a reader of the pages made from them."""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from scripts.report import ReportData, RoundRow, Tampering

FINDING = {"check": "tier-1", "where": "round 2", "expected": "the aggregate", "got": "another model"}


def digest(*of: object) -> str:
    return "0x" + hashlib.sha256(repr(of).encode()).hexdigest()


def row(number: int, stations: int = 3, accuracy: float | None = 0.5) -> RoundRow:
    phases = {"train": 1.5, "record": 0.2, "merge": 0.1, "evaluate": 0.2}
    model, parent = digest("model", number), digest("model", number - 1)
    return RoundRow(number, accuracy, 1.25, stations, 4 * stations, model, parent, 350_000 + number, 2.0, phases)


def audit(
    rounds: int, stations: int = 3, findings: Sequence[Mapping[str, str]] = (), name: str = "watch"
) -> dict[str, Any]:
    """What ``AuditReport.to_json`` gives; the findings concern the first station of the last round."""

    def update(number: int, station: int) -> dict[str, Any]:
        here = list(findings) if (number, station) == (rounds, 0) else []
        account, made = digest("station", station)[:42], digest("update", number, station)
        fixed = {"examples": 480, "staleness": 0, "late": False, "rule": "FedAvg", "metrics": {}}
        return {"station": account, "round": number, "update": made, "devices": 4, **fixed, "findings": here}

    accounts = [digest("station", station)[:42] for station in range(stations)]
    models = [
        {
            "round": number,
            "model": digest("model", number),
            "parent": digest("model", number - 1) if number else None,
            "attesters": accounts if number else [],
            "stations": [update(number, station) for station in range(stations)] if number else [],
            "findings": [],
        }
        for number in range(rounds + 1)
    ]
    updates = rounds * stations
    return {
        "twin": digest("twin"),
        "name": name,
        "block": 1287,
        "head": {"round": rounds, "model": digest("model", rounds)},
        "verdict": "failed" if findings else "verified",
        "checked": {"rounds": rounds + 1, "station_updates": updates, "device_updates": 4 * updates},
        "rounds": models,
        "uncounted": [],
        "findings": list(findings),
    }


def report(rounds: int = 3, stations: int = 3, findings: Sequence[Mapping[str, str]] = ()) -> ReportData:
    return ReportData(
        title="Twin watch",
        settings={"strategy": "FedAvg"},
        rounds=[row(number, stations) for number in range(1, rounds + 1)],
        audit=audit(rounds, stations, findings),
        tampering=[Tampering("one byte of a model", [FINDING])],
        gas={"submitUpdate": [66_000, 66_010, 70_000], "attest": [34_000]},
        timings={"rounds": 6.0, "audit": 1.5},
        versions={"python": "3.11"},
    )


class Page(HTMLParser):
    """A page as a browser's tokenizer sees it: elements, attributes, and text outside of the style."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self._in_style = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        self.words += "" if self._in_style else data

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"


def drawings(source: str) -> list[ET.Element]:
    """Parse the page's outermost SVGs as XML; raises where one is not well-formed."""
    parts = re.split(r"(?=<svg\b)|(?<=</svg>)", source)
    found, depth, whole = [], 0, ""
    for part in parts:
        if part.startswith("<svg"):
            depth += 1
        if depth:
            whole += part
        if depth and part.endswith("</svg>"):
            depth -= 1
            if not depth:
                found.append(ET.fromstring(whole))
                whole = ""
    return found
