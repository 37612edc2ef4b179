"""Charts as inline SVG: horizontal places in percent, vertical ones in pixels.

So a chart fills its column at any width while its text stays of one size: no script, no scaled-down
labels on a phone. All charts place a round at the middle of its slot, so charts above each other align.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.report.markup import Markup, counted, figure, number, tag

HEIGHT = 220  # pixels between the lowest and the highest gridline
_BELOW = 40  # pixels for the labels below
_INTERVALS = 4  # aimed at between gridlines
_LABELS = 10  # at most below a chart: three digits each still fit on a phone
_ELSEWHERE = "The table of rounds has every value."
_WIDEST = 5.0  # percent, so that the only bar of a one-round run is still a bar


@dataclass(frozen=True)
class Point:
    """One value of a chart.

    Attributes:
        label: below the axis.
        value: None leaves a gap.
        note: the value in words, shown on hover.
    """

    label: str
    value: float | None
    note: str


@dataclass(frozen=True)
class Stack:
    """One bar of parts, from the bottom.

    Attributes:
        label: below the axis.
        parts: (colour from 0 to 5, value, value in words).
    """

    label: str
    parts: Sequence[tuple[int, float, str]]


@dataclass(frozen=True)
class Axis:
    """The vertical axis.

    Attributes:
        name: with its unit.
        write: a gridline's label.
        exact: a value's label.
        floor: the axis goes no lower.
        ceiling: the axis goes no higher.
    """

    name: str
    write: Callable[[float], str]
    exact: Callable[[float], str]
    floor: float = 0.0
    ceiling: float = math.inf


def ticks(low: float, high: float, axis: Axis) -> list[float]:
    """Return the gridlines for values between ``low`` and ``high``: round numbers, at least two."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        pad = abs(high) / 10 if abs(high) > 1e-6 else 1.0
        low, high = low - pad, high + pad
    low, high = max(low, axis.floor), min(high, axis.ceiling)
    if high <= low:
        return [low, low + 1]
    raw = (high - low) / _INTERVALS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    lines = [round(place * step, 12) for place in range(first, last + 1)]
    return [line for line in lines if axis.floor - 1e-9 <= line <= axis.ceiling + 1e-9]


def line_chart(key: str, caption: str, points: Sequence[Point], axis: Axis) -> Markup:
    """Draw values that change from round to round.

    Args:
        key: unique on the page.
        caption: of the figure.
        points: in order.
        axis: need not begin at zero, for a line shows change and not size.
    """
    known = [value for point in points if (value := number(point.value)) is not None]
    if not known:
        return _nothing(caption)
    lines = ticks(min(known), max(known), axis)
    slot = 100 / len(points)
    places = [
        None if (value := number(point.value)) is None else ((place + 0.5) * slot, _y(value, lines))
        for place, point in enumerate(points)
    ]
    # Its own percent grid: a path takes no percentages. The stroke keeps its width all the same.
    curve = tag(
        "svg",
        tag("path", d=_path(places), class_="line", vector_effect="non-scaling-stroke"),
        viewBox=f"0 0 100 {HEIGHT}",
        preserveAspectRatio="none",
        width="100%",
        height=HEIGHT,
        overflow="visible",
    )
    dense = " dense" if len(points) > 40 else ""  # its dots show on hover only
    marks = [
        _mark(place * slot, slot, point.note, [tag("circle", cx=f"{at[0]:.2f}%", cy=at[1], r=3.5)], dense)
        for place, (point, at) in enumerate(zip(points, places, strict=True))
        if at is not None
    ]
    drawn = [at for at in places if at is not None]
    x, y = drawn[-1]
    falling = len(drawn) > 1 and drawn[-2][1] < y < HEIGHT - 30
    last = tag(
        "g",
        tag("circle", cx=f"{x:.2f}%", cy=y, r=5.5, class_="last"),
        tag(
            "text",
            axis.exact(known[-1]),
            x=f"{x:.2f}%",
            y=y + (26 if falling else -13),
            class_="value",
            text_anchor=_anchor(x),
        ),
    )
    told = f"From {axis.exact(known[0])} to {axis.exact(known[-1])}, lowest {axis.exact(min(known))}, "
    told += f"highest {axis.exact(max(known))}, over {counted(len(points), 'round')}. {_ELSEWHERE}"
    labels = [point.label for point in points]
    return figure(caption, _chart(key, caption, told, lines, axis, labels, [curve, *marks, last]))


def bar_chart(key: str, caption: str, points: Sequence[Point], axis: Axis) -> Markup:
    """Draw sizes side by side; the axis begins at zero."""
    bars = [
        Stack(point.label, [] if (value := number(point.value)) is None else [(0, value, point.note)])
        for point in points
    ]
    return stacked_bars(key, caption, bars, axis)


