"""Addresses of nodes, who of them is chosen, and the blocks that are asked of them."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.fake_kubo import block_cid
from twins.content import CHUNK, blocks_of, children_of, cid_of, is_block, size_from_root
from twins.endpoint import Kind, KuboEndpoint, NodeError
from twins.errors import FormatError
from twins.replication import Deadline, place, rendezvous
from twins.types import Cid

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("url", "multiaddr"),
    [
        ("http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001/http"),
        ("https://ipfs.example:443/", "/dns/ipfs.example/tcp/443/https"),
        ("http://[::1]:5001", "/ip6/::1/tcp/5001/http"),
        ("/ip4/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001"),
        ("/dns/ipfs.example/tcp/443/https", "/dns/ipfs.example/tcp/443/https"),
    ],
)
def test_an_endpoint_is_a_url_or_a_multiaddr(url: str, multiaddr: str) -> None:
    assert KuboEndpoint(url).multiaddr == multiaddr


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:5001", "http://127.0.0.1", "ftp://a:1", "http://a:99999", "http://a:1/api/v0", "http://a:1?b=c",
     "/unix/socket", "/ip4/127.0.0.1", "http://u:p@a:1", "/ip4/a/tcp/1/http/evil"],
)  # fmt: skip
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(FormatError, match="expected http://HOST:PORT"):
        KuboEndpoint(url)


def test_a_password_in_a_url_is_not_repeated_in_the_error() -> None:
    with pytest.raises(FormatError) as caught:
        KuboEndpoint("http://user:hunter2@127.0.0.1:5001")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a\r\nHost: evil", "tökén", "a\tb"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(FormatError, match="expected printable ASCII") as caught:
        KuboEndpoint("http://127.0.0.1:5001", token)
    assert not token or token not in str(caught.value)


@settings(max_examples=25)  # pauses are real here
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.data())
def test_enough_nodes_are_found_whenever_there_are_enough(failures: list[int], data: st.DataObject) -> None:
    wanted = data.draw(st.integers(1, len(failures)))
    left = list(failures)  # 3: never
    lock = threading.Lock()

    def attempt(index: int) -> None:
        with lock:
            if failures[index] == 3:
                raise NodeError(Kind.REFUSED, "never")
            if left[index]:
                left[index] = 0
                raise NodeError(Kind.FAILED, "later")

    held, reasons = place([str(index) for index in range(len(failures))], wanted, attempt, Deadline.after(30))

    able = sum(count < 3 for count in failures)
    assert len(held) == min(wanted, able)
    assert not {str(index) for index in held} & set(reasons)


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK, 175 * CHUNK])
def test_the_blocks_of_an_artifact_lead_back_to_its_bytes(size: int) -> None:
    data = bytes(size)
    blocks = dict(blocks_of(data))
    root = cid_of(data)

    def read(cid: Cid) -> bytes:
        assert is_block(cid, blocks[cid])
        below = children_of(cid, blocks[cid])
        return blocks[cid] if below is None else b"".join(map(read, below))

    assert list(blocks)[-1] == root
    assert size_from_root(root, blocks[root]) == size
    assert read(root) == data


@given(st.binary(max_size=200))
def test_any_bytes_as_a_root_are_a_format_error_or_links(block: bytes) -> None:
    cid = block_cid(block)
    for look in (children_of, size_from_root):
        try:
            look(cid, block)
        except FormatError:
            continue


def test_the_own_node_comes_first_and_the_others_share_the_rest_evenly() -> None:
    names = [f"http://127.0.0.1:{port}" for port in (5001, 5002, 5003, 5004)]
    orders = [rendezvous(names, f"artifact {number}") for number in range(300)]
    assert all(sorted(order) == [0, 1, 2, 3] and order[0] == 0 for order in orders)
    seconds = Counter(order[1] for order in orders)
    assert all(70 < seconds[index] < 130 for index in (1, 2, 3)), "a hundred each, more or less"
    assert rendezvous(names, "artifact 7") == orders[7], "the same for everyone"
    assert rendezvous([], "artifact") == []


def test_what_a_node_said_before_its_time_was_over_is_the_reason() -> None:
    deadline = Deadline.after(0.2)
    told = iter(["its disk?"])

    def store(index: int) -> None:
        words = next(told, None)
        while words is None and deadline.left():
            pass
        raise NodeError(Kind.FAILED, words or "the time for it was over")

    held, reasons = place(["node"], 1, store, deadline)
    assert (held, reasons) == (set(), {"node": "its disk?"})
