"""What proofs of possession cost in gas, by receipts, beside an audit by SHA-256 inclusion proofs.

Examples:
    benchmarks/pdp_gas.py            measure and write docs/benchmarks/pdp-gas.json
    benchmarks/pdp_gas.py --quick    few blocks only, and nothing is written

Real transactions on a Hardhat node with the consortium's rules (London), honest proofs over blocks of 4 KiB. Gas varies
by about 2 % with the proof: a prime takes more or fewer bits, and zero bytes of calldata are cheaper.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from eth_utils.crypto import keccak

from benchmarks.tables import DOCS, renew
from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.audit_values import AuditPolicy, Mode, Phase
from chain.compiler import Compiler
from chain.connection import Chain
from chain.deployment import deploy_contracts, open_contracts
from chain.encoding import Interface
from chain.errors import SyncAuditClaimHolds
from chain.hardhat_node import HardhatNode
from chain.pdp.challenge import batch_transcript, claim_digest, quorum_digest
from chain.pdp.proof import aggregate, prove_together
from chain.pdp.sources import BytesSource
from chain.pdp.tags import Tags
from scripts.cli import command, out, run
from tests.integration.consortium import Consortium
from tests.slots import Slots, content, known_key
from twins.types import TwinId

DESIGN = {
    "full, 1 block": 420_000,
    "full, 8 blocks": 540_000,
    "full, 16 blocks": 680_000,
    "full, 30 blocks": 920_000,
    "full, 100 blocks": 2_110_000,
    "full, 460 of 1000 blocks": 8_290_000,
    "claimed, 100 blocks": 430_000,
    "dispute, 16 blocks": 320_000,
    "dispute, 30 blocks": 570_000,
    "dispute, 100 blocks": 1_760_000,
    "dispute, 460 of 1000 blocks": 7_930_000,
    "batch of 10, 16 blocks, each": 349_000,
    "batch of 10, claimed, each": 76_000,
    "batch of 50, claimed, each": 45_000,
    "quorum, 3 signatures": 82_000,
    "quorum, 5 signatures": 95_000,
    "quorum, 7 signatures": 109_000,
    "quorum, 14 signatures": 156_000,
    "register a key": 189_000,
    "register tags": 114_000,
    "first reveal of a slot": 95_000,
    "set an anchor, again": 47_000,
    "Merkle, 30 leaves": 810_000,
    "Merkle, 100 leaves": 2_570_000,
    "Merkle, 460 leaves": 11_700_000,
}
"""Figures of the design's prototype."""

_ALL = 1 << Mode.FULL | 1 << Mode.OPTIMISTIC | 1 << Mode.QUORUM
_KEY = known_key(0)


