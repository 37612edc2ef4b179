"""A network that goes up and down, whose processes die, and which keeps what it has."""

from __future__ import annotations

import os
import signal
import time

import pytest

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.errors import ChainUnreachableError
from chain.nodes import CONFIRMATIONS
from chain.processes import ProcessIdentity
from devnet.operation import rpc
from scripts.devnet_state import DevnetState
from tests.integration.devnet.conftest import Devnet, raw_transaction, wait_for

pytestmark = pytest.mark.integration


def test_a_network_that_is_up_says_so_and_is_left_alone(devnet: Devnet) -> None:
    before = devnet.status()
    again = devnet.run("up")
    after = devnet.status()
    assert again.startswith("already up: http://127.0.0.1:")
    assert [node["pid"] for node in after["nodes"]] == [node["pid"] for node in before["nodes"]]
    assert (before["running"], before["profile"], before["chain_id"]) == (True, "consortium", 31337)
    assert before["url"].count("http://") == 5
    assert len(before["ipfs"]) == 3


def test_status_tells_each_nodes_state(devnet: Devnet) -> None:
    nodes = {node["name"]: node for node in devnet.status()["nodes"]}
    assert sorted(nodes) == sorted((*devnet.network.names, "watcher"))
    for node in nodes.values():
        assert node["state"] == "RUNNING"
        assert 10e6 < node["memory"] < 500e6
        if node["kind"] == "geth":
            assert (node["peers"], node["signs"]) == (4, True)
            assert node["head_age"] <= 5
        elif node["kind"] == "ipfs":
            assert node["peers"] == 2
            assert node["repo_size"] > 0
    table = devnet.run("status")
    for name in nodes:
        assert name in table


def test_two_commands_at_once_take_turns(devnet: Devnet) -> None:
    both = [devnet.start("up"), devnet.start("up")]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert out.startswith("already up"), (out, err)


def test_another_network_than_the_one_there_is_refused(devnet: Devnet) -> None:
    assert "scripts/devnet.py down first" in devnet.run("up", "--profile", "embedded", code=2)
    assert "scripts/devnet.py down first" in devnet.run("up", "--fresh", code=2)
    assert "got 'validator-77'" in devnet.run("stop", "validator-77", code=2)


@pytest.mark.parametrize("name", ["validator-2", "station-1", "watcher"])
def test_a_node_that_is_killed_is_started_again(devnet: Devnet, name: str) -> None:
    before = devnet.pid(name)
    devnet.kill(name)
    wait_for(f"{name} with another process", lambda: devnet.pid(name) not in (0, before))

    def well() -> bool:
        node = next(node for node in devnet.status()["nodes"] if node["name"] == name)
        return bool(node["state"] == "RUNNING" and (node["kind"] != "geth" or node["peers"] == 4))

    wait_for(f"{name} that answers", well)


def test_a_validator_that_was_killed_seals_again(devnet: Devnet) -> None:
    devnet.kill("validator-3")
    admin = devnet.network.admin("validator-3")

    def sealing() -> bool:
        try:
            return bool(admin.call("eth_mining")) and admin.height() >= devnet.height()
        except ChainUnreachableError:
            return False

    wait_for("validator-3 to seal", sealing)


def test_a_node_that_is_stopped_stays_down_until_it_is_started(devnet: Devnet) -> None:
    devnet.run("stop", "validator-4")
    devnet.run("stop", "station-2")
    before = devnet.height("validator-4")
    wait_for("blocks without it", lambda: devnet.height("validator-4") > before + 2)
    states = devnet.supervisor.states()
    assert {states[name].state for name in ("validator-4", "station-2")} == {"STOPPED"}
    devnet.run("start", "validator-4")
    out = devnet.run("up")  # starts what is missing
    assert "station-2" in out
    assert out.splitlines()[-1].startswith("up: ")
    wait_for("validator-4 level", lambda: devnet.network.admin("validator-4").height() >= devnet.height() - 1)


