"""Bytes go to real Kubo nodes and come back, under the CIDs that the embedded store gives them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.ipfs.conftest import Swarm
from twins.content import CHUNK, cid_of
from twins.errors import ArtifactNotFoundError, ReplicationError
from twins.replication import rendezvous
from twins.store import DirectoryStore

pytestmark = pytest.mark.integration

KIB, MIB = 1 << 10, 1 << 20
BORDERS = [0, 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1, 5 * MIB]


@pytest.mark.parametrize("size", [*BORDERS, 20_000_000])
def test_kubo_names_an_artifact_as_the_embedded_store_does(lasting_swarm: Swarm, tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    store = lasting_swarm.store()

    cid = store.put(data)

    assert cid == DirectoryStore(tmp_path).put(data)
    assert store.get(cid) == data


# Sizes and a seed, not bytes: what matters is where the chunks end.
@settings(max_examples=10)
@given(st.integers(0, 6 * MIB), st.integers(0, 2**32))
def test_what_is_put_comes_back_whatever_its_size(lasting_swarm: Swarm, size: int, seed: int) -> None:
    data = random.Random(seed).randbytes(size)
    store = lasting_swarm.store()

    assert store.get(store.put(data)) == data


def test_equal_chunks_are_no_trouble(lasting_swarm: Swarm) -> None:
    data = bytes(3 * CHUNK) + b"\x01"
    store = lasting_swarm.store()

    assert store.get(store.put(data)) == data


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_an_artifact_is_pinned_on_as_many_nodes_as_wanted(lasting_swarm: Swarm, replicas: int) -> None:
    data = os.urandom(2 * MIB + replicas)
    store = lasting_swarm.store(replicas=replicas)

    cid = store.put(data)

    assert store.replicas_of(cid) == replicas
    places = rendezvous([daemon.endpoint.url for daemon in lasting_swarm.daemons], cid)[:replicas]
    assert [daemon.store.replicas_of(cid) for daemon in lasting_swarm.daemons] == [int(i in places) for i in range(3)]


def test_putting_twice_is_putting_once(lasting_swarm: Swarm) -> None:
    data = os.urandom(MIB + 7)
    store = lasting_swarm.store()

    assert store.put(data) == store.put(data)
    assert store.replicas_of(cid_of(data)) == 2


def test_more_replicas_than_nodes_are_refused_by_put_but_not_by_get(lasting_swarm: Swarm) -> None:
    data = os.urandom(1000)
    cid = lasting_swarm.store().put(data)
    auditor = lasting_swarm.store(2, replicas=2)  # one node, and not one of those two

    with pytest.raises(ReplicationError, match="expected it pinned on 2 IPFS nodes, got 0"):
        auditor.put(data)
    assert auditor.get(cid) == data


def test_an_artifact_that_only_a_peer_has_is_fetched_from_it(lasting_swarm: Swarm) -> None:
    data = os.urandom(5 * MIB)
    cid = lasting_swarm[0].store.put(data)
    assert not lasting_swarm[2].store.has(cid)

    assert lasting_swarm[2].store.get(cid) == data


def test_an_absent_artifact_is_not_found_at_once_instead_of_looked_for_without_end(lasting_swarm: Swarm) -> None:
    absent = cid_of(os.urandom(100))
    store = lasting_swarm.store()

    started = time.monotonic()
    with pytest.raises(ArtifactNotFoundError, match=r"start the nodes that hold it, or put it again"):
        store.get(absent)

    assert time.monotonic() - started < 5
    assert not store.has(absent)
    assert store.replicas_of(absent) == 0


def test_threads_share_a_store(lasting_swarm: Swarm) -> None:
    store = lasting_swarm.store()
    artifacts = [os.urandom(200_000 + index) for index in range(16)]
    artifacts += artifacts[:4]  # some of them at the same time twice

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda data: store.get(store.put(data)), artifacts)) == artifacts
    assert all(store.replicas_of(cid_of(data)) == 2 for data in artifacts)


def test_a_proxy_in_the_environment_sees_nothing(lasting_swarm: Swarm) -> None:
    daemon = lasting_swarm[0]
    program = (
        "import sys\n"
        "from twins.ipfs import KuboEndpoint, KuboStore\n"
        "store = KuboStore([KuboEndpoint(sys.argv[1], sys.stdin.read())], replicas=1, timeout=3, budget=5)\n"
        "assert store.get(store.put(b'by no proxy')) == b'by no proxy'\n"
    )
    nowhere = "http://127.0.0.1:9"

    done = subprocess.run(
        [sys.executable, "-c", program, daemon.node.api_url],
        input=daemon.node.token(),
        env={"HTTP_PROXY": nowhere, "http_proxy": nowhere, "ALL_PROXY": nowhere, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")  # no library's warnings either


def test_a_silent_node_takes_no_more_time_than_given(swarm: Swarm) -> None:
    data = os.urandom(300_000)
    cid = swarm.store(0, replicas=1).put(data)
    process = swarm[0].process
    assert process is not None
    with _stopped(process):
        started = time.monotonic()
        with pytest.raises(ReplicationError, match="no answer within"):
            swarm.store(0, replicas=1, budget=2.0, timeout=0.5).put(data)
        assert 1.5 < time.monotonic() - started < 4

        assert swarm.store(1, 2, replicas=2).put(data) == cid
        assert swarm.store(0, 1, 2, timeout=1.0).get(cid) == data


@contextmanager
def _stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
