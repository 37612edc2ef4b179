"""Whatever dies in mid-round: nothing is recorded half, the run goes on, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from chain.enrolment import enrol_nodes
from fl.deployed import Patience
from scripts.flower import register
from scripts.home import Home
from scripts.node_files import load_nodes, make_node_key, nodes_of_files, public_key_of
from tests.integration.scripts.commands import PROJECT, Place
from tests.integration.scripts.federated import Federated, gone, kill, programs, tended
from twins.manifest import StationUpdateManifest, TwinModelManifest
from twins.types import twin_id

pytestmark = pytest.mark.integration


def named(home: Path, program: str) -> list[psutil.Process]:
    return [one for one in programs(home) if any(word.endswith(program) for word in one.cmdline())]


def devices_of(federated: Federated, number: int) -> tuple[int, int]:
    """How many devices contributed to a round, and how many of the roster are recorded as missing."""
    head = federated.network.ledger.model_of(twin_id("tiny"), number)
    model = federated.archive.manifest(TwinModelManifest, head)
    updates = [federated.archive.manifest(StationUpdateManifest, ref.update) for ref in model.updates]
    return sum(update.devices for update in updates), sum(update.rejected for update in updates)


def test_kills_in_mid_round_and_a_device_that_is_removed_and_an_intruder(place: Place) -> None:
    federated = Federated.of(place, 1, 3, 50, Patience(gather=20.0, deadline=8.0))
    (station,) = federated.stations
    with tended(federated.processes(50)) as until:

        def goes_on(rounds: int = 1) -> int:
            reached = federated.head() + rounds
            until(lambda: federated.head() >= reached)
            return federated.head()

        until(lambda: federated.head() >= 1 and devices_of(federated, federated.head()) == (3, 0))

        kill(named(place.home, "flwr-serverapp")[0])
        goes_on()
        # Flower takes a node for connected as long as it may still beat: the round goes on without it until then.
        kill(named(place.home, "flower-supernode")[0])
        until(lambda: devices_of(federated, federated.head()) == (2, 1))
        kill(named(place.home, "flower-superlink")[0])
        reached = federated.head()
        until(lambda: federated.head() > reached and devices_of(federated, federated.head()) == (3, 0))

        # Taken off the chain: its node is cut off, the round goes on, and the record says who is missing.
        files = load_nodes(station.place.nodes)
        account = federated.accounts.stations[0]
        enrol_nodes(
            federated.network.registry,
            federated.archive,
            federated.network.domain,
            account,
            nodes_of_files(files[:2]),
        )
        assert devices_of(federated, goes_on(2)) == (2, 1)

        # Let in by the SuperLink, not by the chain: no message for it, and it is unregistered.
        intruder = station.devices[2]
        make_node_key(other := intruder.folder / "other.key")
        register(station.place.flower, [public_key_of(other)])
        log = place.home / "intruder.log"
        with log.open("wb") as stream:
            supernode = station.devices[0].supernode(
                station.place.outside, federated.authority.files.certificate, "tiny", Home(place.home).receipts, None
            )
            words = [str(other) if word.endswith("node.key") else word for word in supernode.command]
            words[words.index("--port") + 1] = "1" + words[words.index("--port") + 1][1:]
            process = subprocess.Popen(words, env=dict(supernode.environment), stdout=stream, stderr=stream)
        try:
            until(lambda: b"SuperNode ID" in log.read_bytes() or process.poll() is not None)
            assert devices_of(federated, goes_on(2)) == (2, 1)
            until(lambda: any("isn't named" in line for line in _log(station.place.folder / "told.jsonl")))
        finally:
            with suppress(psutil.NoSuchProcess):  # a node that is unregistered may end by itself
                for one in psutil.Process(process.pid).children(recursive=True):
                    one.kill()
            process.kill()
            process.wait()
    assert gone(programs(place.home)), "something was left behind"
    assert place.head()


def _log(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("number", "running"), [(signal.SIGINT, "flwr-serverapp"), (signal.SIGKILL, "flwr")])
def test_nothing_is_left_of_a_launcher_that_is_ended(
    place: Place, number: signal.Signals, running: str, tmp_path: Path
) -> None:
    home = ("--home", str(place.home))
    options = ("--stations", "1", "--devices", "2", "--rounds", "50", "--json", "--no-possession")
    dataset = ("--twin", "tiny", "--dataset", "tests.integration.audit.tiny:DATASET", "--split", "all")
    with (tmp_path / "launcher.log").open("wb") as log:
        launcher = subprocess.Popen(
            [sys.executable, "scripts/federation.py", "up", *options, *dataset, *home],
            cwd=PROJECT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + 90
    while not (named(place.home, "flower-supernode") and named(place.home, running)):
        assert launcher.poll() is None, (tmp_path / "launcher.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    started = programs(place.home)
    assert len(started) >= 4
    os.kill(launcher.pid, number)
    launcher.wait(30)
    assert gone(started), [one.cmdline() for one in started if one.is_running()]
    assert gone(programs(place.home))
