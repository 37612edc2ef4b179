"""A measurement in a process of its own: what it returns, how it fails, what it takes of memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.apart import apart, peaks
from benchmarks.runs import MemoryStore
from twins.content import cid_of
from twins.errors import ArtifactNotFoundError

pytestmark = pytest.mark.unit


def filled(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    held = b"\1" * (job["MB"] * 10**6)
    return {"empty": not list(folder.iterdir()), "held": len(held), "peak": peaks()["this"]}


def failed(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    print("what it said")
    raise ValueError("what went wrong")


def test_a_function_is_called_with_its_job_and_an_empty_folder() -> None:
    small, large = (apart(f"{__name__}:filled", {"MB": size}) for size in (1, 300))
    assert small["empty"]
    assert large["held"] == 300 * 10**6
    assert large["peak"] - small["peak"] == pytest.approx(299, abs=20)  # not the small one's, nor this process's


def test_a_failure_tells_what_was_said() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)what it said.*what went wrong"):
        apart(f"{__name__}:failed", {})


def test_memory_is_a_store_like_any_other() -> None:
    store = MemoryStore()
    cid = store.put(b"artifact")
    assert store.put(b"artifact") == cid
    assert (store.get(cid), store.has(cid), store.size) == (b"artifact", True, 8)
    missing = cid_of(b"another")
    assert not store.has(missing)
    with pytest.raises(ArtifactNotFoundError):
        store.get(missing)
