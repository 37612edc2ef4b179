"""The plots of benchmarks/overhead.py, scaling.py and rounds.py: seconds by phase in stacked bars, cost per device."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.engine_tables import phase_names, sums_of
from scripts.report.charts import Axis, ticks
from scripts.report.markup import Markup, tag

Figures = Mapping[str, Any]

_PANEL = (300, 240)  # pixels of a panel's plotting area
_LEFT, _TOP, _GAP, _BELOW = 64, 92, 64, 70
_STYLE = """
svg { --paper: #ffffff; --ink: #1f2430; --soft: #5c6470; --rule: #dfe2e7; --c0: #2f62d6; --c1: #b4478b; --c2: #b57700;
  --c3: #0f8a7c; --c4: #8a909b; --c5: #6a7a1f; font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --paper: #14171d; --ink: #e8eaee; --soft: #a3abb8; --rule: #333944;
  --c0: #7ea3ff; --c1: #e58fc2; --c2: #e3a93a; --c3: #41c2b2; --c4: #8b93a1; --c5: #b3c362; } }
.paper { fill: var(--paper); } text { fill: var(--ink); } .soft { fill: var(--soft); }
.title { font-size: 15px; font-weight: 600; } .panel { font-weight: 600; } .grid { stroke: var(--rule); }
.curve { fill: none; stroke-width: 2; } .mark { stroke: var(--paper); }
"""
_COLOURS = 6
_CUT = 1.6  # times the second-highest bar: a higher one is cut, and its height written on it
_LABELS = 10  # of bars below a panel, at most
_LINES = {"whole round": None, "record and merge": ("record", "merge")}
_POWERS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)  # gridlines of a logarithmic axis


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        label: below it.
        parts: from the bottom, one for each name of the legend.
    """

    label: str
    parts: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """Bars on an axis of their own.

    Attributes:
        title: above.
        bars: from the left.
    """

    title: str
    bars: Sequence[Bar]


def overhead_plot(figures: Figures) -> str:
    """Draw each row's modes side by side, in seconds of a run."""
    rows = {name: row for name, row in figures["rows"].items() if any(row["runs"].values())}
    names = phase_names(run for row in rows.values() for runs in row["runs"].values() for run in runs)
    panels = [
        Panel(name, [_median_bar(mode, runs, names) for mode, runs in row["runs"].items() if runs])
        for name, row in rows.items()
    ]
    return stacked("What provenance costs", "seconds of a run, medians", panels, names, alike=False)


def rounds_plot(figures: Figures) -> str:
    """Draw every round of each version, in seconds, medians over the repetitions."""
    columns = {name: runs for name, runs in figures["runs"].items() if runs}
    names = [name for name in phase_names(run for runs in columns.values() for run in runs) if name != "rest"]
    panels = []
    for title, runs in columns.items():
        each = zip(*(run["rounds"] for run in runs), strict=True)
        bars = [
            Bar(str(number), [statistics.median(one["phases"].get(name, 0.0) for one in ones) for name in names])
            for number, ones in enumerate(each, start=1)
        ]
        panels.append(Panel(title, bars))
    return stacked("Seconds per round by phase", "seconds of a round, medians", panels, names, alike=True)


def _median_bar(label: str, runs: Sequence[Figures], names: Sequence[str]) -> Bar:
    sums = [sums_of(run, names) for run in runs]
    return Bar(label, [statistics.median(one[name] for one in sums) for name in names])


def stacked(title: str, unit: str, panels: Sequence[Panel], names: Sequence[str], *, alike: bool) -> str:
    """Draw panels of stacked bars, with one scale for all of them or one each."""
    columns = min(2, len(panels))
    wide, high = _PANEL[0] + _GAP, _TOP - 40 + _PANEL[1] + _BELOW
    everywhere = [bar for panel in panels for bar in panel.bars]
    drawn: list[object] = [tag("text", unit, x=_LEFT, y=44, class_="soft")]
    for place, name in enumerate(names):
        x = _LEFT + place * 110
        drawn.append(tag("rect", x=x, y=56, width=12, height=12, fill=_colour(place)))
        drawn.append(tag("text", name, x=x + 18, y=66))
    for place, panel in enumerate(panels):
        at = f"translate({_LEFT + place % columns * wide} {_TOP + 20 + place // columns * high})"
        drawn.append(tag("g", *_panel(panel, _top(everywhere if alike else panel.bars)), transform=at))
    told = "; ".join(f"{p.title}: " + ", ".join(f"{b.label} {sum(b.parts):.2f}" for b in p.bars) for p in panels)
    width = max(_LEFT + columns * wide, _LEFT + 110 * len(names))
    return _document(title, told, drawn, width, _TOP + 20 + -(-len(panels) // columns) * high)


def _top(bars: Sequence[Bar]) -> float:
    """Return the end of the axis: one bar far above the others must not press them flat."""
    heights = sorted(sum(bar.parts) for bar in bars)
    return min(heights[-1], _CUT * heights[-2]) if len(heights) > 3 else heights[-1]


def _panel(panel: Panel, top: float) -> Iterator[Markup]:
    wide, high = _PANEL
    lines = ticks(0.0, top, Axis("seconds", str, str))
    scale = high / lines[-1]
    yield tag("text", panel.title, x=wide / 2, y=-12, text_anchor="middle", class_="panel")
    for line in lines:
        y = high - line * scale
        yield tag("line", x1=0, x2=wide, y1=y, y2=y, class_="grid")
        yield tag("text", f"{line:g}", x=-8, y=y + 4.5, text_anchor="end", class_="soft")
    slot = wide / len(panel.bars)
    every = -(-len(panel.bars) // _LABELS)
    for place, bar in enumerate(panel.bars):
        x, below = (place + 0.5) * slot, 0.0
        width = min(0.7 * slot, 60)
        for colour, part in enumerate(bar.parts):
            end = min(below + max(0.0, part), lines[-1])
            if end > below:
                box = {"x": x - width / 2, "y": high - end * scale, "width": width, "height": (end - below) * scale}
                yield tag("rect", fill=_colour(colour), class_="mark", **box)
            below = end
        whole = sum(bar.parts)
        if whole > lines[-1] or len(panel.bars) <= 5:
            y = high - below * scale - 5
            yield tag("text", f"{whole:.1f}" + ("↑" if whole > lines[-1] else ""), x=x, y=y, text_anchor="middle")
        if place % every == 0:
            for row, word in enumerate(_wrapped(bar.label)):
                yield tag("text", word, x=x, y=high + 18 + 15 * row, text_anchor="middle", class_="soft")


def _wrapped(label: str) -> list[str]:
    return label.split(" ", 1) if len(label) > 8 else [label]


def scaling_plot(figures: Figures) -> str:
    """Draw the cost of a device against the number of devices, both axes logarithmic."""
    rows = sorted(figures["rows"].values(), key=lambda row: (row["devices"], row["stations"]))
    rows = list({row["devices"]: row for row in rows if row["stations"] in (3, 10)}.values())
    names = phase_names(rows)
    curves = {
        name: [
            (row["devices"], 1e3 * _of(row, names, phases) / row["devices"])
            for row in rows
            if _of(row, names, phases) > 0
        ]
        for name, phases in _LINES.items()
    }
    values = [value for curve in curves.values() for _, value in curve]
    inside = [power for power in _POWERS if min(values) / 2.5 < power < max(values) * 2.5]
    wide, high = 2 * _PANEL[0], _PANEL[1]
    first, last = math.log10(rows[0]["devices"]), math.log10(max(rows[-1]["devices"], 10 * rows[0]["devices"]))

    def x(devices: float) -> float:
        return _LEFT + wide * (math.log10(devices) - first) / (last - first)

    def y(value: float) -> float:
        low, top = math.log10(inside[0]), math.log10(inside[-1])
        return _TOP + high * (1 - (math.log10(value) - low) / (top - low))

    drawn: list[object] = [tag("text", "milliseconds per device, one round", x=_LEFT, y=44, class_="soft")]
    for line in inside:
        drawn.append(tag("line", x1=_LEFT, x2=_LEFT + wide, y1=y(line), y2=y(line), class_="grid"))
        drawn.append(tag("text", f"{line:g}", x=_LEFT - 8, y=y(line) + 4.5, text_anchor="end", class_="soft"))
    for row in rows:
        at = {"x": x(row["devices"]), "y": _TOP + high + 20, "text_anchor": "middle", "class_": "soft"}
        drawn.append(tag("text", f"{row['devices']:,}", **at))
    drawn.append(tag("text", "devices", x=_LEFT + wide / 2, y=_TOP + high + 42, text_anchor="middle", class_="soft"))
    for place, (name, curve) in enumerate(curves.items()):
        colour = _colour(place)
        path = "M" + " L".join(f"{x(devices):.1f} {y(value):.1f}" for devices, value in curve)
        drawn.append(tag("path", d=path, class_="curve", stroke=colour))
        drawn += [tag("circle", cx=x(devices), cy=y(value), r=4, fill=colour) for devices, value in curve]
        left = _LEFT + place * 160
        drawn.append(tag("rect", x=left, y=56, width=12, height=12, fill=colour))
        drawn.append(tag("text", name, x=left + 18, y=66))
    told = "; ".join(f"{n}: " + ", ".join(f"{v:.2f} with {d:,}" for d, v in curve) for n, curve in curves.items())
    return _document("Cost per device", told, drawn, _LEFT + wide + _GAP, _TOP + high + _BELOW)


def _of(row: Figures, names: Sequence[str], phases: Sequence[str] | None) -> float:
    sums = sums_of(row, names)
    return float(row["seconds"] if phases is None else sum(sums.get(name, 0.0) for name in phases))


def _document(title: str, told: str, drawn: Sequence[object], width: float, height: float) -> str:
    size = {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    document = tag(
        "svg",
        tag("title", title),
        tag("desc", told),
        tag("style", Markup(_STYLE)),
        tag("rect", width=width, height=height, class_="paper"),
        tag("text", title, x=_LEFT, y=26, class_="title"),
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        **size,
    )
    return f"{document}\n"


def _colour(place: int) -> str:
    return f"var(--c{place % _COLOURS})"