def test_a_node_that_has_just_died_can_be_stopped(devnet: Devnet) -> None:
    for _ in range(3):  # between its end and its next start, it is neither up nor stopped
        devnet.kill("station-2")
        devnet.supervisor.stop_program("station-2")
        assert devnet.supervisor.states()["station-2"].state == "STOPPED"
        devnet.run("start", "station-2")


def test_three_of_five_validators_down_raise_the_alarm_and_their_return_ends_it(devnet: Devnet) -> None:
    stopped = [validator.name for validator in devnet.network.validators[2:]]
    for name in stopped:
        devnet.supervisor.stop_program(name)
    wait_for("the alarm", lambda: (devnet.home / "consortium" / "alarm.json").exists(), 25)
    status = devnet.status(code=1)
    assert status["alarm"]["what"] == "stalled"
    assert "2 of 5 validators answer" in status["alarm"]["message"]
    assert "ALARM stalled" in devnet.run("status", code=1)
    for name in stopped:
        devnet.supervisor.start_program(name)
    wait_for("the end of the alarm", lambda: not (devnet.home / "consortium" / "alarm.json").exists(), 25)
    assert devnet.status()["alarm"] is None


def pay(devnet: Devnet) -> str:
    """Send a transaction; return its hash."""
    payer = Account.from_mnemonic(HARDHAT_MNEMONIC, 77)
    return str(rpc(devnet.network.validators[0], "eth_sendRawTransaction", raw_transaction(payer, nonce=0)))


def receipts(devnet: Devnet, sent: str) -> list[object]:
    return [rpc(validator, "eth_getTransactionReceipt", sent) for validator in devnet.network.validators]


def test_a_killed_supervisor_takes_all_nodes_with_it_and_nothing_is_lost(devnet: Devnet) -> None:
    artifact = os.urandom(300_000)
    cid = devnet.ipfs_add(artifact)
    state = DevnetState.load(devnet.home)
    assert state is not None
    nodes = [ProcessIdentity.of(process.pid) for process in devnet.supervisor.states().values()]
    assert len(nodes) == 9
    sent, block = pay(devnet), devnet.height()
    wait_for("the receipts everywhere", lambda: all(receipts(devnet, sent)))
    wait_for("it to be settled", lambda: devnet.height() >= block + 4)
    height = devnet.height()
    os.kill(state.pid, signal.SIGKILL)
    killed = time.monotonic()
    wait_for("every node gone", lambda: not any(node is not None and node.alive for node in nodes), 2)
    assert time.monotonic() - killed < 2
    assert devnet.run("status", code=1).startswith("not running")

    started = time.monotonic()
    out = devnet.up()
    assert time.monotonic() - started < 20  # as killed validators wake up with different heads; 10 s after a clean stop
    assert "up: " in out
    assert devnet.height() > height
    # geth's default keeps the newest states in memory: killed together, all validators lose them, and what is settled.
    assert all(receipts(devnet, sent))
    assert devnet.ipfs_cat(cid) == artifact


def test_down_leaves_nothing_running_and_the_next_up_is_quick_and_finds_everything(devnet: Devnet) -> None:
    artifact = os.urandom(100_000)
    cid = devnet.ipfs_add(artifact)
    admin = devnet.network.admin("validator-1")
    wait_for("a settled block", lambda: admin.height() > CONFIRMATIONS)
    block = admin.block(admin.height() - CONFIRMATIONS)  # what is newer may yet be undone
    before = devnet.status()
    devnet.down()
    assert devnet.run("down").startswith("not running")
    assert not devnet.network.sockets.exists()

    said, taken = [], []
    for _ in range(2):  # on a machine that is busy with something else for some seconds: once more
        started = time.monotonic()
        said.append(devnet.up())
        taken.append(time.monotonic() - started)
        if taken[-1] < 20:
            break
        devnet.down()
    assert min(taken) < 20, (taken, said)
    assert devnet.network.admin("validator-2").block(block["number"])["hash"] == block["hash"]
    assert devnet.ipfs_cat(cid) == artifact
    assert devnet.status()["url"] == before["url"]
