"""The directory store: there and back, rot, and every path that must not be one."""

from __future__ import annotations

import errno
import os
import resource
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.processes import in_child
from twins.content import CHUNK, cid_of
from twins.errors import ArtifactCorruptError, ArtifactNotFoundError, FormatError, StoreError
from twins.store import ArtifactStore, DirectoryStore
from twins.types import Cid

pytestmark = pytest.mark.unit

DATA = b"weights" * 1000
CID = cid_of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "artifacts")


def incoming(store: DirectoryStore) -> list[Path]:
    return list((store.path_of(CID).parents[1] / "incoming").iterdir())


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_what_is_put_can_be_fetched_also_after_opening_again(artifacts: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(Path(folder))
        cids = [store.put(data) for data in artifacts]
        assert cids == [cid_of(data) for data in artifacts]
        for opened in (store, DirectoryStore(Path(folder))):
            assert [opened.get(cid) for cid in cids] == artifacts
            assert all(opened.has(cid) for cid in cids)


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_artifacts_of_one_block_and_of_many_come_back(store: DirectoryStore, size: int) -> None:
    data = os.urandom(size)
    assert store.get(store.put(data)) == data


def test_putting_twice_is_putting_once(store: DirectoryStore) -> None:
    assert store.put(DATA) == store.put(DATA)
    before = store.path_of(CID).stat()
    store.put(DATA)
    after = store.path_of(CID).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert incoming(store) == []


def test_what_was_never_put_is_not_found(store: DirectoryStore) -> None:
    assert not store.has(CID)
    with pytest.raises(ArtifactNotFoundError) as missing:
        store.get(CID)
    assert missing.value.cid == CID


def rot(data: bytes) -> dict[str, bytes]:
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    return {
        "a flipped bit": bytes(flipped),
        "cut short": data[:-1],
        "emptied": b"",
        "zeros": bytes(len(data)),
        "longer": data + b"\0",
        "another artifact's bytes": b"another artifact",
    }


@pytest.mark.parametrize("kind", rot(DATA))
@pytest.mark.parametrize("data", [DATA, DATA * 200], ids=["one block", "two blocks"])
def test_rotten_bytes_are_never_handed_on_and_putting_again_heals(
    store: DirectoryStore, data: bytes, kind: str
) -> None:
    cid = store.put(data)
    bad = rot(data)[kind]
    store.path_of(cid).write_bytes(bad)
    with pytest.raises(ArtifactCorruptError) as corrupt:
        store.get(cid)
    assert (corrupt.value.cid, corrupt.value.actual) == (cid, cid_of(bad))
    assert store.put(data) == cid
    assert store.get(cid) == data


class Lying(ArtifactStore):
    """A store on a machine that is not ours."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def _put(self, cid: Cid, data: bytes) -> None: ...

    def _get(self, cid: Cid) -> bytes:
        return self.answer

    def _has(self, cid: Cid) -> bool:
        return True


def test_no_implementation_of_a_store_is_believed() -> None:
    assert Lying(DATA).get(CID) == DATA
    with pytest.raises(ArtifactCorruptError, match=cid_of(b"other")):
        Lying(b"other").get(CID)


PATHS = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    "incoming",
    f"../{CID}",
    f"{CID}/../../secret",
    f"{CID}/",
    f"{CID}\0",
    f"{CID}\n",
    f"./{CID}",
    CID.upper(),
    CID[:-1],
    f"?arg={CID}",
    "C:\\secret",
    "~",
]


@pytest.mark.parametrize("path", PATHS, ids=repr)
def test_a_path_is_no_cid(store: DirectoryStore, path: str) -> None:
    store.put(DATA)
    actions: list[Callable[[Cid], object]] = [store.get, store.has, store.path_of, Lying(DATA).get]
    for action in actions:
        with pytest.raises(FormatError):
            action(Cid(path))


def test_artifacts_are_spread_over_folders(store: DirectoryStore) -> None:
    folders = {store.path_of(cid_of(bytes([i]))).parent.name for i in range(200)}
    assert 50 < len(folders) <= 256
    assert all(len(folder) == 2 for folder in folders)


# What writing must do, and in which order.


def test_bytes_are_on_the_disk_before_their_name_and_names_before_put_returns(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        size = path.stat().st_size if path.is_file() else 0
        events.append(("sync", "whole file" if size == len(DATA) else path.name))
        fsync(handle)

    def record_replace(source: str, target: Path) -> None:
        events.append(("rename", target.name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    store.put(DATA)
    names = [("sync", CID[-2:]), ("sync", "artifacts")]
    assert events == [("sync", "whole file"), ("rename", CID), *names]
    # A writer killed between rename and sync left a file that only the page cache has a name for.
    events.clear()
    store.put(DATA)
    assert events == names


@pytest.mark.parametrize(
    ("call", "number", "cause"),
    [
        ("fsync", errno.ENOSPC, "No space left on device"),
        ("fsync", errno.EIO, "Input/output error"),
        ("replace", errno.EDQUOT, "Disk quota exceeded"),
        ("fdopen", errno.EMFILE, "Too many open files"),
    ],
)
def test_a_failing_disk_is_named_and_leaves_nothing_behind(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, call: str, number: int, cause: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreError, match=cause) as failed:
        store.put(DATA)
    monkeypatch.undo()
    assert CID in str(failed.value)
    assert "run again" in str(failed.value)
    assert incoming(store) == []
    assert not store.has(CID)
    with pytest.raises(ArtifactNotFoundError):
        store.get(CID)
    assert store.get(store.put(DATA)) == DATA


def test_a_file_system_that_takes_no_more_bytes_is_named_and_leaves_nothing_behind(
    store: DirectoryStore,
) -> None:
    """A real limit of the kernel's, in a process of its own: writes fail half-way through the file."""

    def fill() -> bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            store.put(DATA)
        except StoreError as error:
            return str(error).encode()
        return b"stored"

    assert b"File too large" in in_child(fill)
    assert incoming(store) == []
    assert not store.has(CID)
    assert store.get(store.put(DATA)) == DATA


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A store's folder that the process in `as_nobody` may read and not write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        DirectoryStore(path).put(b"readable")
        for inner in (path, *path.rglob("*")):
            inner.chmod(0o555 if inner.is_dir() else 0o444)
        yield path
        for inner in (path, *path.rglob("*")):
            inner.chmod(stat.S_IRWXU)


def as_nobody(action: Callable[[], object]) -> str:
    """What the action raises without root's right to write anywhere."""

    def run() -> bytes:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            return repr(action()).encode()
        except StoreError as error:
            return f"StoreError: {error}".encode()

    return in_child(run).decode()


def test_a_folder_that_may_only_be_read_is_read_and_refuses_to_store(forbidden: Path) -> None:
    assert as_nobody(lambda: DirectoryStore(forbidden).get(cid_of(b"readable"))) == "b'readable'"
    refused = as_nobody(lambda: DirectoryStore(forbidden).put(DATA))
    assert refused.startswith(f"StoreError: cannot store artifact {CID} (7000 bytes) in {forbidden}: ")
    assert "Permission denied" in refused


def test_a_folder_that_may_not_be_read_is_no_store(forbidden: Path) -> None:
    (forbidden / "incoming").chmod(0)
    assert "cannot open the artifact store" in as_nobody(lambda: DirectoryStore(forbidden))
    forbidden.chmod(0)
    refused = as_nobody(lambda: DirectoryStore(forbidden / "new"))
    assert "StoreError: cannot open the artifact store" in refused
    assert "Permission denied" in refused


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "artifacts"):
        with pytest.raises(StoreError, match="cannot open the artifact store"):
            DirectoryStore(path)


def test_a_folder_where_an_artifact_belongs_is_an_error_of_the_store(store: DirectoryStore) -> None:
    store.path_of(CID).mkdir(parents=True)
    assert not store.has(CID)
    for action in (lambda: store.get(CID), lambda: store.put(DATA)):
        with pytest.raises(StoreError, match="Is a directory"):
            action()


def test_a_file_where_a_folder_belongs_is_an_error_of_the_store(store: DirectoryStore) -> None:
    store.path_of(CID).parent.write_bytes(b"")
    with pytest.raises(StoreError, match="Not a directory"):
        store.get(CID)
    with pytest.raises(StoreError):
        store.put(DATA)


def test_what_crashed_writers_left_is_swept_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    old, young = tmp_path / "incoming" / "old", tmp_path / "incoming" / "young"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 3600,) * 2)
    DirectoryStore(tmp_path)
    assert incoming(store) == [young]
