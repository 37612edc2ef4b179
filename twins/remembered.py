"""What is worked out once per process and looked up after: bounded, for strangers choose some of it."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def remember(known: dict[K, V], key: K, value: V, most: int) -> V:
    """Keep a value under a key and return it; at ``most`` of them all others are forgotten first."""
    if len(known) >= most:
        known.clear()
    known[key] = value
    return value
