"""scripts/integrity.py as a user runs it, beside stations that hold."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scripts.commands import Place
from twins.archive import Archive
from twins.manifest import TwinModelManifest
from twins.store import DirectoryStore

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A devnet with slots of 20 s, a twin of two rounds, and a process that holds for all stations.

    In shorter slots a busy machine misses one, and a report of failures is exit code 1.
    """
    place = Place(tmp_path_factory.mktemp("integrity"))
    try:
        assert place.spawn("devnet", "up", "--port", "0").code == 0
        assert place.run("deploy", "--slot", "20").code == 0
        assert place.rounds(2).code == 0
        yield place
    finally:
        place.spawn("devnet", "down")


@pytest.fixture(scope="module")
def holders(place: Place) -> Iterator[subprocess.Popen[str]]:
    process = place.start("integrity", "hold", "--all", "--json")
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode in (0, 130), err
    actions = {json.loads(line)["action"] for line in out.splitlines()}
    assert {"anchored", "revealed", "key registered", "tagged", "assigned", "holding", "proven"} <= actions


def wait_until_fresh(place: Place, seconds: float = 180.0) -> dict[str, Any]:
    """Wait until all three holders have proven: a twin is fresh as soon as enough of them have."""
    deadline = time.monotonic() + seconds
    while True:
        # In this process: one that imports each time takes the time from the holders, which then miss their slots.
        done = place.run("integrity", "report", "tiny", "--max-age", "80", "--json")
        if done.code == 0 and done.lines()[0]["verdicts"]["proven"] >= 3:
            return dict(done.lines()[0])
        assert time.monotonic() < deadline, done
        time.sleep(2)


def test_before_anybody_holds_a_report_says_so(place: Place) -> None:
    done = place.run("integrity", "report", "tiny", "--max-age", "40")
    assert done.code == 1
    assert "has not been proven yet" in done.out
    assert "not fresh" in done.out


def test_stations_that_hold_make_a_twin_fresh(place: Place, holders: subprocess.Popen[str]) -> None:
    report = wait_until_fresh(place)
    assert report["fresh"] is True
    assert report["verified_proofs"] == report["verdicts"]["proven"]
    assert report["time_state"]["version"] == 2


def test_watch_tells_each_verdict_as_it_comes(place: Place, holders: subprocess.Popen[str]) -> None:
    wait_until_fresh(place)
    done = place.spawn("integrity", "watch", "tiny", "--slots", "2", "--json")
    assert done.code == 0, done
    assert {line["verdict"] for line in done.lines()} <= {"pending", "proven", "void"}
    assert {line["twin"] for line in done.lines()} == {"tiny"}
    shown = place.spawn("integrity", "watch", "--slots", "1")
    assert shown.code == 0, shown
    assert "tiny" in shown.out


def test_an_audit_takes_in_the_possession_history(place: Place, holders: subprocess.Popen[str]) -> None:
    wait_until_fresh(place)
    done = place.audit("tiny")
    assert done.code == 0, done
    assert done.lines()[0]["possession"]["verdicts"]["proven"] >= 3


def test_challenge_now_asks_the_copies_at_once_and_finds_one_that_is_altered(
    place: Place, holders: subprocess.Popen[str]
) -> None:
    wait_until_fresh(place)
    assert place.run("integrity", "challenge", "now", "tiny").code == 0
    file = model_file(place)
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        done = place.run("integrity", "challenge", "now", "tiny", "--json")
    finally:
        file.write_bytes(good)
    assert done.code == 1
    assert [row["ok"] for row in done.lines()[0]["copies"]] == [False] * 3


def model_file(place: Place) -> Path:
    deployment = json.loads((place.home / "deployment.json").read_text())
    assert deployment["audit"]
    store = DirectoryStore(place.home / "artifacts")
    model = place.audit("tiny").lines()[0]["head"]["model"]
    return store.path_of(Archive(store).manifest(TwinModelManifest, model).model.cid)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "nobody"), "expected one that is audited"),
        (("challenge", "now", "nobody"), "expected one that is audited"),
        (("challenge", "later", "tiny"), "later"),
        (("hold",), "--key and --account: expected one of them"),
        (("report", "Not A Name"), "not a twin's name"),
    ],
)
def test_bad_words_are_one_line_and_exit_code_2(place: Place, words: tuple[str, ...], said: str) -> None:
    done = place.run("integrity", *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
