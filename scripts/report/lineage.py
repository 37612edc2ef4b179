"""The lineage as a graph: a chain of models, and above each one the stations' updates it was merged from.

One small SVG a round, in an ordered list that wraps like text: so the chain reads on paper, on a phone and
to a screen reader. Many rounds get smaller cells, many stations become dots, then a count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.report.markup import Markup, counted, figure, join, short, tag
from scripts.report.values import RoundRow

_ROOMY = 40  # at most this many models get large cells
_MOST = 150  # models drawn; of a longer chain the middle is left out
_NUMBERED = 4  # at most this many stations are drawn with their device counts
_DOTTED = 32  # at most this many stations are drawn as dots, up to eight a row


@dataclass(frozen=True)
class _Station:
    account: str
    devices: int | None
    counted: bool
    sound: bool


@dataclass(frozen=True)
class _Model:
    number: int
    digest: str
    stations: tuple[_Station, ...]
    attesters: int | None
    sound: bool
    head: bool
    summary: str  # of stations and devices


@dataclass(frozen=True)
class _Cell:
    """Sizes in pixels; ``x`` runs from the middle of the cell."""

    height: int
    chain: int  # y of the line between the models
    half: int  # of a model's width
    dot: float
    apart: float
    hexdigits: int


_LARGE = _Cell(height=146, chain=84, half=24, dot=3.5, apart=10, hexdigits=8)
_SMALL = _Cell(height=92, chain=52, half=17, dot=2.2, apart=6.2, hexdigits=6)


def lineage(audit: Mapping[str, Any], rows: Sequence[RoundRow]) -> Markup:
    """Draw the lineage that was audited; without an audit, the one that the run saw."""
    models = tuple(_audited(audit)) or tuple(_seen(rows))
    if not models:
        return figure("Lineage", tag("p", "No model yet.", class_="empty"))
    cell = _LARGE if len(models) <= _ROOMY else _SMALL
    last = len(models) - 1
    items = []
    for place, model in enumerate(models):
        if len(models) > _MOST and _MOST // 2 <= place < len(models) - _MOST // 2:
            if place == _MOST // 2:
                items.append(_gap(cell, len(models) - 2 * (_MOST // 2)))
            continue
        items.append(tag("li", _draw(model, cell, place > 0, place < last)))
    size = "lineage" if cell is _LARGE else "lineage small"
    first = "" if models[0].number else "genesis (0) "
    caption = f"{counted(len(models), 'model')}, from {first or f'round {models[0].number} '}to the head"
    return figure(caption, _key(cell, models), tag("ol", *items, class_=size))


def _audited(audit: Mapping[str, Any]) -> Iterator[_Model]:
    head = audit.get("head", {}).get("model")
    rounds = audit.get("rounds", ())
    for entry in rounds:
        late = [update for update in audit.get("uncounted", ()) if update["round"] == entry["round"]]
        accepted = [_station(update, counts=True) for update in entry["stations"]]
        devices = sum(station.devices or 0 for station in accepted)
        yield _Model(
            number=entry["round"],
            digest=entry["model"],
            stations=(*accepted, *(_station(update, counts=False) for update in late)),
            attesters=len(entry["attesters"]),
            sound=not entry["findings"],
            head=entry["model"] == head,
            summary=f"{counted(len(accepted), 'station')}, {counted(devices, 'device')}" if accepted else "",
        )


def _station(update: Mapping[str, Any], *, counts: bool) -> _Station:
    return _Station(update["station"], update["devices"], counts, not update["findings"])


def _seen(rows: Sequence[RoundRow]) -> Iterator[_Model]:
    for row in rows:
        stations = tuple(_Station("", None, True, True) for _ in range(row.stations))
        summary = f"{counted(row.stations, 'station')}, {counted(row.devices, 'device')}"
        yield _Model(row.number, row.digest, stations, None, True, row is rows[-1], summary)


def _draw(model: _Model, cell: _Cell, before: bool, after: bool) -> Markup:
    state = " ".join(["model", *["head"][: model.head], *["bad"][: not model.sound]])
    y, half = cell.chain, cell.half
    # The line runs through the whole cell, whatever its width, and a hair further, lest a seam shows.
    chain = [tag("line", x1="0" if before else "50%", x2="101%" if after else "50%", y1=y, y2=y, class_="chain")]
    arrow = [tag("path", d=f"M{-half - 8} {y - 4}l5 4l-5 4", class_="arrow")] if before else []
    name = str(model.number)
    node = [
        tag("rect", x=-half, y=y - half // 2 - 2, width=2 * half, height=half + 4, rx=7, class_=state),
        tag("text", name, y=y + 5, class_=f"name {state}"),
        tag("text", short(model.digest, cell.hexdigits), y=y + half // 2 + 18, class_="digest"),
    ]
    if cell is _LARGE:
        note = "genesis" if model.number == 0 else None
        if model.attesters and note is None:
            note = f"{model.attesters} attested"
        note = f"head, {note}" if model.head and note else note
        node.extend([tag("text", note, y=y + half // 2 + 35, class_="note")] if note else [])
    middle = tag("svg", *_stations(model, cell), *arrow, *node, x="50%", overflow="visible")
    return tag(
        "svg",
        tag("title", _told(model)),
        *chain,
        middle,
        role="img",
        height=cell.height,
        aria_label=_told(model),
    )


def _told(model: _Model) -> str:
    parts = [f"{'Genesis' if model.number == 0 else f'Round {model.number}'}: model {model.digest}"]
    if model.summary:
        parts.append(f"merged from {model.summary}")
    if model.attesters is not None and model.number:
        parts.append(f"attested by {counted(model.attesters, 'station')}")
    if late := sum(not station.counted for station in model.stations):
        parts.append(f"{counted(late, 'update')} not counted")
    if not (model.sound and all(station.sound for station in model.stations)):
        parts.append("the audit found something wrong here")
    return "; ".join(parts) + ("; the head" if model.head else "")


def _stations(model: _Model, cell: _Cell) -> Iterator[Markup]:
    count = len(model.stations)
    if cell is _LARGE and 0 < count <= _NUMBERED:
        yield from _numbered(model.stations, cell)
    elif 0 < count <= _DOTTED:
        yield from _dots(model.stations, cell)
        if cell is _LARGE:
            yield tag("text", model.summary.partition(", ")[2], x=6, y=cell.chain - 21, class_="note start")
    elif count:
        yield tag("text", f"{count} stations", y=cell.chain - cell.half - 12, class_="note")
        yield _feed(0, cell.chain - cell.half - 6, cell)


def _numbered(stations: Sequence[_Station], cell: _Cell) -> Iterator[Markup]:
    for place, station in enumerate(stations):
        x = (place - (len(stations) - 1) / 2) * 27
        devices = "?" if station.devices is None else str(station.devices)
        told = f"Station {station.account}: {devices} device{'' if devices == '1' else 's'}"
        yield tag(
            "g",
            tag("title", told + ("" if station.counted else ", not counted")),
            *([_feed(x, 27, cell)] if station.counted else []),
            tag("circle", cx=x, cy=15, r=11, class_=_state(station)),
            tag("text", devices, x=x, y=19, class_="devices"),
        )


def _dots(stations: Sequence[_Station], cell: _Cell) -> Iterator[Markup]:
    width = -(-len(stations) // -(-len(stations) // 8))  # rows of about the same length
    rows = [stations[start : start + width] for start in range(0, len(stations), width)]
    bottom = cell.chain - cell.half - (10 if cell is _LARGE else 4)
    for level, row in enumerate(rows):
        for place, station in enumerate(row):
            x = (place - (len(row) - 1) / 2) * cell.apart
            y = bottom - (len(rows) - 1 - level) * cell.apart
            yield tag("circle", cx=x, cy=y, r=cell.dot, class_=_state(station))
    yield _feed(0, bottom + cell.dot + 2, cell)


def _state(station: _Station) -> str:
    return " ".join(["station", *["late"][: station.counted ^ True], *["bad"][: not station.sound]])


def _feed(x: float, y: float, cell: _Cell) -> Markup:
    end = cell.chain - cell.half // 2 - 2
    bend = (end - y) * 0.6
    curve = f"M{x:g} {y:g}C{x:g} {y + bend:g} 0 {end - bend:g} 0 {end}"
    return tag("path", d=curve, class_="feed")


def _gap(cell: _Cell, count: int) -> Markup:
    y = cell.chain
    drawing = [
        tag("title", f"{count} models are left out of the drawing"),
        tag("line", x1="0", x2="100%", y1=y, y2=y, class_="chain gap"),
        tag("text", f"{count} more", x="50%", y=y - 10, class_="note"),
    ]
    return tag("li", tag("svg", *drawing, role="img", height=cell.height))


def _key(cell: _Cell, models: Sequence[_Model]) -> Markup:
    most = max(len(model.stations) for model in models)
    numbered = cell is _LARGE and most <= _NUMBERED and models[-1].attesters is not None
    inside = ", with its number of devices" if numbered else ""
    items = [
        tag("li", tag("span", class_="swatch model", aria_hidden="true"), "model, with its round and digest"),
        tag("li", tag("span", class_="swatch head", aria_hidden="true"), "head"),
    ]
    if most:
        items.insert(
            0,
            tag(
                "li",
                tag("span", class_="swatch station", aria_hidden="true"),
                f"update of one station{inside}",
            ),
        )
    if any(not station.counted for model in models for station in model.stations):
        items.append(tag("li", tag("span", class_="swatch late", aria_hidden="true"), "update not counted"))
    if any(not model.sound or not all(s.sound for s in model.stations) for model in models):
        items.append(tag("li", tag("span", class_="swatch bad", aria_hidden="true"), "the audit found fault"))
    return tag("ul", join(items), class_="legend")
