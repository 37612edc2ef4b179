"""Canonical JSON: the one encoder of everything that is hashed (RFC 8785).

NaN and infinities are refused by RFC 8785 §3.2.2.3, integers beyond ±(2^53 − 1) because an I-JSON reader could
round them to another value (RFC 7493 §2.2). A float may be larger; its digits then read as a float again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring as _quoted
from typing import Any, NoReturn

import rfc8785

from twins.errors import FormatError

Json = Any
"""A JSON value: str, int, float, bool, None, or lists and string-keyed mappings of them. A recursive alias would
make every read of a manifest a cast; `twins.manifest` checks what is read instead."""

MAX_DEPTH = 64
"""Levels of nesting. Without a limit of ours it would be Python's stack: whether a manifest is valid would
depend on how deep in its own calls the reader is; and where a library has raised Python's limit (py-ecc sets
100,000), the parser overruns the C stack: one hostile manifest would end the process that reads it."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)

_MAX_SAFE_INTEGER = 2**53 - 1

_LITERALS = {None: "null", True: "true", False: "false"}
_LEAST, _MOST = 1e-4, 1e15  # between them, Python and ECMAScript write a float that is no integer alike


def encode(value: Json) -> bytes:
    """Return the canonical bytes of a JSON value.

    Law: ``decode(encode(v)) == v``, and ``encode(decode(b)) == b`` for every ``b`` that `decode` accepts.

    Raises:
        FormatError: the value has no canonical form (NaN, an integer beyond 2^53 − 1, a key that is no string, a
            lone surrogate) or is nested deeper than `MAX_DEPTH`.
    """
    try:
        text = _simple(value, 0)
        return rfc8785.dumps(_plain(value, 0)) if text is None else text.encode()
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        raise FormatError(f"no canonical JSON: {error}") from error


def decode(data: bytes) -> Json:
    """Parse canonical bytes; refuse any other spelling of the same value.

    A second spelling would give one statement two digests.

    Raises:
        FormatError: no JSON, or not in canonical form.
    """
    value = decode_any(data)
    if encode(value) != data:
        raise FormatError("JSON that is not in canonical form (RFC 8785)")
    return value


def decode_any(data: bytes) -> Json:
    """Parse JSON in any spelling: headers of other people's formats, nothing that is hashed.

    Raises:
        FormatError: no JSON, or nested deeper than `MAX_DEPTH`.
    """
    try:
        text = str(data, "utf-8")  # or json would guess at UTF-16
        _require_shallow(text)
        return json.loads(text, parse_int=_number, parse_constant=_refuse_constant)
    except ValueError as error:
        raise FormatError(f"not JSON: {error}") from error


def _simple(value: Json, depth: int) -> str | None:
    """Spell a value in which RFC 8785 asks for nothing but what Python writes itself; None for any other.

    Every device's update is spelt four times over, and rfc8785 takes ten times as long (docs/adr/0018-engines.md).
    Left to it are floats that ECMAScript writes in another way, and keys that UTF-16 may sort in another order.
    """
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is int:
        return str(value) if -_MAX_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER else None
    if kind is float:
        return repr(value) if _LEAST <= abs(value) < _MOST and not value.is_integer() else None
    if depth >= MAX_DEPTH:
        return None
    if kind is dict:
        parts = []
        if not all(type(key) is str and key.isascii() for key in value):
            return None
        for key in sorted(value):
            item = _simple(value[key], depth + 1)
            if item is None:
                return None
            parts.append(f"{_quoted(key)}:{item}")
        return "{" + ",".join(parts) + "}"
    if kind is list or kind is tuple:
        items = [_simple(item, depth + 1) for item in value]
        return None if None in items else "[" + ",".join(items) + "]"  # type: ignore[arg-type]  # None was looked for
    return _LITERALS[value] if value is None or kind is bool else None


def _plain(value: Json, depth: int) -> Json:
    """Turn mappings and tuples into the dicts and lists that the encoder takes."""
    if depth > MAX_DEPTH:
        raise FormatError(f"no canonical JSON: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    return value


def _require_shallow(text: str) -> None:
    """Count nesting before the parser descends into it."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if (first := token[0][0]) in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        if depth > MAX_DEPTH + 1:
            raise FormatError(f"JSON nested deeper than {MAX_DEPTH} levels")


def _number(digits: str) -> int | float:
    """Read back a float that RFC 8785 writes without a point, such as 1e16, as the float it was."""
    value = int(digits)
    return value if abs(value) <= _MAX_SAFE_INTEGER else float(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
