"""The plot of benchmarks/pdp_detection.py: measured rates with their intervals over the formula's curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.report.markup import Markup, tag

_WIDTH, _HEIGHT = 640, 360  # of the plotting area, pixels
_LEFT, _TOP = 64, 56
_STYLE = """
svg { --paper: #ffffff; --ink: #1f2430; --soft: #5c6470; --rule: #dfe2e7; --c0: #2f62d6; --c1: #0f8a7c; --c2: #b4478b;
  font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --paper: #14171d; --ink: #e8eaee; --soft: #a3abb8; --rule: #333944;
  --c0: #7ea3ff; --c1: #41c2b2; --c2: #e58fc2; } }
.paper { fill: var(--paper); } text { fill: var(--ink); } .soft { fill: var(--soft); }
.title { font-size: 15px; font-weight: 600; } .grid { stroke: var(--rule); }
.curve { fill: none; stroke-width: 2; } .whisker { stroke-width: 2; }
"""
_FEWEST, _MOST = 0.0005, 0.1  # share of the blocks that is gone: ends of the axis
_TICKS = (0.001, 0.005, 0.01, 0.05)


def detection_plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw rate of detection against the share of blocks that is gone, one curve for each c.

    Returns:
        The file's text.
    """
    sizes = sorted({row["size"] for row in rows})
    parts: list[Markup] = [tag("rect", width=_WIDTH + 120, height=_HEIGHT + 120, class_="paper")]
    parts.append(tag("text", "Missing blocks found in one slot", x=_LEFT, y=24, class_="title"))
    note = "curves: 1 − (1 − a)^c; points: measured, with 99 % intervals"
    parts.append(tag("text", note, x=_LEFT, y=42, class_="soft"))
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = _y(share)
        parts.append(tag("line", x1=_LEFT, x2=_LEFT + _WIDTH, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", f"{share:.0%}", x=_LEFT - 8, y=y + 4, text_anchor="end", class_="soft"))
    for gone in _TICKS:
        parts.append(tag("text", f"{gone:.1%}", x=_x(gone), y=_TOP + _HEIGHT + 20, text_anchor="middle", class_="soft"))
    parts.append(tag("text", "share a of the blocks that is gone", x=_LEFT, y=_TOP + _HEIGHT + 42, class_="soft"))
    for place, size in enumerate(sizes):
        colour = f"var(--c{place})"
        steps = [_FEWEST * (_MOST / _FEWEST) ** (i / 80) for i in range(81)]
        line = " ".join(f"{_x(gone):.1f},{_y(1 - (1 - gone) ** size):.1f}" for gone in steps)
        parts.append(tag("polyline", points=line, class_="curve", stroke=colour))
        parts.append(
            tag("text", f"c = {size}", x=_LEFT + _WIDTH - 190 + 70 * place, y=42, class_="soft", style=f"fill:{colour}")
        )
        for row in rows:
            if row["size"] == size:
                x = _x(row["gone"])
                ends = {"x1": x, "x2": x, "y1": _y(row["low"]), "y2": _y(row["high"])}
                parts.append(tag("line", **ends, class_="whisker", stroke=colour))
                parts.append(tag("circle", cx=x, cy=_y(row["rate"]), r=4, fill=colour))
    size_ = {"width": _WIDTH + 120, "height": _HEIGHT + 120, "viewBox": f"0 0 {_WIDTH + 120} {_HEIGHT + 120}"}
    return str(tag("svg", tag("style", Markup(_STYLE)), *parts, xmlns="http://www.w3.org/2000/svg", **size_)) + "\n"


def _x(gone: float) -> float:
    return _LEFT + _WIDTH * math.log(gone / _FEWEST) / math.log(_MOST / _FEWEST)


def _y(share: float) -> float:
    return _TOP + _HEIGHT * (1 - share)
