"""What a station tells of its devices: who contributed what, and who didn't and why.

It holds no weights, so everybody may read it, also where the devices' updates themselves are sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from twins import canonical
from twins.canonical import Json
from twins.contribution import LEAF_TYPES, contribution_leaf
from twins.errors import BundleError, FormatError
from twins.merkle import StandardMerkleTree, leaf_hash
from twins.types import Address, Digest, digest_bytes, digest_of_bytes, parse_address, parse_digest

if TYPE_CHECKING:
    from twins.updates import StationUpdate

DETAIL = 200
"""Characters of a rejection's detail, at most: it is a station's text in a record for ever."""


def device_order(address: Address) -> str:
    """Sort key of devices and stations: their address as a number."""
    return address.lower()


@dataclass(frozen=True)
class Entry:
    """One contribution, as everybody may know it.

    Attributes:
        device: the device's account.
        digest: SHA-256 of its update's bytes.
        examples: training examples behind it, from 1.
        signature: the device's, over the `Contribution` that names the digest.
        size: bytes of the update.
    """

    device: Address
    digest: Digest
    examples: int
    signature: bytes
    size: int

    def leaf(self) -> tuple[object, ...]:
        """Return the values of its leaf, of `LEAF_TYPES`."""
        return contribution_leaf(self.device, self.digest, self.examples, self.signature)

    @cached_property
    def leaf_digest(self) -> Digest:
        """Hash of its leaf: what stands in the tree, and what a receipt names."""
        return digest_of_bytes(_leaf_hash(self.leaf()))


class RejectionReason(StrEnum):
    """Why a station did not use the update of one of its devices."""

    MISSING = "missing"  # it did not answer, or its training failed
    MALFORMED = "malformed"  # an answer that is no update
    SIGNATURE = "signature"  # not signed by the device, or for something else
    BASE = "base"  # trained on another model or for another round
    EXAMPLES = "examples"  # not at least one
    SCHEMA = "schema"  # a model of another shape
    NON_FINITE = "non-finite"  # NaN or infinity
    NORM = "norm"  # further from the base than the twin's policy allows


@dataclass(frozen=True)
class Rejection:
    """A device of the roster whose update the station didn't use.

    Attributes:
        device: the device's account.
        reason: why.
        detail: more of it, in one line of `DETAIL` characters at most.
    """

    device: Address
    reason: RejectionReason
    detail: str

    def __post_init__(self) -> None:
        """Refuse a detail that isn't one short line.

        Raises:
            BundleError: it isn't.
        """
        if self.detail != one_line(self.detail):
            raise BundleError(f"expected a detail of one line of at most {DETAIL} characters, got {self.detail!r}")


def one_line(text: str) -> str:
    """Shorten ``text`` to one line of at most `DETAIL` characters that has a canonical form."""
    # A lone surrogate, as in the text of an error about somebody's bytes, has none.
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:DETAIL].rstrip()


@dataclass(frozen=True)
class ContributionIndex:
    """All that one station tells of its devices in one training.

    Law: ``ContributionIndex.from_bytes(b).to_bytes() == b`` for every ``b`` that it accepts.

    Attributes:
        entries: the contributions, strictly ascending by device.
        rejections: who else is in the roster, and why it isn't in ``entries``; strictly ascending by device.
    """

    entries: tuple[Entry, ...]
    rejections: tuple[Rejection, ...]

    def __post_init__(self) -> None:
        """Hold the order.

        Raises:
            BundleError: unsorted, a device twice, or one that is both used and rejected.
        """
        require_ascending([entry.device for entry in self.entries])
        require_ascending([rejection.device for rejection in self.rejections])
        both = {entry.device for entry in self.entries} & {rejection.device for rejection in self.rejections}
        if both:
            raise BundleError(f"expected a device used or rejected, got both for {', '.join(sorted(both))}")

    @classmethod
    def of(cls, update: StationUpdate) -> ContributionIndex:
        """Return what a station tells of its update.

        Raises:
            BundleError: as `__post_init__`.
        """
        return cls(tuple(u.entry for u in update.updates), update.rejections)

    def to_bytes(self) -> bytes:
        """Return the canonical JSON.

        Raises:
            FormatError: a number beyond 2^53 - 1.
        """
        return canonical.encode(
            {
                "contributions": [
                    {
                        "device": e.device,
                        "digest": e.digest,
                        "examples": e.examples,
                        "signature": "0x" + e.signature.hex(),
                        "size": e.size,
                    }
                    for e in self.entries
                ],
                "rejections": [
                    {"detail": r.detail, "device": r.device, "reason": r.reason.value} for r in self.rejections
                ],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> ContributionIndex:
        """Parse and check every field; signatures are the caller's to check.

        Raises:
            BundleError: not canonical, a field missing, unknown or out of range, or not in order.
        """
        return _index(data)

    @classmethod
    def _parse(cls, data: bytes) -> ContributionIndex:
        try:
            body = canonical.decode(data)
            _require_fields(body, {"contributions", "rejections"})
            index = cls(
                tuple(_entry(item) for item in _list(body["contributions"])),
                tuple(_rejection(item) for item in _list(body["rejections"])),
            )
        except BundleError:
            raise
        except FormatError as error:
            raise BundleError(f"not an index of contributions: {error}") from error
        if index.to_bytes() != data:  # a signature's hex in upper case, say
            raise BundleError("index of contributions is not in canonical form")
        return index


@lru_cache(maxsize=16)
def _index(data: bytes) -> ContributionIndex:
    """Parse an index once for all voters of the same process."""
    return ContributionIndex._parse(data)


def contributions_tree(entries: Sequence[Entry]) -> StandardMerkleTree:
    """Return the tree whose root stands on the chain for all of a station's devices.

    Raises:
        MerkleError: no entries.
    """
    return _contributions_tree(tuple(entries))


@lru_cache(maxsize=16)
def _contributions_tree(entries: tuple[Entry, ...]) -> StandardMerkleTree:
    """Hash a station's leaves once for its recorder and for every voter of the same process."""
    return StandardMerkleTree.of_leaves(digest_bytes(entry.leaf_digest) for entry in entries)


