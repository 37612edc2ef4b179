"""A consortium that audits possession on a real local chain: short words for a slot's steps, and time that can jump."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from chain.accounts import Account
from chain.audit_values import AuditPolicy, Phase
from chain.clock import SlotClock
from chain.deployment import open_audit
from chain.pdp.beacon import BeaconDomain, HashChain
from chain.pdp.challenge import Challenge
from chain.pdp.keys import PrivateKey
from chain.pdp.proof import prove
from chain.pdp.sources import BytesSource, merkle_root
from chain.pdp.tags import TagDomain, Tags, make_tags
from chain.sync_audit import SyncAudit
from tests.integration.consortium import Consortium
from twins.types import Address, TwinId, twin_id

# Safe primes that everybody knows: tests must come out the same every time. Made by chain.pdp.keys.safe_prime.
_FILE = Path(__file__).with_name("vectors") / "safe_primes.txt"
PRIMES = tuple(int(line, 16) for line in _FILE.read_text(encoding="utf-8").split())


def known_key(index: int, exponent_bits: int = 44_497) -> PrivateKey:
    """One of the tests' keys."""
    return PrivateKey(PRIMES[2 * index], PRIMES[2 * index + 1], exponent_bits)


def content(name: str, length: int) -> bytes:
    """Bytes that look random, and are the same every time."""
    return hashlib.shake_256(name.encode()).digest(length)


@dataclass
class Slots:
    """Contracts with three stations, audited.

    Attributes:
        world: registry, ledger, stations.
        audit: the SyncAudit.
        chains: of each station's beacon.
    """

    world: Consortium
    audit: SyncAudit
    chains: dict[Address, HashChain] = field(default_factory=dict)

    @classmethod
    def of(cls, world: Consortium) -> Slots:
        """Open the audit of a consortium, in the slot in which it was deployed: tests count slots from there."""
        # Others that share the chain may have taken minutes since, and its time goes on like any clock's.
        world.chain.rpc("evm_setNextBlockTimestamp", (world.chain.timestamp() + 1,))
        return cls(world, open_audit(world.chain, world.deployment))

    @cached_property
    def clock(self) -> SlotClock:
        """Its clock."""
        return SlotClock(self.audit)

    @property
    def stations(self) -> tuple[Account, ...]:
        """All of them."""
        return self.world.stations

    # -- time ------------------------------------------------------------------------------------------------

    def go(self, stamp: int) -> None:
        """Let the next block have exactly this time, and mine one now."""
        self.world.chain.rpc("evm_setNextBlockTimestamp", (stamp,))
        self.world.chain.rpc("evm_mine")

    def go_to(self, slot: int, phase: Phase, plus: int = 0) -> None:
        """Go to a phase of a slot."""
        self.go(self.clock.start_of(slot, phase) + plus)

    def next_at(self, stamp: int) -> None:
        """Let the next transaction's block have exactly this time."""
        self.world.chain.rpc("evm_setNextBlockTimestamp", (stamp,))

    @property
    def slot(self) -> int:
        """Of the newest block."""
        return self.clock.at(self.world.chain.timestamp())[0]

    # -- setting up ------------------------------------------------------------------------------------------

    def twin(self, name: str = "watch", policy: AuditPolicy | None = None) -> TwinId:
        """A twin with a genesis and a policy."""
        self.world.new_twin(name)
        twin = twin_id(name)
        self.audit.set_policy(self.world.admin, twin, policy or AuditPolicy.of(0b111))
        return twin

    def tag(self, tagger: int, twin: TwinId, data: bytes, key: PrivateKey) -> Tags:
        """Register a key if need be, tag the head, register the tags."""
        account = self.stations[tagger]
        if int(self.audit.key_of(key.public.key_id).owner, 16) == 0:
            self.audit.register_key(account, key.public)
        source = BytesSource(data)
        tags = make_tags(source, key, self.domain(twin, data, key), workers=1)
        root = merkle_root(source, key.public.block)
        self.audit.register_tags(account, twin, key.public.key_id, root, len(data), tags.digest)
        return tags

    def domain(self, twin: TwinId, data: bytes, key: PrivateKey) -> TagDomain:
        """The domain of the head's tags under a key."""
        head = self.world.ledger.head(twin)
        root = merkle_root(BytesSource(data), key.public.block)
        chain_id, contract = self.world.chain.chain_id, self.audit.address
        return TagDomain(
            chain_id, contract, twin, head.number, head.model, key.public.key_id, root, len(data), key.public.block
        )

    # -- a slot ----------------------------------------------------------------------------------------------

    def anchor(self, slot: int, *indices: int) -> None:
        """Let stations publish anchors in the slot's opening (all, if none is named)."""
        self.go_to(slot, Phase.OPEN)
        for index in indices or range(len(self.stations)):
            account = self.stations[index]
            domain = BeaconDomain(self.world.chain.chain_id, self.audit.address, account.address)
            chain = HashChain.generate(domain, slot - 1, 300)
            self.chains[account.address] = chain
            self.audit.set_anchor(account, chain.anchor)

    def reveal(self, slot: int, *indices: int) -> None:
        """Let stations reveal (all, if none is named)."""
        if self.slot < slot or self.clock.at(self.world.chain.timestamp())[1] is not Phase.SEALED:
            self.go_to(slot, Phase.SEALED)
        for index in indices or range(len(self.stations)):
            account = self.stations[index]
            self.audit.reveal(account, self.chains[account.address].value(slot))

    def open_proving(self, slot: int) -> None:
        """Anchors if there are none, reveals, and on to the proofs."""
        if not self.chains:
            self.anchor(slot)
        self.reveal(slot)
        self.go_to(slot, Phase.PROVING)

    def challenge(self, slot: int, twin: TwinId, holder: Address) -> Challenge:
        """What a holder is asked."""
        return self.audit.challenge_of(slot, twin, holder)[0]

    def proof(self, slot: int, twin: TwinId, holder: Address, data: bytes, tags: Tags, key: PrivateKey) -> bytes:
        """An honest proof."""
        return prove(BytesSource(data), tags, key.public, self.challenge(slot, twin, holder))