@dataclass
class Bench:
    """A consortium, and what was measured on it."""

    slots: Slots
    gas: dict[str, int] = field(default_factory=dict)

    @classmethod
    def on(cls, chain: Chain, stations: int) -> Bench:
        """Deploy and admit."""
        admin = Account.from_mnemonic(HARDHAT_MNEMONIC, 0)
        accounts = tuple(Account.from_mnemonic(HARDHAT_MNEMONIC, index) for index in range(1, stations + 1))
        deployment, _ = deploy_contracts(chain, admin)
        registry, ledger = open_contracts(chain, deployment)
        registry.register_stations(admin, [account.address for account in accounts])
        payer = Account.from_mnemonic(HARDHAT_MNEMONIC, 70)
        return cls(Slots.of(Consortium(chain, deployment, registry, ledger, admin, accounts, payer)))

    def twin(self, name: str, blocks: int, size: int) -> tuple[TwinId, bytes, Tags]:
        """A twin whose artifact has so many blocks, held by station 1 in the lane of station 0."""
        slots = self.slots
        twin, data = slots.twin(name, AuditPolicy(_ALL, size, 1, 1, True, 0b1)), content(name, 4096 * blocks)
        tags = slots.tag(0, twin, data, _KEY)
        self.gas["assign a holder"] = slots.audit.assign(slots.stations[0], twin, slots.stations[1].address).gas_used
        return twin, data, tags

    def single(self, blocks: int, size: int) -> None:
        """Full and claimed proofs of one artifact, and the dispute of a right claim, each in a slot of its own."""
        slots, audit = self.slots, self.slots.audit
        of = f"{blocks} block{'s' if blocks > 1 else ''}" if blocks <= size else f"{size} of {blocks} blocks"
        twin, data, tags = self.twin(f"single-{blocks}", blocks, size)
        holder, payer, full, claims = slots.stations[1], slots.world.outsider, [], []
        for turn in range(4):
            slot = slots.slot + 1
            slots.reveal(slot)
            slots.go_to(slot, Phase.PROVING)
            challenge = slots.challenge(slot, twin, holder.address)
            made = aggregate(BytesSource(data), tags, _KEY.public, challenge)
            claimed = prove_together([made], _KEY.public, challenge.sigma)
            if turn < 2:
                full.append(audit.prove(payer, slot, [twin], holder.address, claimed[:546]).gas_used)
                continue
            signature = holder.sign_hash(claim_digest(challenge.sigma, claimed))
            claims.append(audit.prove_optimistic(payer, slot, [twin], holder.address, claimed, signature).gas_used)
        self.gas |= {f"full, {of}": round(fmean(full)), f"claimed, {of}": round(fmean(claims))}
        self.gas[f"dispute, {of}"] = self.dispute(slots.slot, twin)

    def dispute(self, slot: int, twin: TwinId) -> int:
        """Gas of recomputing a product: of a right claim, whose dispute is mined and refused."""
        audit, chain, payer = self.slots.audit, self.slots.world.chain, self.slots.world.outsider
        data = audit.interface.functions["dispute"].encode(slot, twin, self.slots.stations[1].address)
        request = {"from": payer.address, "to": audit.address, "data": "0x" + data.hex(), "gas": hex(25_000_000)}
        try:
            chain.rpc("eth_call", (request, "latest"))
        except SyncAuditClaimHolds:
            # Unsigned, from an account that the node unlocks: a transaction that fails still has a receipt.
            chain.rpc("hardhat_impersonateAccount", (payer.address,))
            chain.rpc("evm_setAutomine", (False,))
            sent = chain.rpc("eth_sendTransaction", (request,))
            chain.rpc("evm_mine")
            chain.rpc("evm_setAutomine", (True,))
            return chain.receipt(sent).gas_used
        raise AssertionError("expected a right claim to hold")

    def batch(self, count: int, blocks: int, *, claimed: bool) -> None:
        """One proof for several twins."""
        slots, audit = self.slots, self.slots.audit
        twins = sorted((self.twin(f"b{count}-{blocks}-{claimed:d}-{i}", blocks, 100) for i in range(count)), key=str)
        twins.sort(key=lambda one: one[0])
        holder, payer, slot = slots.stations[1], slots.world.outsider, slots.slot + 1
        slots.reveal(slot)
        slots.go_to(slot, Phase.PROVING)
        asked = [slots.challenge(slot, twin, holder.address) for twin, _, _ in twins]
        made = [
            aggregate(BytesSource(data), tags, _KEY.public, challenge)
            for (_, data, tags), challenge in zip(twins, asked, strict=True)
        ]
        transcript = batch_transcript(asked)
        proof = prove_together(made, _KEY.public, transcript)
        names = [twin for twin, _, _ in twins]
        if claimed:
            signature = holder.sign_hash(claim_digest(transcript, proof))
            used = audit.prove_optimistic(payer, slot, names, holder.address, proof, signature).gas_used
            self.gas[f"batch of {count}, claimed, each"] = round(used / count)
        else:
            used = audit.prove(payer, slot, names, holder.address, proof[:546]).gas_used
            self.gas[f"batch of {count}, {blocks} blocks, each"] = round(used / count)

    def steps(self) -> None:
        """Keys, tags, anchors and reveals."""
        slots, audit = self.slots, self.slots.audit
        self.gas["register a key"] = audit.register_key(slots.stations[0], known_key(1).public).gas_used
        for when in ("first", "again"):
            slot = slots.slot + 1
            slots.go_to(slot, Phase.OPEN)
            slots.chains.clear()
            self.gas[f"set an anchor, {when}"] = self._anchor(slot)
        slot = slots.slot
        slots.go_to(slot, Phase.SEALED)
        values = [(s, slots.chains[s.address].value(slot)) for s in slots.stations]
        receipts = [audit.reveal(station, value).gas_used for station, value in values]
        self.gas |= {"first reveal of a slot": receipts[0], "another reveal": receipts[1]}

    def _anchor(self, slot: int) -> int:
        block = self.slots.world.chain.block_number()
        self.slots.anchor(slot)
        newest = self.slots.world.chain.rpc("eth_getBlockByNumber", (hex(block + 3), False))["transactions"][0]
        return self.slots.world.chain.receipt(newest).gas_used

    def tags(self) -> None:
        """Registration of one more version's tags."""
        slots = self.slots
        twin, _, _ = self.twin("versions", 2, 100)
        slots.world.finish(twin)
        slots.go_to(slots.slot + 1, Phase.OPEN)
        block = slots.world.chain.block_number()
        slots.tag(0, twin, content("versions-1", 9000), _KEY)
        sent = slots.world.chain.rpc("eth_getBlockByNumber", (hex(block + 1), False))["transactions"][0]
        self.gas["register tags"] = slots.world.chain.receipt(sent).gas_used


