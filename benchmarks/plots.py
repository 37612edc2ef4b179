"""Plots for documents: SVG files that stand alone, in light and dark, without a script.

They are drawn with the report's own markup and gridlines (scripts/report); its charts have one line each and take
their colours from the page around them.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracies import Accuracy, Curve, Measured
from scripts.report.charts import Axis, ticks
from scripts.report.markup import Markup, tag

PANEL = (250, 260)  # pixels of one panel's plotting area
_LEFT, _TOP, _GAP = 64, 76, 34
_LEGEND = (235, 24)  # pixels of one entry
_DODGE = 5.0  # pixels between two rules at the same number of liars: or whiskers would cover each other

_STYLE = """
svg { --paper: #ffffff; --ink: #1f2430; --soft: #5c6470; --rule: #dfe2e7; --c0: #1f2430; --c1: #8a909b; --c2: #2f62d6;
  --c3: #0f8a7c; --c4: #b57700; --c5: #b4478b; --c6: #6a7a1f; font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --paper: #14171d; --ink: #e8eaee; --soft: #a3abb8; --rule: #333944;
  --c0: #e8eaee; --c1: #8b93a1; --c2: #7ea3ff; --c3: #41c2b2; --c4: #e3a93a; --c5: #e58fc2; --c6: #b3c362; } }
.paper { fill: var(--paper); } text { fill: var(--ink); } .soft { fill: var(--soft); }
.title { font-size: 15px; font-weight: 600; } .panel { font-weight: 600; } .grid { stroke: var(--rule); }
.axis { stroke: var(--soft); } .guess { stroke: var(--soft); stroke-dasharray: 2 4; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; } .mark { stroke-width: 2; }
"""
_COLOURS = 7
_DASHES = (None, "7 4", None, "2 3", None, "9 3 2 3", "4 2")


def plot(measured: Measured, guessing: float) -> str:
    """Draw accuracy against the number of liars: one panel per attack, one line per rule.

    Args:
        measured: of one federation.
        guessing: the accuracy of a model that has learnt nothing.

    Returns:
        The file's text.
    """
    rules = list(measured.rules)
    width = _LEFT + len(measured.attacks) * (PANEL[0] + _GAP)
    columns = max(1, (width - _LEFT) // _LEGEND[0])
    lines = -(-(len(rules) + 1) // columns)
    bottom = _TOP + PANEL[1] + 64
    height = bottom + lines * _LEGEND[1] + 10
    told = "; ".join(
        f"{attack}: " + ", ".join(f"{curve.rule} {_last(curve)}" for curve in measured.curves(attack))
        for attack in measured.attacks
    )
    panels = [
        tag(
            "g",
            _panel(attack, measured.curves(attack), measured.counts(), guessing, first=not place),
            transform=f"translate({_LEFT + place * (PANEL[0] + _GAP)} {_TOP})",
        )
        for place, attack in enumerate(measured.attacks)
    ]
    drawn = tag(
        "svg",
        tag("title", f"{measured.title}: accuracy"),
        tag("desc", f"Accuracy by rule, at each attack's largest number of liars. {told}."),
        tag("style", Markup(_STYLE)),
        tag("rect", width=width, height=height, class_="paper"),
        tag("text", measured.title, x=_LEFT, y=26, class_="title"),
        tag(
            "text",
            "accuracy on honest devices",
            x=-(_TOP + PANEL[1] / 2),
            y=18,
            transform="rotate(-90)",
            text_anchor="middle",
            class_="soft",
        ),
        *panels,
        tag(
            "text",
            f"lying {measured.liars}, of {measured.members}",
            x=(_LEFT + width - _GAP) / 2,
            y=_TOP + PANEL[1] + 42,
            text_anchor="middle",
            class_="soft",
        ),
        *_legend(rules, columns, bottom),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
    )
    return f"{drawn}\n"


def _last(curve: Curve) -> str:
    liars, accuracy = list(curve.points.items())[-1]
    return f"{accuracy.mean:.2f} with {liars}"


def _panel(name: str, curves: Sequence[Curve], counts: Sequence[int], guessing: float, *, first: bool) -> Markup:
    wide, high = PANEL
    numbers = range(counts[-1] + 1)
    slot = wide / len(numbers)
    grid = []
    for line in ticks(0.0, 1.0, Axis("accuracy", str, str, ceiling=1.0)):
        grid.append(tag("line", x1=0, x2=wide, y1=_y(line), y2=_y(line), class_="grid" if line else "axis"))
        if first:
            grid.append(tag("text", f"{line:g}", x=-8, y=_y(line) + 4.5, text_anchor="end", class_="soft"))
    below = [tag("text", n, x=(n + 0.5) * slot, y=high + 20, text_anchor="middle", class_="soft") for n in numbers]
    shifts = [(place - (len(curves) - 1) / 2) * _DODGE for place in range(len(curves))]
    return tag(
        "g",
        tag("text", name, x=wide / 2, y=-12, text_anchor="middle", class_="panel"),
        *grid,
        tag("line", x1=0, x2=wide, y1=_y(guessing), y2=_y(guessing), class_="guess"),
        *below,
        *(
            _curve(place, [((n + 0.5) * slot + shifts[place], accuracy) for n, accuracy in curve.points.items()])
            for place, curve in enumerate(curves)
        ),
    )


def _curve(place: int, points: Sequence[tuple[float, Accuracy]]) -> Markup:
    path = "M" + " L".join(f"{x:.1f} {_y(accuracy.mean):.1f}" for x, accuracy in points)
    return tag(
        "g",
        tag("path", d=path, class_="curve", stroke_dasharray=_dash(place)),
        *(tag("line", x1=x, x2=x, y1=_y(a.low), y2=_y(a.high), class_="mark") for x, a in points),
        *(_marker(place, x, _y(accuracy.mean)) for x, accuracy in points),
        stroke=_colour(place),
    )


def _y(accuracy: float) -> float:
    return PANEL[1] * (1 - accuracy)


def _legend(rules: Sequence[str], columns: int, top: float) -> list[Markup]:
    entries = []
    for place, name in enumerate([*rules, "guessing"]):
        x, y = _LEFT + place % columns * _LEGEND[0], top + place // columns * _LEGEND[1]
        if place < len(rules):
            sample = [
                tag(
                    "path",
                    d=f"M{x} {y} L{x + 30} {y}",
                    class_="curve",
                    stroke=_colour(place),
                    stroke_dasharray=_dash(place),
                ),
                tag("g", _marker(place, x + 15, y), stroke=_colour(place)),
            ]
        else:
            sample = [tag("line", x1=x, x2=x + 30, y1=y, y2=y, class_="guess")]
        entries.append(tag("g", *sample, tag("text", name, x=x + 38, y=y + 4.5)))
    return entries


def _marker(place: int, x: float, y: float) -> Markup:
    """Return a sign of each rule's own, for those who don't tell the colours apart."""
    r, d, colour = 3.6, 5.1, _colour(place)
    shapes = (
        f"M{x - r:.1f} {y:.1f} a{r} {r} 0 1 0 {2 * r} 0 a{r} {r} 0 1 0 {-2 * r} 0 Z",
        f"M{x - r:.1f} {y - r:.1f} h{2 * r} v{2 * r} h{-2 * r} Z",
        f"M{x:.1f} {y - r - 1:.1f} L{x + r + 1:.1f} {y + r:.1f} H{x - r - 1:.1f} Z",
        f"M{x:.1f} {y - d:.1f} L{x + d:.1f} {y:.1f} L{x:.1f} {y + d:.1f} L{x - d:.1f} {y:.1f} Z",
    )
    hollow = place >= len(shapes)
    return tag("path", d=shapes[place % len(shapes)], fill="var(--paper)" if hollow else colour, class_="mark")


def _colour(place: int) -> str:
    return f"var(--c{place % _COLOURS})"


def _dash(place: int) -> str | None:
    return _DASHES[place % len(_DASHES)]
