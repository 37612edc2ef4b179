"""Merkle trees: OpenZeppelin's own vectors, then laws, then forged proofs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from twins.contribution import LEAF_TYPES
from twins.errors import MerkleError
from twins.merkle import StandardMerkleTree, leaf_hash, verify_proof
from twins.types import Digest
from twins.updates import roster_tree

pytestmark = pytest.mark.unit

TREES = json.loads((Path(__file__).parents[2] / "vectors" / "merkle.json").read_text())["trees"]
PAIR = ("bytes32", "bytes32")

values = st.lists(st.tuples(*2 * [st.binary(min_size=32, max_size=32)]), min_size=1, max_size=12)


def typed(types: list[str], value: list[str]) -> tuple[object, ...]:
    """A value as JSON carries it, as Python's ABI encoder takes it."""
    read: dict[str, Callable[[str], object]] = {
        "address": str,
        "uint64": int,
        "bytes32": lambda text: bytes.fromhex(text[2:]),
    }
    return tuple(read[kind](text) for kind, text in zip(types, value, strict=True))


def test_the_vectors_are_of_the_leaves_that_are_used() -> None:
    assert {tuple(tree["types"]) for tree in TREES} == {LEAF_TYPES, ("address",)}


@pytest.mark.parametrize("vector", TREES, ids=lambda tree: f"{len(tree['values'])} of {len(tree['types'])} fields")
def test_roots_and_proofs_equal_openzeppelins(vector: dict) -> None:  # type: ignore[type-arg]
    leaves = [typed(vector["types"], value) for value in vector["values"]]
    tree = StandardMerkleTree.of(vector["types"], leaves)
    assert tree.root == vector["root"]
    for proven in vector["proofs"]:
        proof = tree.proof(proven["index"])
        assert ["0x" + node.hex() for node in proof] == proven["proof"]
        assert verify_proof(tree.root, leaf_hash(vector["types"], leaves[proven["index"]]), proof)


def test_the_roster_tree_is_openzeppelins_over_addresses() -> None:
    for vector in TREES:
        if vector["types"] == ["address"]:
            assert roster_tree([address for (address,) in vector["values"]]).root == vector["root"]


@given(values, st.randoms())
def test_the_root_does_not_depend_on_the_order(leaves: list, random) -> None:  # type: ignore[type-arg,no-untyped-def]
    shuffled = list(leaves)
    random.shuffle(shuffled)
    assert StandardMerkleTree.of(PAIR, shuffled).root == StandardMerkleTree.of(PAIR, leaves).root


@given(values)
def test_every_value_can_be_proven(leaves: list) -> None:  # type: ignore[type-arg]
    tree = StandardMerkleTree.of(PAIR, leaves)
    for index, value in enumerate(leaves):
        assert verify_proof(tree.root, leaf_hash(PAIR, value), tree.proof(index))


@given(values, st.tuples(*2 * [st.binary(min_size=32, max_size=32)]), st.data())
def test_a_value_outside_the_tree_cannot_take_anothers_proof(leaves, other, data) -> None:  # type: ignore[no-untyped-def]
    tree = StandardMerkleTree.of(PAIR, leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    assert verify_proof(tree.root, leaf_hash(PAIR, other), tree.proof(index)) == (other in leaves[index : index + 1])


FIVE = [(bytes([i]) * 32, bytes(32)) for i in range(5)]
TREE = StandardMerkleTree.of(PAIR, FIVE)
LEAF, PROOF = leaf_hash(PAIR, FIVE[0]), TREE.proof(0)


def test_a_changed_sibling_refuses() -> None:
    assert verify_proof(TREE.root, LEAF, PROOF)
    for position, node in enumerate(PROOF):
        changed = bytes([node[0] ^ 1]) + node[1:]
        assert not verify_proof(TREE.root, LEAF, [*PROOF[:position], changed, *PROOF[position + 1 :]])


def test_a_shortened_lengthened_or_reordered_proof_refuses() -> None:
    assert len(PROOF) > 1
    for forged in (PROOF[:-1], PROOF[1:], (), (*PROOF, bytes(32)), PROOF[::-1]):
        assert not verify_proof(TREE.root, LEAF, forged)


def test_another_root_refuses() -> None:
    assert not verify_proof(Digest("0x" + "00" * 32), LEAF, PROOF)


def test_an_inner_node_cannot_be_passed_off_as_a_value() -> None:
    """Second preimage: two children are 64 bytes, and so is a value of two words."""
    children = (min(TREE.nodes[1:3]), max(TREE.nodes[1:3]))
    # With leaves hashed once, this value would be the root: the attack is a real one.
    assert keccak(b"".join(children)) == TREE.nodes[0]
    assert not verify_proof(TREE.root, leaf_hash(PAIR, children), ())
    for index in range(5):
        assert not verify_proof(TREE.root, leaf_hash(PAIR, children), TREE.proof(index))


def test_the_border_between_two_nodes_cannot_be_moved() -> None:
    """31 and 33 bytes have the same hash as 32 and 32; Solidity's bytes32 excludes that by type."""
    pair = b"".join(sorted((LEAF, PROOF[0])))
    for border in (0, 1, 31, 33, 63, 64):
        left, right = sorted((pair[:border], pair[border:]))
        if left + right == pair:
            assert not verify_proof(TREE.root, left, (right, *PROOF[1:]))
            assert not verify_proof(TREE.root, right, (left, *PROOF[1:]))


def test_a_tree_of_nothing_is_refused() -> None:
    with pytest.raises(MerkleError, match="at least one"):
        StandardMerkleTree.of(PAIR, [])


def test_a_value_twice_is_two_leaves() -> None:
    twice = StandardMerkleTree.of(PAIR, [FIVE[0], FIVE[0]])
    assert twice.root != StandardMerkleTree.of(PAIR, [FIVE[0]]).root
    assert all(verify_proof(twice.root, LEAF, twice.proof(i)) for i in (0, 1))
