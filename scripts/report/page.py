"""The page: header, sections and footer of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from scripts.report.charts import Axis, Point, Stack, bar_chart, line_chart, stacked_bars
from scripts.report.lineage import lineage
from scripts.report.markup import (
    UNKNOWN,
    Markup,
    code,
    counted,
    decimal,
    join,
    number,
    percent,
    seconds,
    section,
    short,
    table,
    tag,
)
from scripts.report.values import ReportData, RoundRow
from scripts.report.verdict import Verdict, audit_section, badge, findings_of, tampering_section, verdict_of

# Nothing is fetched and nothing is executed, even if an escape were forgotten somewhere.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_REST = "other"
_LONG = 30  # rounds; a longer table scrolls by itself


def render(data: ReportData) -> str:
    """Return the report as one HTML document.

    The same data give the same text: no clock, no random.

    Args:
        data: of the run; all strings in it are taken for hostile.
    """
    findings = findings_of(data.audit, data.rounds)
    verdict = verdict_of(data.audit, findings)
    sections = [
        _learning(data.rounds),
        section(
            "lineage",
            "Lineage",
            "Every model names its parent and the updates it was merged from, by digest. Change one byte "
            "anywhere and all digests after it change.",
            lineage(data.audit, data.rounds),
        ),
        audit_section(data.audit, findings, verdict),
        *([tampering_section(data.tampering)] if data.tampering else []),
        _gas(data.rounds, data.gas),
        _time(data.rounds, data.timings),
        _table(data.rounds),
        _run(data.settings, data.versions),
    ]
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", data.title),
        tag("style", Markup(style)),
    )
    body = tag("body", _header(data, verdict), tag("main", *sections), _footer())
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _header(data: ReportData, verdict: Verdict) -> Markup:
    rows = data.rounds
    measured = [row for row in rows if number(row.accuracy) is not None]
    head = data.audit.get("head", {}).get("model") or (rows[-1].digest if rows else None)
    figures = [
        ("Final accuracy", percent(measured[-1].accuracy if measured else None), _gained(measured)),
        ("Rounds", f"{len(rows):,}", ""),
        ("Stations", f"{max((row.stations for row in rows), default=0):,}", ""),
        ("Devices", f"{max((row.devices for row in rows), default=0):,}", ""),
        ("Gas a round", f"{median(row.gas for row in rows):,.0f}" if rows else UNKNOWN, "median"),
        ("Time a round", seconds(median(row.seconds for row in rows)) if rows else UNKNOWN, "median"),
    ]
    block = data.audit.get("block")
    about = f"Twinledger run, audited at block {block:,}" if isinstance(block, int) else "Twinledger run"
    return tag(
        "header",
        tag("p", about, class_="eyebrow"),
        tag("h1", data.title),
        tag("div", badge(verdict), tag("p", verdict.sentence), class_=f"verdict {verdict.state}"),
        tag(
            "dl",
            *(
                tag("div", tag("dt", what), tag("dd", value, *([tag("small", note)] if note else [])))
                for what, value, note in figures
            ),
            class_="figures",
        ),
        # Selected whole by one click, to be compared with what other stations see.
        *([_head_digest(head)] if head else []),
    )


def _head_digest(head: str) -> Markup:
    return tag(
        "p",
        tag("span", "Head ", tag("code", short(head), class_="brief", title=head)),
        tag("code", head, class_="whole", title="one click selects the whole digest"),
        class_="head-digest",
    )


def _gained(measured: Sequence[RoundRow]) -> str:
    if len(measured) < 2 or measured[0].accuracy is None:
        return ""
    return f"from {percent(measured[0].accuracy)} in round {measured[0].number}"


def _learning(rows: Sequence[RoundRow]) -> Markup:
    accuracies = _points(rows, lambda row: row.accuracy, percent)
    losses = _points(rows, lambda row: row.loss, decimal)
    loss = Axis("loss", lambda value: f"{value:.4g}", decimal)
    axis = Axis("accuracy, % of test examples", lambda value: f"{100 * value:.4g} %", percent, ceiling=1.0)
    return section(
        "accuracy",
        "Learning",
        "Each round's model on test data that no device trained on; every device tests on its own.",
        tag(
            "div",
            line_chart("accuracy-chart", "Accuracy per round", accuracies, axis),
            line_chart("loss-chart", "Loss per round", losses, loss),
            class_="pair wide-first",
        ),
    )


def _points(
    rows: Sequence[RoundRow], get: Callable[[RoundRow], float | None], write: Callable[[float | None], str]
) -> list[Point]:
    return [Point(str(row.number), get(row), f"Round {row.number}: {write(get(row))}") for row in rows]


def _gas(rows: Sequence[RoundRow], gas: Mapping[str, Sequence[int]]) -> Markup:
    points = [Point(str(row.number), row.gas, f"Round {row.number}: {row.gas:,} gas") for row in rows]
    used = {operation: values for operation, values in gas.items() if values}
    cells = [
        (name, *(f"{value:,.0f}" for value in (len(v), min(v), median(v), max(v), sum(v)))) for name, v in used.items()
    ]
    every = [value for values in used.values() for value in values]
    foot = ("All", f"{len(every):,}", "", "", "", f"{sum(every):,}") if every else ()
    heads = ["Operation", "Receipts", "Least", "Median", "Most", "Sum"]
    return section(
        "gas",
        "Gas",
        "What the record costs on the chain. It grows with stations, not with devices: a station's devices "
        "stand under one Merkle root.",
        bar_chart("gas-chart", "Gas per round", points, Axis("gas", _metric, lambda value: f"{value:,.0f} gas")),
        table("Gas per operation, from the receipts", heads, cells, foot=foot),
    )


def _metric(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"


def _time(rows: Sequence[RoundRow], timings: Mapping[str, float]) -> Markup:
    split = [_phases(row) for row in rows]
    names = list(dict.fromkeys(name for phases in split for name in phases))
    names = [name for name in names if name != _REST] + [_REST] * (_REST in names)
    stacks = [
        Stack(
            str(row.number),
            [
                (
                    names.index(name),
                    value,
                    f"{'' if place else f'Round {row.number}: '}{name} {seconds(value)}",
                )
                for place, (name, value) in enumerate(phases.items())
            ],
        )
        for row, phases in zip(rows, split, strict=True)
    ]
    known = [value for step in timings.values() if (value := number(step)) is not None]
    most = max(known, default=0.0)
    cells = [(step, _share(value, most), seconds(value)) for step, value in timings.items()]
    axis = Axis("seconds", lambda value: f"{value:.4g}", seconds)
    foot = ("All", "", seconds(sum(known))) if known else ()
    return section(
        "time",
        "Time",
        "By the clock on the wall, on the machine that ran all stations and the chain.",
        stacked_bars("time-chart", "Phases of each round", stacks, axis, names),
        table("Steps of the whole job", ["Step", "Share", "Time"], cells, words=2, foot=foot),
    )


def _phases(row: RoundRow) -> dict[str, float]:
    phases = {name: value for name, value in row.phases.items() if (number(value) or 0.0) > 0}
    rest = row.seconds - sum(phases.values())
    # What no phase accounts for is shown, not hidden; below 2 % it is the cost of measuring.
    return {**phases, _REST: rest} if rest > 0.02 * row.seconds and _REST not in phases else phases


def _share(value: float, most: float) -> Markup:
    width = 100 * max(0.0, number(value) or 0.0) / most if most > 0 else 0.0
    bar = tag("rect", width=f"{width:.1f}%", height=8, rx=2)
    return tag("svg", bar, class_="share", height=8, aria_hidden="true")


def _table(rows: Sequence[RoundRow]) -> Markup:
    heads = ["Round", "Accuracy", "Loss", "Stations", "Devices", "Gas", "Time", "Model", "Parent"]
    cells = [
        (
            str(row.number),
            percent(row.accuracy),
            decimal(row.loss),
            f"{row.stations:,}",
            f"{row.devices:,}",
            f"{row.gas:,}",
            seconds(row.seconds),
            code(row.digest),
            code(row.parent),
        )
        for row in rows
    ]
    body = table("All rounds", heads, cells, quiet=True)
    lede = f"{counted(len(rows), 'round')}, as drawn above. A digest's title has the whole of it."
    return section("rounds", "Rounds", lede, tag("div", body, class_="long" if len(rows) > _LONG else None))


def _run(settings: Mapping[str, str], versions: Mapping[str, str]) -> Markup:
    return section(
        "run",
        "Run",
        "The same settings on the same versions end in the same head digest, on any machine of this kind.",
        tag(
            "div",
            table("Settings", ["Setting", "Value"], settings.items(), words=2),
            table("Versions", ["Software", "Version"], versions.items(), words=2),
            class_="pair",
        ),
    )


def _footer() -> Markup:
    lines = [
        ("make demo", "runs everything again, in a fresh folder, and must end in the same head."),
        (
            ".venv/bin/python scripts/audit.py TWIN --expected-head 0x…",
            "audits the record of this run, from the chain and the store alone.",
        ),
    ]
    terms = (tag("div", tag("dt", tag("code", line)), tag("dd", what)) for line, what in lines)
    return tag("footer", tag("h2", "Don't trust this page"), tag("dl", join(terms)))
