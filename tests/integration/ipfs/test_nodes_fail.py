"""Nodes that are killed, collect what others rely on, or come back: nothing that was stored is lost."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.ipfs.conftest import Swarm
from twins.content import cid_of
from twins.errors import NodeUnreachableError, ReplicationError

pytestmark = pytest.mark.integration

LARGE = 40_000_000  # bytes: long enough under way to be interrupted


def test_another_node_takes_the_place_of_one_that_is_killed_while_it_stores(swarm: Swarm) -> None:
    data = os.urandom(LARGE)
    store = swarm.store(replicas=2)
    killer = threading.Timer(0.05, swarm[1].kill)

    killer.start()
    cid = store.put(data)
    killer.join()

    assert swarm[0].store.replicas_of(cid) == swarm[2].store.replicas_of(cid) == 1
    assert store.get(cid) == data


def test_a_node_that_dies_while_it_is_read_is_replaced_by_another(swarm: Swarm) -> None:
    data = os.urandom(LARGE)
    store = swarm.store(replicas=2)
    cid = store.put(data)
    killer = threading.Timer(0.03, swarm[0].kill)

    killer.start()
    assert store.get(cid) == data
    killer.join()
    assert store.get(cid) == data


def test_too_few_nodes_are_an_error_that_names_each_and_the_next_put_succeeds(swarm: Swarm) -> None:
    data = os.urandom(2_000_000)
    swarm[0].kill()
    swarm[1].kill()

    with pytest.raises(ReplicationError) as caught:
        swarm.store(replicas=2, budget=1.5).put(data)

    assert (caught.value.wanted, caught.value.got, caught.value.cid) == (2, 1, cid_of(data))
    assert set(caught.value.reasons) == {swarm[0].node.api_url, swarm[1].node.api_url}
    assert all("Connection refused" in reason for reason in caught.value.reasons.values())

    swarm[1].start()
    swarm[1].wait()
    cid = swarm.store(replicas=2).put(data)
    assert swarm.store().replicas_of(cid) == 2


def test_a_node_that_starts_within_the_budget_is_waited_for(swarm: Swarm) -> None:
    data = os.urandom(1000)
    swarm[0].kill()
    swarm[1].kill()

    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(swarm.store(replicas=2, budget=20).put, data)
        time.sleep(0.5)
        assert not putting.done()
        swarm[0].start()  # by this thread: a daemon dies with the thread that started it
        cid = putting.result()

    assert swarm[0].store.replicas_of(cid) == 1


def test_a_killed_node_has_everything_again_when_it_is_back(swarm: Swarm) -> None:
    data = [os.urandom(100_000 + index) for index in range(10)]
    cids = [swarm[0].store.put(each) for each in data]
    swarm[0].kill()
    swarm[0].start()
    swarm[0].wait()

    assert [swarm[0].store.get(cid) for cid in cids] == data
    assert [swarm[0].store.replicas_of(cid) for cid in cids] == [1] * 10


def test_no_node_at_all_is_an_error_that_names_each(swarm: Swarm) -> None:
    cid = swarm.store().put(b"here")
    swarm.end()

    for attempt in (swarm.store().get, swarm.store().has, swarm.store().replicas_of):
        with pytest.raises(NodeUnreachableError, match="Connection refused") as caught:
            attempt(cid)
        assert len(caught.value.reasons) == 3


def test_what_one_node_unpinned_and_collected_is_read_from_another_and_put_restores_it(swarm: Swarm) -> None:
    data = os.urandom(3_000_000)
    store = swarm.store(replicas=2)
    cid = store.put(data)

    swarm[0].forget(cid)

    assert not swarm[0].store.has(cid)
    assert store.replicas_of(cid) == 1
    assert store.get(cid) == data
    assert store.put(data) == cid
    assert swarm[0].store.replicas_of(cid) == 1
    swarm[1].kill()
    swarm[2].kill()
    assert swarm[0].store.get(cid) == data