def quorum(chain: Chain, stations: int) -> dict[str, int]:
    """A proof that stations have seen."""
    bench = Bench.on(chain, stations)
    slots = bench.slots
    bench.steps()
    twin, _, _ = bench.twin("quorum", 2, 100)
    slot = slots.slot + 1
    slots.reveal(slot)
    slots.go_to(slot, Phase.PROVING)
    sigma = slots.challenge(slot, twin, slots.stations[1].address).sigma
    digest = quorum_digest(chain.chain_id, slots.audit.address, slot, twin, sigma, keccak(b"proof"))
    needed = 2 * stations // 3 + 1
    signers = [s for s in slots.stations if s != slots.stations[1]][:needed]
    signatures = [s.sign_hash(digest) for s in sorted(signers, key=lambda s: int(s.address, 16))]
    used = slots.audit.attest(slots.world.outsider, slot, twin, slots.stations[1].address, b"proof", signatures)
    return {f"quorum, {needed} signatures": used.gas_used}


def merkle(chain: Chain, leaves: int, depth: int = 27) -> int:
    """An audit by inclusion proofs: all leaves of the tree are zero, so that 2^27 of them need no memory."""
    file = "benchmarks/solidity/MerkleAudit.sol"
    source = (Path(__file__).parent / "solidity" / "MerkleAudit.sol").read_text(encoding="utf-8")
    compiler = Compiler()
    found = compiler._run({file: source}, compiler.settings_of("PDPVerifier"))["contracts"][file]["MerkleAudit"]
    abi = Interface.of("MerkleAudit", found["abi"])
    nodes = [bytes(32), hashlib.sha256(b"\0" + bytes(32)).digest()]
    for _ in range(depth):
        nodes.append(hashlib.sha256(b"\1" + nodes[-1] * 2).digest())
    # Nonzero leaves would cost 12 gas more a byte: the siblings above the lowest are hashes, as in any tree.
    path = [nodes[0], *nodes[1 : depth + 1]]
    payer = Account.from_mnemonic(HARDHAT_MNEMONIC, 70)
    code = bytes.fromhex(found["evm"]["bytecode"]["object"])
    created = chain.deploy(payer, code, abi.constructor.encode((nodes[depth + 1], depth), "MerkleAudit"))
    if created.contract_address is None:
        raise AssertionError("expected a contract")
    data = abi.functions["prove"].encode(7, keccak(b"seed"), [path] * leaves)
    return chain.transact(payer, created.contract_address, data).gas_used


def measure(chain: Chain, *, quick: bool) -> dict[str, int]:
    """Measure everything."""
    bench = Bench.on(chain, 3)
    bench.steps()
    bench.tags()
    for blocks, size in ((1, 100), (8, 100), (16, 100), (30, 100), (100, 100), (1000, 460))[: 3 if quick else 6]:
        out.print(f"[dim]{blocks} blocks[/]")
        bench.single(blocks, size)
    bench.batch(10, 16, claimed=True)
    bench.batch(10, 16, claimed=False)
    if not quick:
        bench.batch(50, 16, claimed=True)
    gas = bench.gas
    for stations in (4, 6) if quick else (4, 6, 9, 20):
        gas |= quorum(chain, stations)
    for leaves in (8, 30) if quick else (8, 30, 100, 460):
        gas[f"Merkle, {leaves} leaves"] = merkle(chain, leaves)
    return gas


@command(__doc__)
def main(quick: Annotated[bool, typer.Option("--quick", help="Few blocks, nothing written.")] = False) -> None:
    """Measure (see --help)."""
    with (
        tempfile.TemporaryDirectory(prefix="twinledger-") as folder,
        HardhatNode.start(log=Path(folder) / "node.log") as node,
    ):
        gas = measure(Chain(node.url), quick=quick)
    for name, used in sorted(gas.items()):
        against = f"  design {DESIGN[name]:,}: {used / DESIGN[name]:.2f}" if name in DESIGN else ""
        out.print(f"{used:>12,}  {name}{against}")
    if not quick:
        figures: dict[str, Any] = {"gas": gas, "design": DESIGN}
        (DOCS / "benchmarks" / "pdp-gas.json").write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
        renew()


if __name__ == "__main__":
    run(main)
