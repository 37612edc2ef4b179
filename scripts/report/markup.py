"""Markup that cannot be injected into: elements are built by `tag`, which escapes all that is not `Markup`.

The result is well-formed XML and HTML at once, so that the SVG parts stand alone.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Iterable, Sequence

# Elements without content; all others get an end tag, for a browser reads <p/> as <p>.
_EMPTY = frozenset({"br", "circle", "line", "meta", "path", "rect"})
# Controls, bidirectional overrides and other invisible characters, unpaired surrogates, line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
UNKNOWN = "\u2013"  # stands for a value that nobody measured
_LONGEST = 2000  # characters of one text; a hostile error message may be megabytes


class Markup(str):
    """A string that is markup already. Any other string is text and will be escaped."""

    __slots__ = ()


def text(value: object) -> Markup:
    r"""Return a value as text: escaped, nothing invisible in it, of bearable length.

    Invisible characters are spelt out as ``\u202e``: a name with a right-to-left override could show
    another address than it is (CVE-2021-42574), and XML 1.0 section 2.2 forbids most controls.
    """
    if isinstance(value, Markup):
        return value
    raw = str(value)
    if len(raw) > _LONGEST:
        raw = f"{raw[:_LONGEST]} … ({len(raw):,} characters)"
    return Markup(html.escape("".join(map(_visible, raw)), quote=True))


def _visible(char: str) -> str:
    if char in "\n\t\r":
        return " "
    return f"\\u{ord(char):04x}" if unicodedata.category(char) in _HIDDEN else char


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Build one element.

    Args:
        name: of the element; from our code, never from data.
        children: `Markup` is taken as it is, anything else as text.
        attributes: ``class_`` is ``class``, ``stroke_width`` is ``stroke-width``; None leaves one out.
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY and not children:
        return Markup(f"<{name}{pairs}/>")
    return Markup(f"<{name}{pairs}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """Put parts after each other; what is not `Markup` is text."""
    return Markup("".join(text(part) for part in parts))


def _attribute(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def short(digest: str, length: int = 8) -> str:
    """Return the first hex digits of a digest or address, without ``0x``."""
    return digest.removeprefix("0x")[:length]


def code(digest: str | None, length: int = 8) -> Markup:
    """Return a digest or address in short, the whole of it in its title."""
    if not digest:
        return tag("span", UNKNOWN, class_="none")
    return tag("code", f"{short(digest, length)}…", title=digest)


def number(value: float | None) -> float | None:
    """Return a value that can be drawn; None for what can't: NaN and infinity."""
    return value if value is not None and math.isfinite(value) else None


def percent(value: float | None) -> str:
    """Return a fraction in percent."""
    value = number(value)
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def decimal(value: float | None) -> str:
    """Return a loss or the like."""
    value = number(value)
    return UNKNOWN if value is None else f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"


def seconds(value: float | None) -> str:
    """Return a duration with its unit."""
    value = number(value)
    if value is None:
        return UNKNOWN
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 round``, ``1,200 rounds``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    words: int = 1,
    foot: Sequence[object] = (),
    quiet: bool = False,
) -> Markup:
    """Build a table whose rows begin with their header.

    Args:
        caption: what it shows.
        heads: of the columns.
        rows: cells; `Markup` or text.
        words: how many columns from the left hold words; the others hold numbers, set right.
        foot: cells of a last row, of sums.
        quiet: keep the caption for screen readers, where a heading above says the same.
    """

    def row(cells: Sequence[object]) -> Markup:
        first = tag("th", cells[0], scope="row", class_=None if words else "number")
        rest = (
            tag("td", cell, class_=None if place < words else "number") for place, cell in enumerate(cells[1:], start=1)
        )
        return tag("tr", first, *rest)

    columns = (
        tag("th", head, scope="col", class_=None if place < words else "number") for place, head in enumerate(heads)
    )
    body = tag(
        "table",
        tag("caption", caption, class_="unseen" if quiet else None),
        tag("thead", tag("tr", *columns)),
        tag("tbody", *(row(cells) for cells in rows)),
        *([tag("tfoot", row(foot))] if foot else []),
    )
    # Wide tables scroll by themselves on a phone; focusable, so that a keyboard can scroll them too.
    return tag("div", body, class_="scroll", role="region", aria_label=caption, tabindex=0)


def section(key: str, heading: str, lede: str, *parts: object) -> Markup:
    """Build a section of the page with its heading and one sentence on what it shows."""
    return tag(
        "section",
        tag("h2", heading, id=f"{key}-heading"),
        tag("p", lede, class_="lede"),
        *parts,
        id=key,
        aria_labelledby=f"{key}-heading",
    )


def figure(caption: str, *parts: object, class_: str | None = None) -> Markup:
    """Build a figure with its caption above."""
    return tag("figure", tag("figcaption", caption), *parts, class_=class_)
