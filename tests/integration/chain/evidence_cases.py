"""Updates over real trees of contributions, for tests of disputes."""

from __future__ import annotations

from chain.accounts import Account
from chain.values import ProvenContribution, Recorded
from tests.integration.consortium import Consortium, digest
from twins.contribution import LEAF_TYPES, Contribution, SigningDomain, address_of_key, contribution_leaf
from twins.merkle import StandardMerkleTree
from twins.types import Digest, TwinId, digest_of_bytes

KEYS = tuple(bytes([0x55] * 31 + [index + 1]) for index in range(3))
DEVICES = tuple(address_of_key(key) for key in KEYS)
ROSTER = StandardMerkleTree.of(("address",), [(device,) for device in DEVICES[:2]])
Shown = tuple[Recorded, ProvenContribution, tuple[bytes, ...]]


def domain(consortium: Consortium) -> SigningDomain:
    """The ledger's."""
    return SigningDomain(consortium.chain.chain_id, consortium.ledger.address)


class Case:
    """A station's counted update. Each entry is (device, key that signs, text of its update)."""

    def __init__(
        self,
        consortium: Consortium,
        twin: TwinId,
        station: Account,
        /,
        *entries: tuple[int, int, str],
        number: int = 1,
        at: SigningDomain | None = None,
        **changes: object,
    ) -> None:
        """Submit it; ``changes`` are of the statement that the devices sign, in the domain ``at``."""
        consortium.registry.set_roster(station, ROSTER.root, 2)
        update = consortium.update(twin, number, station.address)
        self.shown = []
        for device, key, text in entries or ((0, 0, "a"), (1, 1, "b")):
            fields = {"twin": twin, "round": number, "station": station.address, "base": update.base}
            fields |= {"digest": digest(text), "examples": 10} | changes
            signature = Contribution(**fields).sign(at or domain(consortium), KEYS[key])  # type: ignore[arg-type]
            self.shown.append(ProvenContribution(DEVICES[device], digest(text), 10, signature))
        leaves = [contribution_leaf(e.device, e.digest, e.examples, e.signature) for e in self.shown]
        self.tree = StandardMerkleTree.of(LEAF_TYPES, leaves)
        update = consortium.update(twin, number, station.address, contributions=self.tree.root)
        consortium.ledger.submit_update(station, update)
        self.recorded = Recorded(update, station.address, ROSTER.root)

    def part(self, place: int = 0) -> Shown:
        """What a proof about one contribution begins with."""
        return self.recorded, self.shown[place], self.tree.proof(place)

    def leaf(self, place: int = 0) -> Digest:
        """Hash of a contribution's leaf."""
        return digest_of_bytes(self.tree.leaves[place])
