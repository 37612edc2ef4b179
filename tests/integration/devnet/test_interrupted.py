"""Commands that are interrupted, killed, or find the place taken: small networks of their own."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path

import pytest

from scripts.devnet_state import DevnetState
from tests.integration.devnet.conftest import Devnet, wait_for

pytestmark = pytest.mark.integration

UP = ("up", "--profile", "consortium")
SMALL = ("--validators", "2", "--stations", "1")


def interrupt(devnet: Devnet, number: signal.Signals) -> tuple[int, str]:
    """Start a network, and send `up` a signal while its nodes are being started."""
    up = devnet.start("up", "--profile", "consortium", *SMALL)
    wait_for("the first validator's process", lambda: any("--config" in line for line in devnet.processes().values()))
    up.send_signal(number)
    out, err = up.communicate(timeout=60)
    return up.returncode, out + err


def test_an_interrupted_up_leaves_no_process_and_the_next_one_succeeds(empty: Devnet) -> None:
    code, said = interrupt(empty, signal.SIGINT)
    assert code == 130, said
    assert "interrupted" in said
    wait_for("no process left", lambda: not empty.processes(), 2)
    assert empty.run("status", code=1).startswith("not running")
    assert "up: " in empty.run(*UP, *SMALL)


def test_what_a_killed_up_left_half_started_is_ended_by_down(empty: Devnet) -> None:
    interrupt(empty, signal.SIGKILL)
    assert empty.processes()
    assert empty.run("down") == "down\n"
    wait_for("no process left", lambda: not empty.processes(), 2)


def test_what_a_killed_up_left_half_started_is_completed_by_up(empty: Devnet) -> None:
    interrupt(empty, signal.SIGKILL)
    assert "up: " in empty.run("up")
    status = empty.status()
    assert {node["state"] for node in status["nodes"]} == {"RUNNING"}
    assert status["alarm"] is None


def test_a_home_with_signs_in_its_name_a_creation_that_was_interrupted_and_a_supervisor_that_nobody_remembers(
    tmp_path: Path,
) -> None:
    devnet = Devnet(tmp_path / "Ada's home")
    (devnet.home / "consortium" / "validators" / "validator-1").mkdir(parents=True)  # no network.json: unfinished
    try:
        devnet.run(*UP, *SMALL)
        assert devnet.status()["block"] >= 1
        DevnetState.file(devnet.home).unlink()
        assert "down ends it" in devnet.run(*UP, code=2)
        assert devnet.run("down") == "down\n"
        wait_for("no process left", lambda: not devnet.processes(), 2)
    finally:
        devnet.run("down")


def test_a_network_that_is_down_is_kept_as_it_is_unless_a_fresh_one_is_asked_for(empty: Devnet) -> None:
    empty.run(*UP, *SMALL)
    first = empty.network.admin("validator-1").block(0)["hash"]
    empty.run("down")
    assert "--validators: the network" in empty.run(*UP, "--validators", "3", code=2)
    port = empty.network.validators[1].http
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        said = empty.run(*UP, code=2)
    assert f"port {port} of validator-2: expected it free, got Address already in use" in said
    assert not empty.processes()
    empty.run(*UP, "--fresh", *SMALL)
    assert empty.network.admin("validator-1").block(0)["hash"] != first


def test_a_validator_that_cannot_start_is_shown_with_the_end_of_its_log(empty: Devnet) -> None:
    empty.run(*UP, *SMALL)
    empty.run("down")
    shutil.rmtree(empty.network.datadir("validator-2") / "keystore")
    said = empty.run(*UP, code=2)
    assert "validator-2: expected it to answer within 20 s" in said
    assert "Fatal: Failed to unlock account" in said
    wait_for("no process left", lambda: not empty.processes(), 2)
