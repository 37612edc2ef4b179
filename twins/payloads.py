"""The bytes of a station's device updates: one artifact for all of them, sealed or open.

Layout: ``TLBUNDL2``, one byte with the length of the noise (0 or 32), the noise, then the payloads in the order of
the contribution index, without anything between them: sizes and digests are in the index.
"""

from __future__ import annotations

from collections.abc import Sequence

from twins.device_update import DeviceUpdate
from twins.entries import Entry, require_ascending
from twins.errors import BundleError
from twins.types import sha256_digest

NOISE = 32
"""Bytes that seed a rule's noise."""

_MAGIC = b"TLBUNDL2"


def encode_payloads(updates: Sequence[DeviceUpdate], noise: bytes) -> bytes:
    """Pack all device updates of one station and training into one artifact.

    Args:
        updates: strictly ascending by device.
        noise: 32 bytes that seed the rule's noise; empty when it draws none. Who knows them can take the noise off
            again, so they stand nowhere else.

    Raises:
        BundleError: unsorted, a device twice, or noise of another length.
    """
    require_ascending([update.device for update in updates])
    if len(noise) not in (0, NOISE):
        raise BundleError(f"expected no noise or {NOISE} bytes of it, got {len(noise)}")
    return b"".join([_MAGIC, bytes([len(noise)]), noise, *(update.payload for update in updates)])


def decode_payloads(data: bytes, entries: Sequence[Entry]) -> tuple[tuple[DeviceUpdate, ...], bytes]:
    """Unpack the device updates and the noise, and hold every payload against its entry.

    Law: ``decode_payloads(encode_payloads(u, n), [x.entry for x in u]) == (u, n)``.

    Raises:
        BundleError: another layout, cut short, bytes left over, or a payload that isn't the one that was signed.
    """
    start = len(_MAGIC) + 1
    if data[: start - 1] != _MAGIC or len(data) < start:
        raise BundleError(f"not device updates: expected them to begin with {_MAGIC!r}, got {data[: start - 1]!r}")
    length = data[start - 1]
    noise = data[start : start + length]
    if length not in (0, NOISE) or len(noise) != length:
        raise BundleError(f"expected no noise or {NOISE} bytes of it, got {len(noise)} of {length}")
    start += length
    expected = start + sum(entry.size for entry in entries)
    if len(data) != expected:
        raise BundleError(f"device updates: expected {expected} bytes as their index says, got {len(data)}")
    updates = []
    for entry in entries:
        payload = data[start : start + entry.size]
        start += entry.size
        # Stops a station from swapping what its devices have signed for something else behind the same index.
        if (actual := sha256_digest(payload)) != entry.digest:
            raise BundleError(f"update of device {entry.device}: expected digest {entry.digest}, got {actual}")
        updates.append(DeviceUpdate(entry.device, entry.examples, payload, entry.signature))
    return tuple(updates), noise
