"""The audit's part of the report: the verdict, what was checked, and what it said to falsified records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.report.markup import Markup, code, counted, section, table, tag
from scripts.report.values import RoundRow, Tampering

# By the names in chain/checks.py, chain/lineage.py, chain/evidence.py and chain/auditor.py.
_CHECKS = {
    "lineage": "Rounds follow each other from the genesis to the head; events and state of the chain agree.",
    "expected-head": "Heads seen by earlier audits are still in the lineage: the chain was not rolled back.",
    "artifact": "Every artifact is there, and its bytes have the digest that names them.",
    "format": "Every artifact is written in the one canonical form.",
    "model-manifest": "Each model names its parent and exactly the updates that the chain accepted.",
    "update-manifest": "Each station's manifest says what the station recorded on the chain.",
    "base": "Each station trained from a model that was the head.",
    "roster": "Each device was enrolled by its station when the update was recorded.",
    "device-signature": "Each device's update is signed by that device, for this round, base and chain.",
    "contributions": "The devices' updates have the Merkle root and the counts that the chain holds.",
    "schema": "Each model has the tensors that the twin declares.",
    "finite": "No weight is NaN or infinite.",
    "tier-1": "Each station's model, aggregated again from its devices' updates, is the same bit for bit.",
    "tier-2": "Each round's model, merged again from its stations' models, is the same bit for bit.",
}
_SHOWN = 100  # findings; one damaged artifact can cause many


@dataclass(frozen=True)
class Verdict:
    """The verdict in one word and one sentence.

    Attributes:
        state: ``good``, ``bad`` or ``open``.
        word: on the badge.
        sentence: beside it.
    """

    state: str
    word: str
    sentence: str


def findings_of(audit: Mapping[str, Any], rows: Sequence[RoundRow]) -> list[Mapping[str, str]]:
    """Return what is wrong: all that the audit found, and an audit of another run than this one."""
    findings = list(audit.get("findings", ()))
    head = audit.get("head", {}).get("model")
    # Stops a report that shows one run's results under another run's clean audit.
    if audit and rows and rows[-1].digest != head:
        findings.append(
            {
                "check": "report",
                "where": f"round {rows[-1].number}",
                "expected": f"the audited head {head}",
                "got": f"a run that ended in {rows[-1].digest}",
            }
        )
    return findings


def verdict_of(audit: Mapping[str, Any], findings: Sequence[Mapping[str, str]]) -> Verdict:
    """Return the verdict: good only if the audit says so and nothing was found."""
    if not audit:
        return Verdict("open", "Not audited", "Nobody has recomputed this run yet.")
    checked = audit.get("checked", {})
    models = counted(checked.get("rounds", 0), "model")
    updates = (
        f"{counted(checked.get('station_updates', 0), 'station update')} and "
        f"{counted(checked.get('device_updates', 0), 'device update')}"
    )
    if audit.get("verdict") == "verified" and not findings:
        return Verdict("good", "Verified", f"Recomputed {models} from {updates}: every one is what the ledger records.")
    found = counted(len(findings), "finding")
    sentence = f"{found}: of {models}, {updates}, not every one is what the ledger records."
    return Verdict("bad", "Failed", sentence)


def badge(verdict: Verdict) -> Markup:
    """Draw the verdict: a sign, a word and, for screen readers and greyscale, no meaning in colour alone."""
    sign = {"good": "M5 12.5l4.5 4.5L19 7.5", "bad": "M7 7l10 10M17 7L7 17", "open": "M7 12h10"}[verdict.state]
    drawing = tag(
        "svg",
        tag("circle", cx=12, cy=12, r=12),
        tag("path", d=sign),
        viewBox="0 0 24 24",
        width=24,
        height=24,
        aria_hidden="true",
    )
    return tag("p", drawing, tag("strong", verdict.word), class_=f"badge {verdict.state}")


def audit_section(audit: Mapping[str, Any], findings: Sequence[Mapping[str, str]], verdict: Verdict) -> Markup:
    """Build the section on the audit."""
    if not audit:
        return section("audit", "Audit", verdict.sentence)
    found = Counter(str(finding["check"]) for finding in findings)
    known = [name for name in _CHECKS if name != "expected-head" or found[name]]
    checks = [
        (tag("code", name), _CHECKS.get(name, "A check that this report doesn't know."), _count(found[name]))
        for name in [*known, *(name for name in found if name not in _CHECKS)]
    ]
    lede = (
        f"Twin {audit.get('name', '?')}, from its genesis to its head. The auditor trusts nobody: it reads the "
        "chain, fetches the bytes that the chain names, and computes both tiers of every aggregation again."
    )
    late = audit.get("uncounted", ())
    return section(
        "audit",
        "Audit",
        lede,
        *([_findings(findings)] if findings else []),
        table("What was checked", ["Check", "It holds that", "Findings"], checks, words=2),
        *([_uncounted(late)] if late else []),
    )


def tampering_section(tampering: Sequence[Tampering]) -> Markup:
    """Build the section on falsified records: what was changed, and whether the audit saw it."""
    parts = []
    for attempt in tampering:
        seen = bool(attempt.findings)
        word = tag("span", "Detected" if seen else "Not detected", class_=f"chip {'good' if seen else 'bad'}")
        unseen = tag("p", "The audit found nothing wrong with this.", class_="empty")
        said = _findings(attempt.findings) if seen else unseen
        parts.append(tag("article", tag("h3", attempt.what, " ", word), said, class_="attempt"))
    caught = sum(bool(attempt.findings) for attempt in tampering)
    lede = (
        f"After the run, records were falsified on purpose and audited again: {caught} of {len(tampering)} "
        f"{'was' if len(tampering) == 1 else 'were'} detected."
    )
    return section("tampering", "Tampering", lede, *parts)


def _findings(findings: Sequence[Mapping[str, str]]) -> Markup:
    items = [
        tag(
            "li",
            tag("p", tag("code", finding["check"]), " ", finding["where"], class_="place"),
            tag(
                "dl",
                tag("div", tag("dt", "Expected"), tag("dd", finding["expected"]), class_="expected"),
                tag("div", tag("dt", "Got"), tag("dd", finding["got"]), class_="got"),
            ),
        )
        for finding in findings[:_SHOWN]
    ]
    if (rest := len(findings) - _SHOWN) > 0:
        items.append(tag("li", tag("p", f"… and {rest:,} more; scripts/audit.py lists them all.", class_="place")))
    return tag("ul", *items, class_="findings")


def _count(count: int) -> Markup:
    return tag("span", f"{count:,}" if count else "none", class_="chip bad" if count else "none")


def _uncounted(updates: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        (
            str(update["round"]),
            code(update["station"]),
            code(update["update"]),
            "late" if update["late"] else "the round was not finished with it",
        )
        for update in updates[:_SHOWN]
    ]
    caption = "Updates that were recorded but counted in no model"
    return table(caption, ["Round", "Station", "Update", "Why"], rows, words=4)
