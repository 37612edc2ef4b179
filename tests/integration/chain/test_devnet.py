from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chain.connection import Chain
from chain.errors import ChainUnreachableError, DevnetError
from chain.hardhat_node import HardhatNode
from chain.nodejs import PROJECT
from chain.ports import free_ports
from chain.processes import ProcessIdentity

pytestmark = pytest.mark.integration


def script(name: str, *arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a user does."""
    return subprocess.run(
        [sys.executable, f"scripts/{name}.py", *map(str, arguments), "--home", str(home)],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    script("devnet", "down", home=tmp_path / "home")


def gone_within(identity: ProcessIdentity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while identity.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return not identity.alive


# -- the node ---------------------------------------------------------------------------------------------------


def test_a_stopped_node_is_gone_and_stopping_again_is_fine(tmp_path: Path) -> None:
    with HardhatNode.start(log=tmp_path / "node.log") as node:
        assert node.alive
        assert Chain(node.url).chain_id == 31337
        node.stop()
        assert not node.alive
    assert not node.identity.alive
    with pytest.raises(ChainUnreachableError):
        Chain(node.url).block_number()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_an_attached_node_does_not_survive_a_kill_of_its_parent(tmp_path: Path) -> None:
    code = f"""
import pathlib, time
from chain.hardhat_node import HardhatNode
node = HardhatNode.start(log=pathlib.Path({str(tmp_path / "node.log")!r}))
print(node.identity.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        identity = ProcessIdentity.of(int(parent.stdout.readline()))
        assert identity is not None
        assert identity.alive
        parent.kill()
    assert gone_within(identity, 5)


def test_a_taken_port_says_who_has_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(DevnetError, match=f"port {port}: expected it free, got it in use by another program"):
            HardhatNode.start(log=tmp_path / "node.log", port=port)


def test_a_port_of_another_chain_says_so(tmp_path: Path) -> None:
    with (
        HardhatNode.start(log=tmp_path / "one.log") as node,
        pytest.raises(DevnetError, match=r"in use by a chain with id 31337; stop that, or choose another port"),
    ):
        HardhatNode.start(log=tmp_path / "two.log", port=node.port)


def test_an_attached_node_is_started_by_the_main_thread_only(tmp_path: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            HardhatNode.start(log=tmp_path / "node.log")
        except DevnetError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_node_that_dies_at_once_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broken = tmp_path / "node"
    broken.write_text("#!/bin/sh\necho no such engine >&2\nexit 3\n")
    broken.chmod(0o700)
    with pytest.raises(DevnetError, match=r"(?s)exit code 3.*no such engine"):
        HardhatNode.start(log=tmp_path / "node.log", node=broken)


def test_a_node_that_never_answers_is_ended(tmp_path: Path) -> None:
    mute = tmp_path / "node"
    mute.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    mute.chmod(0o700)
    with pytest.raises(DevnetError, match=r"within 0\.5 s"):
        HardhatNode.start(log=tmp_path / "node.log", node=mute, timeout=0.5)
    assert ProcessIdentity.of(int((tmp_path / "pid").read_text())) is None


def test_a_process_that_ignores_the_polite_signal_is_ended_with_its_children(tmp_path: Path) -> None:
    stubborn = subprocess.Popen(
        ["/bin/sh", "-c", f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; while :; do sleep 1; done"],
        start_new_session=True,
    )
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.02)
    identity, child = (
        ProcessIdentity.of(stubborn.pid),
        ProcessIdentity.of(int((tmp_path / "child").read_text())),
    )
    assert identity is not None
    assert child is not None
    identity.stop(grace=0.3)
    assert not psutil.pid_exists(stubborn.pid), "a program that goes on has a zombie for each that it started and ended"
    stubborn.wait(5)
    assert gone_within(child, 5)


def test_another_process_with_the_same_number_is_not_ended() -> None:
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as innocent:
        before = ProcessIdentity(innocent.pid, "1")
        assert not before.alive
        before.stop()
        assert innocent.poll() is None
        innocent.kill()


# -- the commands -----------------------------------------------------------------------------------------------


def test_the_devnet_goes_up_stays_up_and_goes_down(home: Path) -> None:
    port = free_ports(1)[0]
    up = script("devnet", "up", "--port", port, "--json", home=home)
    assert up.returncode == 0, up.stderr
    state = json.loads(up.stdout)
    assert (state["url"], state["chain_id"], state["fresh"]) == (f"http://127.0.0.1:{port}", 31337, True)
    assert Chain(state["url"]).block_number() == 0

    again = script("devnet", "up", home=home)
    assert again.returncode == 0
    assert again.stdout.startswith("already up")

    status = json.loads(script("devnet", "status", "--json", home=home).stdout)
    assert (status["running"], status["pid"]) == (True, state["pid"])

    down = script("devnet", "down", home=home)
    assert (down.returncode, down.stdout) == (0, "down\n")
    assert ProcessIdentity.of(state["pid"]) is None
    assert script("devnet", "status", home=home).returncode == 1
    repeated = script("devnet", "down", home=home)
    assert repeated.returncode == 0
    assert "not running" in repeated.stdout


def test_a_devnet_that_was_killed_is_noticed_and_replaced(home: Path) -> None:
    state = json.loads(script("devnet", "up", "--port", 0, "--json", home=home).stdout)
    os.killpg(state["pid"], signal.SIGKILL)
    status = script("devnet", "status", home=home)
    assert status.returncode == 1
    assert "is gone" in status.stdout
    renewed = json.loads(script("devnet", "up", "--port", 0, "--json", home=home).stdout)
    assert renewed["fresh"]
    assert renewed["pid"] != state["pid"]


def test_up_on_a_taken_port_is_one_line_and_code_2(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        failed = script("devnet", "up", "--port", other.getsockname()[1], home=home)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: port ")
    assert failed.stderr.count("\n") == 1
    assert script("devnet", "status", home=home).returncode == 1


def test_a_deployment_is_kept_until_forced_and_renewed_on_another_chain(home: Path) -> None:
    script("devnet", "up", "--port", 0, home=home)
    first = json.loads(script("deploy", "--stations", 2, "--json", home=home).stdout)
    assert (first["kept"], len(first["stations"]), len(first["gas"])) == (False, 2, 6)

    kept = json.loads(script("deploy", "--stations", 3, "--json", home=home).stdout)
    assert (kept["kept"], len(kept["stations"])) == (True, 3)
    assert kept["ledger"] == first["ledger"]
    assert list(kept["gas"]) == [f"station {kept['stations'][2]}"]

    forced = json.loads(script("deploy", "--force", "--json", home=home).stdout)
    assert forced["ledger"] != first["ledger"]

    script("devnet", "down", home=home)
    script("devnet", "up", "--port", 0, home=home)
    renewed = script("deploy", "--json", home=home)
    assert renewed.returncode == 0
    assert "deploying anew" in renewed.stderr
    assert json.loads(renewed.stdout)["ledger"] == first["ledger"]  # the first one of a fresh node, as then


def test_deploying_without_a_node_is_one_line_and_code_2(home: Path) -> None:
    for arguments in ((), ("--rpc", f"http://127.0.0.1:{free_ports(1)[0]}"), ("--rpc", "ftp://somewhere")):
        failed = script("deploy", *arguments, home=home)
        assert failed.returncode == 2
        assert failed.stderr.startswith("error: ")
        assert failed.stderr.count("\n") == 1
        assert not (home / "deployment.json").exists()
