"""KuboStore without a daemon: whom it asks, how often and how long, and what it says when it can't go on."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import pytest
from ipfshttpclient import exceptions as client_errors

from tests.unit.twins.fake_kubo import REFUSED_CONNECTION, FakeClient, FakeNode, block_cid, failing, status_error
from twins.content import CHUNK, blocks_of, cid_of
from twins.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    NodeUnreachableError,
    ReplicationError,
    StoreError,
)
from twins.ipfs import KuboEndpoint, KuboStore

pytestmark = pytest.mark.unit

DATA = b"weights" * 400_000  # three leaves
CID = cid_of(DATA)
URLS = ["http://127.0.0.1:5001", "http://127.0.0.1:5002", "http://127.0.0.1:5003"]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[FakeNode]:
    fakes = [FakeNode() for _ in URLS]
    addresses = [KuboEndpoint(url).multiaddr for url in URLS]
    client = type("Client", (FakeClient,), {"nodes": dict(zip(addresses, fakes, strict=True))})
    monkeypatch.setattr("twins.kubo_rpc.ipfshttpclient.Client", client)
    return fakes


def store(*, replicas: int = 2, budget: float = 5.0, count: int = 3, told: list[str] | None = None) -> KuboStore:
    endpoints = [KuboEndpoint(url, "secret-token") for url in URLS[:count]]
    return KuboStore(endpoints, replicas=replicas, budget=budget, notice=None if told is None else told.append)


def test_a_token_is_sent_but_never_shown(nodes: list[FakeNode]) -> None:
    endpoint = KuboEndpoint(URLS[0], "secret-token")
    assert "secret-token" not in repr(endpoint) + str(endpoint)

    nodes[0].fail = nodes[1].fail = nodes[2].fail = failing(status_error(403))
    with pytest.raises(StoreError) as caught:
        store(budget=0.3).put(DATA)

    assert "secret-token" not in str(caught.value)
    assert nodes[0].headers == {"Authorization": "Bearer secret-token"}


def test_a_store_asks_nobody_before_it_has_to(nodes: list[FakeNode]) -> None:
    store()
    assert [node.asked for node in nodes] == [[], [], []]


@pytest.mark.parametrize(
    "wrong", [{"endpoints": []}, {"endpoints": [KuboEndpoint(URLS[0])] * 2}, {"replicas": 0}, {"timeout": 0},
              {"budget": -1}],
)  # fmt: skip
def test_a_store_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="expected"):
        KuboStore(**{"endpoints": [KuboEndpoint(URLS[0])], **wrong})


# put


def test_the_own_node_and_the_next_ones_are_chosen(nodes: list[FakeNode]) -> None:
    store(replicas=2).put(DATA)
    assert [node.pins for node in nodes] == [{CID}, {CID}, set()]
    assert nodes[2].asked == []


@pytest.mark.parametrize("error", [REFUSED_CONNECTION, client_errors.TimeoutError(None, "slow"), status_error(500)])
def test_the_next_node_takes_the_place_of_one_that_fails(nodes: list[FakeNode], error: Exception) -> None:
    nodes[0].fail = failing(error)
    store(replicas=2).put(DATA)
    assert [node.pins for node in nodes] == [set(), {CID}, {CID}]


def test_nodes_that_fail_for_a_while_are_asked_again(nodes: list[FakeNode]) -> None:
    for node in nodes:
        node.fail = failing(REFUSED_CONNECTION, times=2)
    store(replicas=3).put(DATA)
    assert [node.pins for node in nodes] == [{CID}] * 3


def test_a_node_that_refuses_is_not_asked_again(nodes: list[FakeNode]) -> None:
    nodes[0].fail = nodes[1].fail = failing(status_error(403))
    with pytest.raises(ReplicationError, match="expected it to take our token, got status 403"):
        store(replicas=2, budget=60).put(DATA)  # and 60 seconds don't pass
    assert nodes[0].asked == nodes[1].asked == ["add"]


def test_the_budget_ends_what_the_nodes_never_will(nodes: list[FakeNode]) -> None:
    nodes[0].fail = nodes[1].fail = failing(REFUSED_CONNECTION)
    started = time.monotonic()

    with pytest.raises(ReplicationError) as caught:
        store(replicas=2, budget=0.5).put(DATA)

    assert 0.4 < time.monotonic() - started < 2
    assert (caught.value.cid, caught.value.wanted, caught.value.got) == (CID, 2, 1)
    assert dict(caught.value.reasons) == dict.fromkeys(URLS[:2], "[Errno 111] Connection refused")
    assert str(caught.value).startswith(f"artifact {CID}: expected it pinned on 2 IPFS nodes, got 1 (")
    assert "mend these nodes or name more of them" in str(caught.value)
    assert 2 < len(nodes[0].asked) < 8  # with pauses in between


def test_more_replicas_than_nodes_are_refused_before_anything_is_sent(nodes: list[FakeNode]) -> None:
    with pytest.raises(ReplicationError, match=r"on 2 IPFS nodes, got 0 .*only 1 given"):
        store(replicas=2, count=1).put(DATA)
    assert nodes[0].asked == []


def test_a_node_that_answers_another_cid_does_not_count(nodes: list[FakeNode], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = FakeClient.add

    def lie(self: FakeClient, *words: Any, **options: Any) -> dict[str, str]:
        return honest(self, *words, **options) if self.node is not nodes[0] else {"Hash": cid_of(b"other")}

    monkeypatch.setattr(FakeClient, "add", lie)
    with pytest.raises(ReplicationError, match=f"expected it to store {CID}, got {cid_of(b'other')}"):
        store(replicas=3).put(DATA)


@pytest.mark.parametrize("answer", [{}, None, [], "<html>", {"Hash": 5}])
def test_a_node_that_is_no_kubo_does_not_count(
    nodes: list[FakeNode], monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    monkeypatch.setattr(FakeClient, "add", lambda *_, **__: answer)
    with pytest.raises(ReplicationError, match="got 0"):
        store(replicas=1, budget=60).put(DATA)


def test_put_mends_what_the_node_believes_to_have(nodes: list[FakeNode]) -> None:
    told: list[str] = []
    leaf = cid_of(DATA[:CHUNK])
    nodes[0].blocks[leaf] = b"rot"

    store(replicas=1, told=told).put(DATA)

    assert nodes[0].blocks == dict(blocks_of(DATA))
    assert nodes[0].pins == {CID}
    assert told == [f"{URLS[0]}: artifact {CID}: replaced 1 bad blocks, the first {leaf}"]


@pytest.mark.parametrize("trouble", ["", "add", "pin"])
def test_another_artifact_unpinned_for_the_mending_is_pinned_again_or_told_of(
    nodes: list[FakeNode], trouble: str
) -> None:
    told: list[str] = []
    sibling = store(replicas=1).put(DATA[:CHUNK] + b"another end")
    nodes[0].blocks[cid_of(DATA[:CHUNK])] = b"rot"
    again = failing(status_error(500, "disk full"), what=trouble) if trouble else nodes[0].fail
    nodes[0].fail = lambda what: again(what) if "rm" in nodes[0].asked else None

    with pytest.raises(ReplicationError) if trouble == "add" else nullcontext():
        store(replicas=1, count=1, budget=0.3, told=told).put(DATA)

    assert (sibling in nodes[0].pins) == (trouble != "pin")
    assert any(f"{sibling} is no longer pinned, put it again: status 500" in line for line in told) == (
        trouble == "pin"
    )


def test_a_disk_that_rots_again_and_again_does_not_count(nodes: list[FakeNode]) -> None:
    class Rotting(dict[str, bytes]):
        def __getitem__(self, cid: str) -> bytes:
            return b"rot"

    nodes[0].blocks = Rotting()
    with pytest.raises(ReplicationError, match="blocks rotted again"):
        store(replicas=1, count=1, budget=2).put(DATA)


# get


def test_the_own_node_is_enough(nodes: list[FakeNode]) -> None:
    store(replicas=3).put(DATA)
    nodes[1].asked.clear()
    assert store().get(CID) == DATA
    assert nodes[1].asked == []


@pytest.mark.parametrize("error", [REFUSED_CONNECTION, status_error(403), status_error(500), OSError("reset")])
def test_another_node_answers_for_one_that_fails_and_that_is_not_asked_for_each_block(
    nodes: list[FakeNode], error: Exception
) -> None:
    store(replicas=3).put(DATA)
    nodes[0].asked.clear()
    nodes[0].fail = failing(error)
    assert store().get(CID) == DATA
    assert nodes[0].asked == ["get"]


def test_wrong_bytes_are_not_handed_on_but_mended(nodes: list[FakeNode]) -> None:
    told: list[str] = []
    store(replicas=2).put(DATA)
    nodes[0].blocks[CID] = nodes[1].blocks[CID][:-1] + b"?"

    assert store(told=told).get(CID) == DATA

    assert nodes[0].blocks == dict(blocks_of(DATA))
    assert len(told) == 1


def test_a_node_that_cannot_be_mended_does_not_stop_the_reader(nodes: list[FakeNode]) -> None:
    told: list[str] = []
    store(replicas=2).put(DATA)
    nodes[0].blocks[CID] = b"rot"
    nodes[0].fail = failing(status_error(500, "no space left on device"), what="add")

    assert store(told=told).get(CID) == DATA
    assert "it could not be mended: status 500: " in told[0]


def test_an_endless_answer_is_cut_off(nodes: list[FakeNode]) -> None:
    store(replicas=2).put(DATA)
    nodes[0].blocks[CID] = bytes(4 * CHUNK)
    assert store().get(CID) == DATA


def test_bad_bytes_everywhere_are_told_from_no_bytes_and_from_no_answer(nodes: list[FakeNode]) -> None:
    with pytest.raises(ArtifactNotFoundError, match="start the nodes that hold it, or put it again"):
        store(budget=0.5).get(CID)

    nodes[1].blocks[CID] = b"rot"
    with pytest.raises(ArtifactCorruptError, match=f"expected {CID}, got no good block .*of another hash.*; put the"):
        store(budget=0.5).get(CID)

    for node in nodes:
        node.fail = failing(REFUSED_CONNECTION)
    with pytest.raises(NodeUnreachableError, match="start a node, or correct its URL or token") as caught:
        store(budget=0.5).get(CID)
    assert dict(caught.value.reasons) == dict.fromkeys(URLS, "[Errno 111] Connection refused")


def test_peers_are_asked_only_for_what_no_node_has(nodes: list[FakeNode]) -> None:
    store(replicas=1, count=2).put(DATA)
    nodes[1].blocks = dict(nodes[0].blocks)
    del nodes[0].blocks[cid_of(DATA[:CHUNK])]
    assert store().get(CID) == DATA
    assert not any("search" in node.asked for node in nodes)


def test_a_tree_that_would_fill_the_memory_is_refused(nodes: list[FakeNode]) -> None:
    inner = [block for _, block in blocks_of(bytes(CHUNK + 1))][-1]
    small = inner.replace(b"\x18\x81\x80\x40", b"\x18\x01")  # Data.filesize: 1, but two leaves
    bomb = block_cid(small)
    nodes[0].blocks = {bomb: small} | dict(blocks_of(bytes(CHUNK + 1)))

    with pytest.raises(ArtifactCorruptError, match="what is no artifact"):
        store(budget=1).get(bomb)


def test_has_and_replicas_of_believe_whoever_answers(nodes: list[FakeNode]) -> None:
    nodes[0].fail = failing(REFUSED_CONNECTION)
    assert not store().has(CID)
    store(replicas=2).put(DATA)
    assert store().has(CID)
    assert store().replicas_of(CID) == 2
    nodes[1].fail = nodes[2].fail = failing(status_error(500))
    for question in (store().has, store().replicas_of):
        with pytest.raises(NodeUnreachableError):
            question(CID)