def stacked_bars(key: str, caption: str, stacks: Sequence[Stack], axis: Axis, names: Sequence[str] = ()) -> Markup:
    """Draw sizes that are made of parts; the axis begins at zero.

    Args:
        key: unique on the page.
        caption: of the figure.
        stacks: in order.
        axis: vertical.
        names: of the colours, for the legend; none for bars of one part.
    """
    totals = [sum(max(0.0, value) for _, value, _ in stack.parts) for stack in stacks]
    if not stacks or max(totals) <= 0:
        return _nothing(caption)
    lines = ticks(0.0, max(totals), axis)
    slot = 100 / len(stacks)
    width = min(0.64 * slot, _WIDEST)
    marks = [
        _mark(place * slot, slot, "\u2002".join(note for _, _, note in stack.parts), shapes)
        for place, stack in enumerate(stacks)
        if (shapes := _stack((place + 0.5) * slot - width / 2, width, stack, lines))
    ]
    told = f"Between {axis.exact(min(totals))} and {axis.exact(max(totals))} a round, "
    told += f"over {counted(len(stacks), 'round')}. {_ELSEWHERE}"
    drawn = _chart(key, caption, told, lines, axis, [stack.label for stack in stacks], marks)
    return figure(caption, *([legend(names)] if names else []), drawn)


def legend(names: Sequence[str]) -> Markup:
    """Name the colours of a chart."""
    items = (
        tag("li", tag("span", class_=f"swatch c{place % 6}", aria_hidden="true"), name)
        for place, name in enumerate(names)
    )
    return tag("ul", *items, class_="legend")


def _stack(x: float, width: float, stack: Stack, lines: Sequence[float]) -> list[Markup]:
    shapes: list[Markup] = []
    below = 0.0
    for colour, value, _ in stack.parts:
        top, bottom = _y(below + max(0.0, value), lines), _y(below, lines)
        below += max(0.0, value)
        # A gap of one pixel keeps the parts apart for those who don't tell the colours apart.
        if (height := bottom - top - (1 if bottom < HEIGHT else 0)) > 0:
            place = {"x": f"{x:.2f}%", "y": top, "width": f"{width:.2f}%", "height": height}
            shapes.append(tag("rect", class_=f"c{colour % 6}", **place))
    return shapes


def _chart(
    key: str,
    title: str,
    told: str,
    lines: Sequence[float],
    axis: Axis,
    labels: Sequence[str],
    marks: Sequence[Markup],
) -> Markup:
    grid = [
        tag(
            "g",
            tag(
                "line",
                x1=0,
                x2="100%",
                y1=_y(line, lines),
                y2=_y(line, lines),
                class_="zero" if not place else None,
            ),
            tag("text", axis.write(line), x=-10, y=_y(line, lines) + 4, text_anchor="end"),
            class_="grid",
        )
        for place, line in enumerate(lines)
    ]
    every = _every(len(labels))
    slot = 100 / len(labels)
    below = [
        tag("text", label, x=f"{(place + 0.5) * slot:.2f}%", y=HEIGHT + 18, text_anchor="middle")
        for place, label in enumerate(labels)
        if (place + 1) % every == 0 or len(labels) == 1
    ]
    names = [
        tag("text", axis.name, x=-56, y=-16, class_="axis", text_anchor="start"),
        tag("text", "round", x="100%", y=HEIGHT + 36, class_="axis", text_anchor="end"),
    ]
    return tag(
        "svg",
        tag("title", title, id=f"{key}-title"),
        tag("desc", told, id=f"{key}-desc"),
        *grid,
        *below,
        *names,
        *marks,
        class_="chart",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        height=HEIGHT + _BELOW,
    )


def _mark(x: float, width: float, note: str, shapes: Sequence[Markup], dense: str = "") -> Markup:
    # The whole slot reacts to the pointer: a dot of seven pixels is hard to hit.
    hit = tag("rect", x=f"{x:.2f}%", y=0, width=f"{width:.2f}%", height=HEIGHT, class_="hit")
    return tag("g", tag("title", note), hit, *shapes, class_=f"mark{dense}")


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    steps, pen = [], "M"
    for at in places:
        if at is not None:
            steps.append(f"{pen}{at[0]:.2f} {at[1]:.1f}")
        pen = "L" if at is not None else "M"
    return " ".join(steps)


def _y(value: float, lines: Sequence[float]) -> float:
    return HEIGHT * (1 - (value - lines[0]) / (lines[-1] - lines[0]))


def _anchor(x: float) -> str:
    return "end" if x > 90 else "middle"


def _every(count: int) -> int:
    return next((step for step in (1, 2, 5, 10, 20, 25, 50) if count / step <= _LABELS), math.ceil(count / _LABELS))


def _nothing(caption: str) -> Markup:
    return figure(caption, tag("p", "Nothing was measured.", class_="empty"))
