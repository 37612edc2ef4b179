"""The directory store when its process dies, at any point, and when several write at once."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import twins.store
from tests.unit.twins.processes import finish, fork
from twins.content import CHUNK, cid_of
from twins.errors import ArtifactCorruptError, ArtifactNotFoundError
from twins.store import DirectoryStore
from twins.types import Cid

pytestmark = pytest.mark.unit

DATA = bytes(range(256)) * 300
CID = cid_of(DATA)


def die_at_line(countdown: int) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that kills its own process before the n-th line that runs in the store."""
    left = countdown

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != twins.store.__file__:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def put_and_die(path: Path, line: int) -> tuple[bool, bool]:
    """Put an artifact in a child that dies at a line.

    Returns:
        Whether it died before the end, and whether it acknowledged.
    """

    def run(send: Callable[[bytes], object]) -> None:
        store = DirectoryStore(path)
        sys.settrace(die_at_line(line))
        store.put(DATA)
        sys.settrace(None)
        send(b"stored")

    code, sent = finish(*fork(run))
    assert code in (0, -signal.SIGKILL), sent
    return code != 0, sent == b"stored"


@pytest.mark.parametrize("before", ["nothing", "rotten bytes", "the artifact"])
def test_a_writer_killed_at_any_line_leaves_no_half_artifact(tmp_path: Path, before: str) -> None:
    line = 0
    died = True
    outcomes = set()
    while died:
        line += 1
        path = tmp_path / str(line)
        if before != "nothing":
            store = DirectoryStore(path)
            store.put(DATA)
            if before == "rotten bytes":
                store.path_of(CID).write_bytes(DATA[:-1])
        died, acknowledged = put_and_die(path, line)
        store = DirectoryStore(path)
        try:
            assert store.get(CID) == DATA
            outcomes.add("whole")
        except ArtifactNotFoundError:
            assert before == "nothing"
            assert not acknowledged
            outcomes.add("absent")
        except ArtifactCorruptError:
            assert before == "rotten bytes"
            assert not acknowledged
            outcomes.add("still rotten")
        assert store.get(store.put(DATA)) == DATA
        # What the dead writer left is no artifact, and goes when it is old.
        for leftover in (path / "incoming").iterdir():
            os.utime(leftover, (0, 0))
        DirectoryStore(path)
        assert list((path / "incoming").iterdir()) == []
    assert line > 5
    # The test has seen the store die before and after the artifact came to be.
    assert (
        outcomes
        == {
            "nothing": {"absent", "whole"},
            "rotten bytes": {"still rotten", "whole"},
            "the artifact": {"whole"},
        }[before]
    )


def test_writers_killed_at_random_moments_lose_nothing_that_they_acknowledged(tmp_path: Path) -> None:
    moments = random.Random(7)
    acknowledged: set[Cid] = set()
    for run in range(30):

        def write(send: Callable[[bytes], object], run: int = run) -> None:
            store = DirectoryStore(tmp_path)
            for count in range(1000):
                # Larger than a pipe or a stdio buffer, and more than one block now and then.
                data = f"{run}.{count}.".encode() * (CHUNK // 4 if count % 5 == 4 else 30_000)
                send(f"{store.put(data)}\n".encode())

        child, receiving = fork(write)
        time.sleep(moments.uniform(0.001, 0.03))
        os.kill(child, signal.SIGKILL)
        code, sent = finish(child, receiving)
        assert code == -signal.SIGKILL
        lines = sent.decode().splitlines(keepends=True)
        acknowledged.update(Cid(line.strip()) for line in lines if line.endswith("\n"))
    store = DirectoryStore(tmp_path)
    assert acknowledged
    # Else no writer was killed while it wrote, and nothing has been tried.
    assert list((tmp_path / "incoming").iterdir())
    for cid in acknowledged:
        assert cid_of(store.get(cid)) == cid
    files = [file for file in tmp_path.glob("??/*") if file.is_file()]
    assert len(files) >= len(acknowledged)
    for file in files:
        assert cid_of(file.read_bytes()) == file.name == cid_of(store.get(Cid(file.name)))


def test_processes_that_put_the_same_artifact_at_once_all_succeed(tmp_path: Path) -> None:
    data = DATA * 20
    DirectoryStore(tmp_path)
    start_reading, start = os.pipe()

    def write(send: Callable[[bytes], object]) -> None:
        store = DirectoryStore(tmp_path)
        os.close(start)
        os.read(start_reading, 1)  # returns when the parent closes its end: all at once
        for _ in range(5):
            cid = store.put(data)
            assert store.get(cid) == data
        send(cid.encode())

    children = [fork(write) for _ in range(4)]
    os.close(start)
    assert [finish(*child) for child in children] == [(0, cid_of(data).encode())] * 4
    os.close(start_reading)
    assert DirectoryStore(tmp_path).get(cid_of(data)) == data
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_reader_never_sees_an_artifact_half_written(tmp_path: Path) -> None:
    artifacts = [f"{number}.".encode() * 200_000 for number in range(15)]
    cids = [cid_of(data) for data in artifacts]
    store = DirectoryStore(tmp_path)

    def write(send: Callable[[bytes], object]) -> None:
        for data in artifacts:
            store.put(data)

    child = fork(write)
    missing, rounds = list(zip(cids, artifacts, strict=True)), 0
    while missing and rounds < 10_000:
        rounds += 1
        cid, data = missing[0]
        if store.has(cid):
            assert store.get(cid) == data
            missing.pop(0)
        else:
            time.sleep(0.001)
    assert finish(*child) == (0, b"")
    assert not missing
