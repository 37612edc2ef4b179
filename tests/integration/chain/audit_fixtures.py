"""Fixtures of the audit's tests: a consortium that audits a twin, up to the first slot in which something is asked."""

from __future__ import annotations

from dataclasses import dataclass

import gmpy2
from gmpy2 import mpz

from chain.audit_values import AuditPolicy, Mode
from chain.pdp.challenge import Challenge
from chain.pdp.keys import PrivateKey
from chain.pdp.tags import Tags
from chain.pdp.verification import find_prime, product_of
from chain.pdp.words import element
from tests.slots import Slots, content, known_key
from twins.types import Address, TwinId

MODES = (Mode.FULL, Mode.OPTIMISTIC, Mode.QUORUM)


@dataclass
class Asked:
    """A twin whose possession is proven by stations 1 and 2 in the lane of station 0.

    Attributes:
        slots: the consortium.
        twin: whose.
        data: the artifact.
        key: of station 0.
        tags: its.
        slot: the first in which something is asked.
    """

    slots: Slots
    twin: TwinId
    data: bytes
    key: PrivateKey
    tags: Tags
    slot: int

    @classmethod
    def of(cls, slots: Slots, name: str = "watch", policy: AuditPolicy | None = None, length: int = 9000) -> Asked:
        """Set everything up."""
        policy = policy or AuditPolicy(14, 100, 1, 1, False, 0b111)
        twin, data, key = slots.twin(name, policy), content(name, length), known_key(0)
        tags = slots.tag(0, twin, data, key)
        for holder in (1, 2):
            slots.audit.assign(slots.stations[0], twin, slots.stations[holder].address)
        return cls(slots, twin, data, key, tags, slots.slot + 1)

    def holder(self, index: int = 1) -> Address:
        """Account of a station."""
        return self.slots.stations[index].address

    def proof(self, index: int = 1, slot: int | None = None) -> bytes:
        """An honest proof."""
        at = self.slot if slot is None else slot
        return self.slots.proof(at, self.twin, self.holder(index), self.data, self.tags, self.key)

    def prove(self, index: int = 1, slot: int | None = None) -> None:
        """Prove honestly, sent by somebody else."""
        at = self.slot if slot is None else slot
        self.slots.audit.prove(self.slots.world.outsider, at, [self.twin], self.holder(index), self.proof(index, at))

    def challenge(self, index: int = 1) -> Challenge:
        """What is asked in the first slot."""
        return self.slots.challenge(self.slot, self.twin, self.holder(index))


def false_claim(key: PrivateKey, transcript: bytes) -> bytes:
    """A claimed proof made from nothing: choose T and M, claim P = T^e · g^-M."""
    public = key.public
    n, tag, total = mpz(public.modulus), mpz(12345), mpz(67890)
    inverse = gmpy2.invert(public.generator, n)
    product = gmpy2.powmod(tag, public.exponent, n) * gmpy2.powmod(inverse, total, n) % n
    prime, nonce = find_prime(transcript, tag, product)
    quotient = gmpy2.powmod(tag, public.exponent // prime, n) * gmpy2.powmod(inverse, total // prime, n) % n
    parts = (element(int(tag)), element(int(quotient)), int(total % prime).to_bytes(32, "big"))
    return b"".join(parts) + nonce.to_bytes(2, "big") + element(int(product))


def trapdoor_proof(key: PrivateKey, challenge: Challenge) -> bytes:
    """A proof by the tagger, who needs no data: T = P^d."""
    public = key.public
    n = mpz(public.modulus)
    product = product_of(public, [challenge])
    tag = gmpy2.powmod(product, key.inverse_exponent(key.order), n)
    prime, nonce = find_prime(challenge.sigma, tag, product)
    quotient = gmpy2.powmod(tag, public.exponent // prime, n)
    return b"".join((element(int(tag)), element(int(quotient)), bytes(32), nonce.to_bytes(2, "big")))
