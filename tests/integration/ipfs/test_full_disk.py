"""A node whose disk is full: refused or replaced, nothing lost, and fine again when there is space."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.ipfs.conftest import Swarm
from twins.errors import ReplicationError

pytestmark = pytest.mark.integration

SIZE = 24  # MB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this system has no mount")
    if done.returncode:
        pytest.skip(f"this user may not mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def cramped(small_disk: Path, new_swarm: Swarm) -> Iterator[Swarm]:
    """Three nodes, the first with little space. Ended before its disk goes."""
    new_swarm.add(repo=small_disk / "repo")
    new_swarm.add()
    new_swarm.add()
    new_swarm.up()
    yield new_swarm
    new_swarm.end()


def test_a_full_disk_loses_nothing_and_another_node_takes_its_place(cramped: Swarm) -> None:
    small, large = os.urandom(6_000_000), os.urandom(30_000_000)
    store = cramped.store(replicas=2)
    old = store.put(small)
    assert cramped[0].store.replicas_of(old) == 1

    new = store.put(large)

    assert [daemon.store.replicas_of(new) for daemon in cramped.daemons] == [0, 1, 1]
    assert store.get(new) == large
    assert cramped[0].store.get(old) == small

    with pytest.raises(ReplicationError, match="no space left on device") as caught:
        cramped.store(0, 1, replicas=2, budget=2).put(large)
    assert set(caught.value.reasons) == {cramped[0].node.api_url}
    assert cramped[0].store.get(old) == small

    cramped[0].forget(old)  # and with it what is left of the large one
    medium = os.urandom(10_000_000)
    assert cramped[0].store.get(cramped[0].store.put(medium)) == medium
