"""The seed of a slot: stations reveal values that they had fixed before, and nobody can choose after seeing others'.

Withholding is what remains: of ``a`` stations that collude, each can leave its own value out, in public.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from chain.pdp.words import tagged
from twins.types import Address

MAX_HOPS = 256
"""How many slots a station may have missed; after more it sets a new anchor."""


@dataclass(frozen=True)
class BeaconDomain:
    """Where a hash chain belongs.

    Attributes:
        chain_id: EIP-155.
        contract: the SyncAudit.
        station: whose.
    """

    chain_id: int
    contract: Address
    station: Address

    def link(self, value: bytes) -> bytes:
        """Return the value of the slot before, 32 bytes."""
        return tagged("link", self.chain_id, self.contract, self.station, value)


@dataclass(frozen=True)
class HashChain:
    """A station's values, one for each slot from ``first`` to ``last``: each is the preimage of the one before.

    Attributes:
        domain: where it belongs.
        first: slot of the anchor, the one before the first reveal.
        last: slot of the seed of it all.
        secret: value of the last slot, 32 bytes.
    """

    domain: BeaconDomain
    first: int
    last: int
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls, domain: BeaconDomain, first: int, length: int = 4096) -> HashChain:
        """Draw a chain whose anchor stands for the slot ``first``, which may be -1."""
        return cls(domain, first, first + length, secrets.token_bytes(32))

    def value(self, slot: int) -> bytes:
        """Return the value of a slot, 32 bytes.

        Raises:
            ValueError: a slot before the anchor's, or behind the end.
        """
        if not self.first <= slot <= self.last:
            raise ValueError(f"hash chain: expected a slot from {self.first} to {self.last}, got {slot}")
        value = self.secret
        for _ in range(self.last - slot):
            value = self.domain.link(value)
        return value

    @property
    def anchor(self) -> bytes:
        """What is published first, 32 bytes."""
        return self.value(self.first)


def reveal_word(slot: int, station: Address, value: bytes) -> int:
    """Return what one reveal adds to the slot's accumulator."""
    return int.from_bytes(tagged("reveal", slot, station, value), "big")


def seed_of(chain_id: int, contract: Address, slot: int, reveals: Iterable[tuple[Address, bytes]]) -> bytes:
    """Return the seed of a slot, 32 bytes; the order of the reveals doesn't matter, or a proposer could grind it."""
    accumulator, number = 0, 0
    for station, value in reveals:
        accumulator ^= reveal_word(slot, station, value)
        number += 1
    return tagged("seed", chain_id, contract, slot, accumulator, number)
