"""Blocks that rot on a node's disk: never handed on, found, and replaced from good bytes."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.integration.ipfs.conftest import Daemon, Swarm
from twins.content import CHUNK, blocks_of, cid_of
from twins.errors import ArtifactCorruptError
from twins.types import Cid

pytestmark = pytest.mark.integration

DATA = os.urandom(4 * CHUNK + 1234)
CID = cid_of(DATA)
LEAF = cid_of(DATA[CHUNK : 2 * CHUNK])


@pytest.fixture(params=[True, False], ids=["hash_on_read", "no_hash_on_read"])
def rotting(request: pytest.FixtureRequest, new_swarm: Swarm) -> Swarm:
    """Three nodes; without HashOnRead, Kubo hands out whatever is in its files."""
    for _ in range(3):
        daemon = new_swarm.add()
        daemon.configure(lambda settings: settings["Datastore"].update(HashOnRead=request.param))
    new_swarm.up()
    return new_swarm


def truncate(daemon: Daemon, cid: Cid) -> None:
    file = daemon.block_file(cid)
    file.chmod(0o600)
    file.write_bytes(b"")


def remove(daemon: Daemon, cid: Cid) -> None:
    daemon.block_file(cid).unlink()


@pytest.mark.parametrize("block", [LEAF, CID], ids=["leaf", "root"])
def test_a_rotten_block_is_replaced_when_it_is_read(rotting: Swarm, block: Cid) -> None:
    told: list[str] = []
    store = rotting.store(replicas=2, told=told)
    store.put(DATA)
    rotting[0].flip_bit(block)

    assert store.get(CID) == DATA

    assert told == [f"{rotting[0].node.api_url}: artifact {CID}: replaced 1 bad blocks, the first {block}"]
    rotting[1].kill()
    rotting[2].kill()
    assert rotting[0].store.get(CID) == DATA
    assert rotting[0].store.replicas_of(CID) == 1


@pytest.mark.parametrize(
    ("damage", "block"),
    [(Daemon.flip_bit, CID), (truncate, LEAF), (remove, LEAF), (remove, CID)],
    # Not by the CIDs: the bytes are random, and several test processes have to agree on the names.
    ids=["flipped root", "truncated leaf", "missing leaf", "missing root"],
)
def test_put_leaves_good_blocks_behind_though_kubo_says_that_they_exist(
    rotting: Swarm, block: Cid, damage: Callable[[Daemon, Cid], None]
) -> None:
    alone = rotting[0].store
    alone.put(DATA)
    damage(rotting[0], block)

    assert alone.put(DATA) == CID

    rotting[1].kill()
    rotting[2].kill()
    assert alone.get(CID) == DATA
    assert alone.replicas_of(CID) == 1


def test_two_nodes_with_different_rotten_blocks_make_one_good_artifact(rotting: Swarm) -> None:
    store = rotting.store(0, 1, replicas=2)
    store.put(DATA)
    leaves = [cid for cid, _ in blocks_of(DATA)]
    rotting[0].flip_bit(leaves[0])
    rotting[1].flip_bit(leaves[1])
    rotting[0].flip_bit(leaves[2])

    assert store.get(CID) == DATA  # mends the node whose rot it met
    assert rotting[0].store.get(CID) == DATA
    assert store.put(DATA) == CID  # mends the other
    assert rotting[1].store.get(CID) == DATA
    for daemon in rotting.daemons[:2]:
        assert [cid for cid, block in blocks_of(DATA) if daemon.block_file(cid).read_bytes() != block] == []


def test_an_artifact_that_shares_the_rotten_block_stays_pinned(rotting: Swarm) -> None:
    alone = rotting[0].store
    alone.put(DATA)
    sibling = alone.put(DATA[: 2 * CHUNK] + b"another end")
    block = alone.put(DATA[CHUNK : 2 * CHUNK])  # pinned in its own right, too
    rotting[0].flip_bit(LEAF)

    alone.put(DATA)

    assert block == LEAF
    assert [alone.replicas_of(cid) for cid in (CID, sibling, block)] == [1, 1, 1]
    assert alone.get(sibling) == DATA[: 2 * CHUNK] + b"another end"


def test_bytes_that_are_good_nowhere_are_not_handed_on(rotting: Swarm) -> None:
    rotting.store(replicas=3).put(DATA)
    for daemon in rotting.daemons:
        daemon.flip_bit(LEAF)

    with pytest.raises(ArtifactCorruptError, match=f"(?s)expected {CID}, got no good block {LEAF}.*; put the artifact"):
        rotting.store().get(CID)

    assert rotting.store(replicas=3).put(DATA) == CID  # whoever has the bytes mends all of it
    assert all(daemon.store.get(CID) == DATA for daemon in rotting.daemons)
