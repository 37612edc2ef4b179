"""One run, and everything that breaks under it. Each test ends with a clean audit of all rounds so far.

The tests build on one another only in that the run goes on: each mends what it broke.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from chain.hardhat_node import HardhatNode
from devnet import control
from tests.integration.faults.conftest import Consortium, Run, wait_for
from tests.integration.scripts.commands import Place

pytestmark = pytest.mark.integration


def recorders_validator(consortium: Consortium) -> str:
    """The validator that the run talks to first."""
    return consortium.network.validators[0].name


def bystanders(consortium: Consortium, count: int) -> list[str]:
    """Validators that the run doesn't talk to as long as nothing is wrong."""
    return [validator.name for validator in consortium.network.validators[-count:]]


def test_two_of_five_validators_killed_and_started_again_by_the_supervisor(consortium: Consortium, run: Run) -> None:
    killed = {name: consortium.pid(name) for name in bystanders(consortium, 2)}
    for name in killed:
        consortium.kill(name)
    run.goes_on(1)
    for name, pid in killed.items():
        wait_for(f"{name} to be started again", lambda name=name, pid=pid: consortium.pid(name) != pid)
    consortium.audit()


def test_one_validator_that_stays_down_stops_nobody(consortium: Consortium, run: Run) -> None:
    (name,) = bystanders(consortium, 1)
    consortium.kill_and_keep_down(name)
    run.goes_on(1)
    consortium.audit()
    consortium.devnet("start", name)


def test_when_the_validator_that_the_run_talks_to_dies_it_talks_to_another(consortium: Consortium, run: Run) -> None:
    before = len(run.said)
    consortium.kill_and_keep_down(recorders_validator(consortium))
    run.hears("no answer from", before)
    run.goes_on(1)
    consortium.audit()
    consortium.devnet("start", recorders_validator(consortium))


def test_three_of_five_killed_stall_the_run_with_an_alarm_and_it_completes_after_their_return(
    consortium: Consortium, run: Run
) -> None:
    before, killed = len(run.said), bystanders(consortium, 3)
    for name in killed:
        consortium.kill_and_keep_down(name)
    run.hears("ALARM: the chain stalls", before)
    wait_for("the network's own alarm", lambda: control.Alarm.load(consortium.network.root))
    assert consortium.place.spawn("devnet", "status").code == 1
    assert run.process.poll() is None, "it waits"
    for name in killed:
        consortium.devnet("start", name)
    run.hears("the chain goes on", before)
    run.goes_on(1)
    wait_for("the end of the alarm", lambda: control.Alarm.load(consortium.network.root) is None)
    consortium.audit()


def test_what_was_sent_to_the_smaller_side_of_a_partition_is_sent_again_once(consortium: Consortium, run: Run) -> None:
    # The run may talk to any of them by now: whoever has the majority's blocks is the one to stay with.
    names = [validator.name for validator in consortium.network.validators]
    before = len(run.said)
    control.split(consortium.network, names[:2], names[2:])
    try:
        run.goes_on(1, 90)
        heights = [consortium.network.admin(name).height() for name in (names[0], names[-1])]
        assert heights[0] < heights[1], "the two cannot go on without the three"
    finally:
        control.rejoin(consortium.network)
    wait_for(
        "one chain again",
        lambda: len({consortium.network.admin(name).block("latest")["hash"] for name in names}) == 1,
    )
    run.goes_on(1)
    consortium.audit()
    assert not any("Traceback" in line for line in run.said[before:])


def test_an_ipfs_node_killed_in_mid_round_stops_nobody(consortium: Consortium, run: Run) -> None:
    for station in consortium.network.stations[:2]:
        consortium.kill(station.name)
        run.goes_on(1)
    consortium.audit()


def test_when_all_ipfs_nodes_are_gone_the_run_waits_until_they_are_back(consortium: Consortium, run: Run) -> None:
    for station in consortium.network.stations:
        consortium.kill_and_keep_down(station.name)
    time.sleep(5.0)
    assert run.process.poll() is None, "".join(run.said)
    for station in consortium.network.stations:
        consortium.devnet("start", station.name)
    run.goes_on(2)
    consortium.audit()