@lru_cache(maxsize=2**16)
def _leaf_hash(leaf: tuple[object, ...]) -> bytes:
    """Hash a leaf once for its tree and its receipt."""
    return leaf_hash(LEAF_TYPES, leaf)


def roster_tree(devices: Iterable[Address]) -> StandardMerkleTree:
    """Return the tree over a station's devices, as `TwinRegistry.setRoster` takes its root.

    Raises:
        MerkleError: no devices.
    """
    return _roster_tree(tuple(devices))


@lru_cache(maxsize=32)
def _roster_tree(devices: tuple[Address, ...]) -> StandardMerkleTree:
    """Hash a roster once: it is held against the record in every round."""
    return StandardMerkleTree.of(("address",), ((device,) for device in devices))


def require_ascending(devices: Sequence[Address]) -> None:
    """Refuse a device twice: it would count twice in the mean.

    Raises:
        BundleError: not strictly ascending by device.
    """
    for earlier, later in pairwise(devices):
        if device_order(earlier) >= device_order(later):
            raise BundleError(f"expected devices strictly ascending by address, got {earlier} before {later}")


def _entry(body: Json) -> Entry:
    _require_fields(body, {"device", "digest", "examples", "signature", "size"})
    return Entry(
        parse_address(body["device"]),
        parse_digest(body["digest"]),
        _whole(body["examples"], 1, "examples"),
        _hex(body["signature"]),
        _whole(body["size"], 0, "size"),
    )


def _rejection(body: Json) -> Rejection:
    _require_fields(body, {"detail", "device", "reason"})
    detail, reason = body["detail"], body["reason"]
    if type(detail) is not str:
        raise BundleError(f"expected a text as detail, got {detail!r}")
    try:
        known = RejectionReason(reason)
    except ValueError:
        reasons = ", ".join(RejectionReason)
        raise BundleError(f"expected one of the reasons {reasons}, got {reason!r}") from None
    return Rejection(parse_address(body["device"]), known, detail)


def _require_fields(body: Json, names: set[str]) -> None:
    if not isinstance(body, dict) or set(body) != names:
        got = sorted(body) if isinstance(body, dict) else type(body).__name__
        raise BundleError(f"expected the fields {sorted(names)}, got {got}")


def _list(body: Json) -> list[Json]:
    if not isinstance(body, list):
        raise BundleError(f"expected a list, got {type(body).__name__}")
    return body


def _whole(value: Json, least: int, what: str) -> int:
    if type(value) is not int or value < least:  # True is an int, and would be a second spelling of 1
        raise BundleError(f"expected a whole number of {what} from {least}, got {value!r}")
    return value


def _hex(value: Json) -> bytes:
    if type(value) is not str or not value.startswith("0x"):
        raise BundleError(f"expected 0x and hex digits, got {value!r}")
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise BundleError(f"expected 0x and hex digits, got {value!r}") from error
