"""What disputes cost, for `benchmarks/gas.py`: trees of 1,000 devices, so proofs of ten hashes."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.gas_consortium import Consortium, digest
from chain.values import ProvenContribution, Recorded
from twins.contribution import LEAF_TYPES, Contribution, Receipt, address_of_key, contribution_leaf
from twins.merkle import StandardMerkleTree, leaf_hash
from twins.types import Address, Digest, digest_of_bytes

DEVICES = 1_000
KEY, OTHER = bytes([1] * 32), bytes([2] * 32)
DEVICE = address_of_key(KEY)


class Counted:
    """A station's counted update over 1,000 leaves: one honest, one of the same device again, one forged."""

    def __init__(self, consortium: Consortium, index: int, roster: Digest) -> None:
        """Submit it."""
        self.station = consortium.stations[index]
        update = consortium.update(index, consortium.twin)
        shown = []
        for text, key in (("first", KEY), ("second", KEY), ("forged", OTHER)):
            said = Contribution(
                update.twin, update.round, self.station.address, update.base, digest(f"{text} {index}"), 10
            )
            shown.append(ProvenContribution(DEVICE, said.digest, 10, said.sign(consortium.domain, key)))
        others = [(DEVICE, digest(f"device {place}"), 10, b"") for place in range(DEVICES - len(shown))]
        values = [(one.device, one.digest, one.examples, one.signature) for one in shown] + others
        self.leaves = [contribution_leaf(*value) for value in values]
        self.tree = StandardMerkleTree.of(LEAF_TYPES, self.leaves)
        self.shown = shown
        update = consortium.update(index, consortium.twin, contributions=self.tree.root)
        consortium.ledger.submit_update(self.station, update)
        self.recorded = Recorded(update, self.station.address, roster)

    def part(self, place: int) -> tuple[Recorded, ProvenContribution, Sequence[bytes]]:
        """Return what a proof about one of the shown leaves begins with."""
        return self.recorded, self.shown[place], self.tree.proof(place)

    def leaf(self, place: int) -> Digest:
        """Return the hash of a leaf."""
        return digest_of_bytes(self.tree.leaves[place])


def roster_of(device: Address) -> StandardMerkleTree:
    """Return a roster of 1,000 devices with this one as the first."""
    others = [address_of_key(place.to_bytes(32, "big")) for place in range(1, DEVICES)]
    return StandardMerkleTree.of(("address",), [(device,), *((other,) for other in others)])


def measure_disputes(consortium: Consortium) -> dict[str, int]:
    """Measure everything that deals with wrong updates, with three stations; leave the round open."""
    ledger, twin, stations = consortium.ledger, consortium.twin, consortium.stations
    roster = roster_of(DEVICE)
    for station in stations:
        consortium.registry.set_roster(station, roster.root, DEVICES)
    gas: dict[str, int] = {}

    def fresh() -> list[Counted]:
        consortium.open()
        return [Counted(consortium, index, roster.root) for index in range(3)]

    a, b, c = fresh()
    number, accused = consortium.round, a.station.address
    evidence = digest("evidence")
    gas["dispute, first"] = ledger.dispute(stations[1], twin, number, accused, evidence).gas_used
    gas["dispute, deciding"] = ledger.dispute(stations[2], twin, number, accused, evidence).gas_used
    gas["prove a forgery, 1,000 leaves"] = ledger.prove_forgery(stations[2], *b.part(2)).gas_used
    double = ledger.prove_double_count(stations[0], *c.part(0), *c.part(1))
    gas["prove a double count, one station"] = double.gas_used
    double = ledger.prove_double_count(stations[0], *a.part(0), *b.part(0))
    gas["prove a double count, two stations"] = double.gas_used
    consortium.advance(121)
    ledger.abort_round(stations[0], twin, number)

    a, b, c = fresh()
    number = consortium.round
    gas["challenge an invented device"] = ledger.challenge_invented(stations[1], *a.part(0)).gas_used
    leaf = digest_of_bytes(leaf_hash(("address",), (DEVICE,)))
    answered = ledger.answer_challenge(stations[0], twin, number, a.station.address, roster.root, leaf, roster.proof(0))
    gas["answer a challenge, 1,000 leaves"] = answered.gas_used
    left_out = digest("left out")
    receipt = Receipt(twin, number, left_out).signing_hash(consortium.domain)
    challenge = ledger.challenge_omitted(stations[0], b.recorded, left_out, b.station.sign_hash(receipt))
    gas["challenge an omitted device"] = challenge.gas_used
    consortium.advance(31)
    settled = ledger.settle_challenge(stations[0], twin, number, b.station.address, b.tree.root, left_out)
    gas["settle a challenge"] = settled.gas_used
    return gas
