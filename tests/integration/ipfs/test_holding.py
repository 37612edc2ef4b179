"""A holder's own copies: from its own node and nowhere else, a part at a time, and mended when they are bad."""

from __future__ import annotations

import os

import pytest

from tests.integration.ipfs.conftest import Daemon, Swarm
from twins.content import CHUNK, cid_of
from twins.errors import ArtifactCorruptError, ArtifactNotFoundError, NodeUnreachableError, TwinsError
from twins.kubo_holding import KuboHolding

pytestmark = pytest.mark.integration

DATA = os.urandom(3 * CHUNK + 777)
CID = cid_of(DATA)
SMALL = os.urandom(5000)
LEAF = cid_of(DATA[CHUNK : 2 * CHUNK])


@pytest.fixture
def pair(new_swarm: Swarm) -> Swarm:
    """Two nodes that see each other."""
    for _ in range(2):
        new_swarm.add()
    new_swarm.up()
    return new_swarm


def holding(daemon: Daemon) -> KuboHolding:
    return KuboHolding(daemon.endpoint)


def nothing() -> bytes:
    raise AssertionError("expected the copy that is here to be enough")


@pytest.mark.parametrize("data", [SMALL, DATA], ids=["one block", "a tree"])
def test_an_artifact_is_read_a_part_at_a_time(pair: Swarm, data: bytes) -> None:
    own = holding(pair[0])
    own.keep(cid_of(data), lambda: data)
    own.keep(cid_of(data), nothing)
    reader = own.open(cid_of(data))
    assert reader.length == len(data)
    for offset, size in ((0, 10), (len(data) - 5, 100), (CHUNK - 3, 9), (0, len(data)), (len(data), 1)):
        assert reader.read(offset, size) == data[offset : offset + size]


def test_what_only_a_peer_has_is_not_held(pair: Swarm) -> None:
    holding(pair[1]).keep(CID, lambda: DATA)
    with pytest.raises(ArtifactNotFoundError):
        holding(pair[0]).open(CID)
    fetched = []
    holding(pair[0]).keep(CID, lambda: fetched.append(1) or DATA)  # type: ignore[func-returns-value]
    assert fetched
    assert holding(pair[0]).open(CID).read(0, len(DATA)) == DATA


def test_a_block_that_rotted_is_not_read_and_is_mended_by_keeping_it_again(pair: Swarm) -> None:
    for daemon in (pair[0], pair[1]):
        holding(daemon).keep(CID, lambda: DATA)
    pair[0].flip_bit(LEAF)
    reader = holding(pair[0]).open(CID)
    assert reader.read(0, 100) == DATA[:100]  # other blocks are whole
    with pytest.raises(TwinsError) as caught:
        reader.read(CHUNK, 100)
    assert isinstance(caught.value, ArtifactCorruptError | ArtifactNotFoundError)
    assert holding(pair[1]).open(CID).read(CHUNK, 100) == DATA[CHUNK : CHUNK + 100]
    holding(pair[0]).keep(CID, lambda: DATA)
    assert holding(pair[0]).open(CID).read(0, len(DATA)) == DATA


def test_a_node_that_is_down_is_said_to_be(pair: Swarm) -> None:
    own = holding(pair[0])
    own.keep(CID, lambda: DATA)
    pair[0].kill()
    with pytest.raises(NodeUnreachableError):
        own.open(CID)
