"""Where tensors lie in a file of safetensors: worked out for the first model of a kind, looked up for the next.

The header of a device's update differs from its neighbour's in the note only. What comes after the note is made, and
judged, by safetensors itself the first time; bytes that have the same to the letter are then written and read here,
in a tenth of the time. All others are safetensors' to read or refuse (docs/adr/0018-engines.md).
Source: safetensors, "Format": length of the header (8 bytes, little-endian), header (JSON), tensors.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring as _quoted
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from twins.remembered import remember

Tensors = Mapping[str, NDArray[np.float32]]
_Shapes = tuple[tuple[str, tuple[int, ...]], ...]

# A note of printable ASCII in its one spelling, and what comes after it: without escapes, for a name that is spelt with
# one may be one that is there already.
_HEADER = re.compile(rb'\{(?:"__metadata__":\{"note":"(?:[ !#-\[\]-~]|\\["\\])*+"\},)?("[^\\]*\}) *+')
_METADATA = b'"__metadata__"'
_MOST = 64  # kinds that are remembered: strangers choose those of what they send


@dataclass(frozen=True)
class _Layout:
    """The tensors after a header.

    Attributes:
        places: name, shape, and begin and end in numbers; ascending by name.
        size: bytes of all.
    """

    places: tuple[tuple[str, tuple[int, ...], int, int], ...]
    size: int


_rests: dict[_Shapes, bytes] = {}  # of headers that were written
_layouts: dict[bytes, _Layout] = {}  # of headers that were read


def write(tensors: Tensors, note: str | None) -> bytes:
    """Return what ``safetensors.numpy.save`` makes of tensors and a note.

    Args:
        tensors: float32 in C order, ascending by name.
        note: text to carry beside them; None for no metadata.
    """
    shapes = tuple((name, array.shape) for name, array in tensors.items())
    rest = _rests.get(shapes)
    if rest is None:
        data = save(dict(tensors), metadata=None if note is None else {"note": note})
        rest = _rest(_header(data))
        if rest is not None:
            remember(_rests, shapes, rest, _MOST)
        return data
    noted = b"{" if note is None else b'{"__metadata__":{"note":' + _quoted(note).encode() + b"},"
    length = len(noted) + len(rest)
    fill = -length % 8
    head = (length + fill).to_bytes(8, "little"), noted, rest, b" " * fill
    return b"".join((*head, *tensors.values()))  # type: ignore[arg-type]  # arrays in C order are buffers


def read(data: bytes) -> Tensors:
    """Return what ``safetensors.numpy.load`` makes of bytes: views of them, where their header is known.

    Raises:
        SafetensorError, KeyError, ValueError, TypeError: they are no safetensors.
    """
    header = _header(data)
    rest = _rest(header)
    if rest is None:
        return load(data)
    layout = _layouts.get(rest)
    if layout is None or len(data) != 8 + len(header) + layout.size:
        tensors = load(data)
        learned = _layout(rest)
        if learned is not None:
            remember(_layouts, rest, learned, _MOST)
        return tensors
    numbers = np.frombuffer(data, np.float32, offset=8 + len(header)) if layout.size else np.zeros(0, np.float32)
    return {name: numbers[begin:end].reshape(shape) for name, shape, begin, end in layout.places}


def _header(data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    if 8 + length > len(data):  # safetensors' to refuse
        return b""
    return data[8 : 8 + length]


def _rest(header: bytes) -> bytes | None:
    """Return what comes after the note; None where only safetensors can tell."""
    found = _HEADER.fullmatch(header)
    if found is None or len(header) % 8 or _METADATA in found[1] or sys.byteorder != "little":
        return None
    return found[1]


def _layout(rest: bytes) -> _Layout | None:
    """Read what safetensors has found good; None if it isn't all float32, or says something twice."""
    entries = dict(pairs := json.loads(b"{" + rest, object_pairs_hook=list))
    fields = {name: dict(entry) for name, entry in entries.items()}
    if len(pairs) != len(entries) or any(
        len(entry) != 3 or len(fields[name]) != 3 or fields[name]["dtype"] != "F32" for name, entry in pairs
    ):
        return None
    places = [_place(name, fields[name]) for name in sorted(fields)]
    return _Layout(tuple(places), 4 * max(end for *_, end in places))


def _place(name: str, entry: Mapping[str, Any]) -> tuple[str, tuple[int, ...], int, int]:
    begin, end = entry["data_offsets"]
    return name, tuple(entry["shape"]), begin // 4, end // 4