def test_a_block_that_rots_on_one_stations_disk_is_found_and_healed(consortium: Consortium, run: Run) -> None:
    repo = consortium.network.stations[0].repo
    blocks = sorted(repo.glob("blocks/*/*.data"), key=lambda file: file.stat().st_mtime)
    rotten = [file for file in blocks if file.stat().st_size > 1000]  # models and bundles, not Kubo's own small nodes
    run.goes_on(2)  # the newest of these belong to a round that isn't final: no audit reads them before it is
    report = consortium.audit()
    for file in rotten:
        flip(file)
    first = consortium.network.stations[0].api_url  # whom the audit asks first
    audited = consortium.place.audit("tiny", "--forget")
    assert audited.code == 0, audited
    assert len(audited.lines()[0]["rounds"]) >= len(report["rounds"])
    assert any(first in line and "bad blocks" in line for line in audited.err.splitlines()), audited.err
    again = consortium.place.audit("tiny", "--forget")
    assert "bad blocks" not in again.err, "it was mended"
    run.goes_on(1)


def flip(file: Path) -> None:
    mode = file.stat().st_mode
    file.chmod(0o600)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    file.chmod(mode)


def test_when_everything_dies_with_its_supervisor_the_run_waits_until_all_is_up_again(
    consortium: Consortium, run: Run
) -> None:
    before, height = len(run.said), consortium.network.admin(recorders_validator(consortium)).height()
    pid = int((consortium.network.root / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    run.hears("Waiting up to", before)
    started = time.monotonic()
    consortium.devnet("up", "--profile", "consortium")
    assert time.monotonic() - started < 30
    run.goes_on(1, 120)
    assert consortium.network.admin(recorders_validator(consortium)).height() > height, "nothing recorded was lost"
    consortium.audit()


def test_an_interrupted_run_is_continued_by_the_same_command(consortium: Consortium, run: Run) -> None:
    assert run.stop() == 130
    assert run.said[-1] == "interrupted\n"
    head = consortium.audit()["head"]["round"]
    done = consortium.place.rounds(head + 2)
    assert done.code == 0, done
    assert consortium.audit()["head"]["round"] == head + 2


def test_the_head_is_bit_for_bit_that_of_an_undisturbed_run_on_the_embedded_profile(
    consortium: Consortium, run: Run, tmp_path: Path
) -> None:
    assert run.process.poll() is not None
    head = consortium.audit()["head"]
    # A chain of its own: the contracts have the same addresses there, over which devices sign.
    with HardhatNode.start(log=tmp_path / "node.log") as node:
        embedded = Place(tmp_path / "embedded")
        assert embedded.run("deploy", "--rpc", node.url).code == 0
        done = embedded.rounds(head["round"], "--rpc", node.url)
    assert done.code == 0, done
    assert done.lines()[-1]["model"] == head["model"]


def test_an_auditor_elsewhere_needs_the_deployment_file_addresses_and_a_readers_key(
    consortium: Consortium, run: Run, tmp_path: Path
) -> None:
    home, tokens = tmp_path / "auditor", tmp_path / "tokens"
    home.mkdir()
    shutil.copy(consortium.place.home / "deployment.json", home)
    stations = consortium.network.stations
    tokens.write_text("".join(station.token() + "\n" for station in stations[2:]))
    addresses = ["--rpc", ",".join(validator.url for validator in consortium.network.validators)]
    addresses += ["--ipfs", stations[2].api_url, "--ipfs-tokens", str(tokens)]
    key = ["--reader-key", str(consortium.place.home / "keys" / "seed-0" / "auditor.key")]
    done = Place(home).spawn("audit", "tiny", *addresses, *key)
    assert done.code == 0, done
    assert "verified" in done.out
    without = Place(home).spawn("audit", "tiny", *addresses)
    assert without.code == 3, without
