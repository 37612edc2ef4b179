"""Merkle trees in the format of OpenZeppelin's StandardMerkleTree.

So that Solidity's ``MerkleProof.verify`` accepts the proofs: leaves are hashed twice (a leaf can never be taken for
an inner node: second-preimage attack), pairs are sorted before hashing, leaves are sorted by hash.
Source: @openzeppelin/merkle-tree 1.0, README "Standard Merkle Trees".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twins.errors import MerkleError
from twins.keccak import keccak
from twins.types import Digest, digest_bytes
from twins.words import encode_words


@dataclass(frozen=True)
class StandardMerkleTree:
    """A complete binary tree in an array: node i has children 2i + 1 and 2i + 2, the root is node 0.

    Attributes:
        nodes: 32-byte hashes.
        positions: of each value's leaf in ``nodes``, in the order the values were given.
    """

    nodes: tuple[bytes, ...]
    positions: tuple[int, ...]

    @classmethod
    def of(cls, types: Sequence[str], values: Iterable[Sequence[object]]) -> StandardMerkleTree:
        """Build the tree over ``values``, each ABI-encoded as ``types``.

        Law: the root doesn't depend on the order of the values.

        Raises:
            MerkleError: no values (a root that stands for nothing).
        """
        return cls.of_leaves(leaf_hash(types, value) for value in values)

    @classmethod
    def of_leaves(cls, leaves: Iterable[bytes]) -> StandardMerkleTree:
        """Build the tree over the hashes of leaves (`leaf_hash`); as `of`."""
        hashes = list(leaves)
        count = len(hashes)
        if count == 0:
            raise MerkleError("expected at least one leaf")
        order = sorted(range(count), key=hashes.__getitem__)
        nodes = [b""] * (2 * count - 1)
        positions = [0] * count
        for rank, index in enumerate(order):
            place = len(nodes) - 1 - rank
            nodes[place] = hashes[index]
            positions[index] = place
        for place in range(count - 2, -1, -1):
            nodes[place] = _pair(nodes[2 * place + 1], nodes[2 * place + 2])
        return cls(tuple(nodes), tuple(positions))

    @property
    def root(self) -> Digest:
        """Root of the tree."""
        return Digest("0x" + self.nodes[0].hex())

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """Hash of each value's leaf, in the order the values were given."""
        return tuple(self.nodes[place] for place in self.positions)

    def proof(self, index: int) -> tuple[bytes, ...]:
        """Return the siblings on the way from the ``index``-th value's leaf to the root."""
        place, siblings = self.positions[index], []
        while place > 0:
            siblings.append(self.nodes[place + 1 if place % 2 else place - 1])
            place = (place - 1) // 2
        return tuple(siblings)


def leaf_hash(types: Sequence[str], value: Sequence[object]) -> bytes:
    """Return ``keccak256(keccak256(abi.encode(value)))``."""
    return keccak(keccak(encode_words(types, value)))


def verify_proof(root: Digest, leaf: bytes, proof: Iterable[bytes]) -> bool:
    """Tell whether ``leaf`` (its hash) is under ``root``, as ``MerkleProof.verify`` does.

    What Solidity's ``bytes32`` says by type is checked here: with the border between a pair moved, the same
    64 bytes would prove another leaf.
    """
    siblings = tuple(proof)
    if any(len(node) != 32 for node in (leaf, *siblings)):
        return False
    for sibling in siblings:
        leaf = _pair(leaf, sibling)
    return leaf == digest_bytes(root)


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)
