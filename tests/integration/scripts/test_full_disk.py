"""A disk that fills up in the middle of a round: one line, nothing on the chain that isn't stored, and it goes on."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.scripts.commands import TINY, Place
from tests.integration.scripts.warm import start

pytestmark = pytest.mark.integration

ROUNDS = 4
COMMAND = ("--rounds", str(ROUNDS), *TINY, "--json")


def test_a_disk_that_fills_up_loses_nothing_and_the_same_command_completes(
    place: Place, fresh: Place, tmp_path: Path
) -> None:
    store = place.home / "artifacts"
    store.mkdir()
    failed = 0
    # Each size a little more than what the run before needed, so that another write is the one too many.
    for kilobytes in (48, 80, 140, 220, 300):
        with _small(store, kilobytes) as limit:
            run = start(place.home, tmp_path / "run", "rounds", COMMAND, limit=limit)
            if run.join() != 0:
                failed += 1
                (line,) = run.err.read_text().splitlines()
                assert run.process.exitcode == 2
                assert "nothing was recorded" in line
                assert "free some space" in line
                # Whatever the chain names by now is in the store: an audit finds no gap.
                audited = place.audit()
                assert audited.code == 0 or "unknown twin" in audited.err.lower() or "genesis" in audited.err, audited
            saved = {file.relative_to(store): file.read_bytes() for file in store.rglob("*") if file.is_file()}
        for name, content in saved.items():
            (store / name).parent.mkdir(parents=True, exist_ok=True)
            (store / name).write_bytes(content)
    assert failed >= 3, "it was full in different moments"
    assert place.run("rounds", *COMMAND).code == 0
    assert fresh.run("rounds", *COMMAND).code == 0
    assert place.head() == fresh.head()


@contextmanager
def _small(folder: Path, kilobytes: int) -> Iterator[int | None]:
    """Make ``folder`` a file system of that size with its content; yield a limit instead where that isn't allowed."""
    content = {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0700", "tmpfs", str(folder)]
    try:
        allowed = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    if not allowed:
        # No file system of one's own: no file larger than this instead, 1 to 5 kB, which fails other artifacts first.
        yield kilobytes * 16
        return
    try:
        for name, data in content.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        yield None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_limit_on_files_is_told_as_a_full_disk_is(place: Place, tmp_path: Path) -> None:
    # The kernel's signal for this must not kill the process: Python ignores it and gets an error instead.
    run = start(place.home, tmp_path / "run", "rounds", COMMAND, limit=1500)
    assert run.join() == 2
    (line,) = run.err.read_text().splitlines()
    assert "nothing was recorded" in line
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY, "only that process was limited"
    assert place.rounds(ROUNDS).code == 0
    place.head()
