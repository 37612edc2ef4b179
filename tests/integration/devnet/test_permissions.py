"""Who may be a peer, seal, send, administer: real daemons, and a stranger with everything but the permission."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account as EthAccount

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.ports import free_ports
from devnet import geth_node, validator_keys
from devnet.admin import Admin
from devnet.geth_node import Validator
from devnet.network import write_text
from devnet.operation import rpc
from tests.integration.devnet.conftest import Devnet, command_lines, raw_transaction, wait_for

pytestmark = pytest.mark.integration


class Stranger:
    """A geth node with the right block 0 and a key of its own, that dials every validator."""

    def __init__(self, devnet: Devnet, folder: Path) -> None:
        network = devnet.network
        self.node = validator_keys.create("stranger", folder / "data", free_ports(3), "password")
        geth_node.initialise(network.geth, folder / "data", network.root / "genesis.json")
        (folder / "password").write_text("password")
        # What it would need of its side: slots for as many as there are, and everyone trusted.
        text = geth_node.configuration(self.node, [validator.enode for validator in network.validators])
        write_text(folder / "geth.toml", re.sub(r"MaxPeers = \d+", "MaxPeers = 50", text))
        words = geth_node.command(
            network.geth,
            self.node,
            datadir=folder / "data",
            config=folder / "geth.toml",
            ipc=network.sockets / "stranger.ipc",
            password=folder / "password",
            chain_id=network.chain_id,
        )
        self.log = folder / "log"
        self._words, self._folder = words, folder
        self.begin()
        self.admin = Admin(network.sockets / "stranger.ipc")

    def begin(self) -> None:
        with self.log.open("ab") as log:
            environment = geth_node.environment(self._folder / "data")
            self.process = subprocess.Popen(self._words, stdout=log, stderr=log, env=environment)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return rpc(self.node, "eth_chainId") is not None

    def end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def stranger(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    node = Stranger(devnet, tmp_path_factory.mktemp("stranger"))
    try:
        wait_for("the stranger's node", node.answers)
        yield node
    finally:
        node.end()


def refusal(validator: Validator, method: str, *params: Any) -> str:
    """What a validator says to a client that it refuses."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = requests.post(validator.url, json=body, timeout=5).json()
    assert "result" not in answer, answer
    return str(answer["error"]["message"])


# -- peers --------------------------------------------------------------------------------------------------------


def test_an_outsider_with_the_right_genesis_finds_no_peer(devnet: Devnet, stranger: Stranger) -> None:
    dialled = [validator.enode for validator in devnet.network.validators]
    assert stranger.admin.block(0)["hash"] == devnet.network.admin("validator-1").block(0)["hash"]
    for enode in dialled:
        stranger.admin.link(enode)
    seen = []

    def looked_often() -> bool:
        seen.append(len(stranger.admin.peers()))
        return len(seen) >= 60  # 3 s at least

    wait_for("looks at its peers", looked_often)
    assert set(seen) == {0}
    for validator in devnet.network.validators:
        assert stranger.node.key not in devnet.network.admin(validator.name).peers()


def test_an_outsider_that_is_allowed_in_does_find_peers(devnet: Devnet, stranger: Stranger) -> None:
    # The control: the test above is about the permission and nothing else.
    admin = devnet.network.admin("validator-5")
    admin.link(stranger.node.enode)
    stranger.end()  # geth dials nobody twice within 35 s, but it forgets whom it dialled when it starts anew
    stranger.begin()
    try:
        wait_for("a connection", lambda: stranger.node.key in admin.peers())
    finally:
        admin.unlink(stranger.node.enode)
    wait_for("no connection", lambda: stranger.node.key not in admin.peers())
    wait_for("the stranger's node", stranger.answers)


def test_an_outsider_cannot_seal(stranger: Stranger) -> None:
    before = stranger.admin.height()
    stranger.admin.seal(True)
    wait_for("a refusal", lambda: "unauthorized signer" in stranger.log.read_text())
    assert stranger.admin.height() == before
    stranger.admin.seal(False)


def test_an_outsiders_transactions_do_not_reach_the_network(devnet: Devnet, stranger: Stranger) -> None:
    payer = Account.from_mnemonic(HARDHAT_MNEMONIC, 79)
    sent = stranger.admin.call("eth_sendRawTransaction", raw_transaction(payer, nonce=0))
    assert stranger.admin.call("eth_getTransactionByHash", sent) is not None
    height = devnet.height()
    wait_for("two blocks", lambda: devnet.height() >= height + 2)
    for validator in devnet.network.validators:
        assert rpc(validator, "eth_getTransactionByHash", sent) is None


# -- transactions -------------------------------------------------------------------------------------------------


def test_an_account_without_money_can_send_nothing(devnet: Devnet) -> None:
    poor = Account.create()
    said = refusal(devnet.network.validators[0], "eth_sendRawTransaction", raw_transaction(poor, nonce=0))
    assert "insufficient funds" in said


def test_a_transaction_that_pays_nothing_is_refused(devnet: Devnet) -> None:
    rich = Account.from_mnemonic(HARDHAT_MNEMONIC, 78)
    said = refusal(devnet.network.validators[0], "eth_sendRawTransaction", raw_transaction(rich, nonce=0, tip=0))
    assert "underpriced" in said


def test_a_transaction_that_is_paid_for_is_mined(devnet: Devnet) -> None:
    rich = Account.from_mnemonic(HARDHAT_MNEMONIC, 78)
    first, last = devnet.network.validators[0], devnet.network.validators[-1]
    sent = rpc(first, "eth_sendRawTransaction", raw_transaction(rich, nonce=0))
    wait_for("its receipt on another node", lambda: rpc(last, "eth_getTransactionReceipt", sent))


# -- administration -----------------------------------------------------------------------------------------------


def test_http_serves_no_administration(devnet: Devnet) -> None:
    for validator in devnet.network.validators:
        for method in (
            "admin_peers", "admin_addPeer", "clique_propose", "clique_getSigners", "debug_setHead", "miner_stop",
            "personal_listAccounts", "txpool_content",
        ):  # fmt: skip
            assert f"the method {method} does not exist/is not available" in refusal(validator, method)


def test_a_request_that_names_another_host_is_refused(devnet: Devnet) -> None:
    # DNS rebinding: a web page whose own name now stands for this machine.
    url = devnet.network.validators[0].url
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_accounts"}
    assert requests.post(url, json=body, headers={"Host": "evil.example"}, timeout=5).status_code == 403
    assert requests.post(url, json=body, timeout=5).status_code == 200


def test_the_administrators_sockets_and_every_secret_are_this_users_alone(devnet: Devnet) -> None:
    network = devnet.network
    for folder in (network.sockets, network.root):
        assert folder.stat().st_mode & 0o777 == 0o700
    secrets = [network.root / "password", *(station.token_file for station in network.stations)]
    secrets += [path for path in network.root.rglob("*") if path.parent.name == "keystore" or path.name == "nodekey"]
    secrets += list(network.root.rglob("swarm.key"))
    assert len(secrets) >= 1 + 3 + 5 + 5 + 3
    for file in secrets:
        assert file.stat().st_mode & 0o077 == 0, file


def test_no_secret_is_on_a_command_line(devnet: Devnet) -> None:
    network = devnet.network
    secrets = [(network.root / "password").read_text(), *(station.token() for station in network.stations)]
    secrets += [path.read_text() for path in network.root.rglob("nodekey")]
    for path in network.root.rglob("keystore/*"):
        secrets.append(EthAccount.decrypt(path.read_text(), secrets[0]).hex())
    assert len(secrets) == len(set(secrets)) >= 14
    lines = command_lines()
    assert len([line for line in lines.values() if str(devnet.home) in line]) >= 10
    for line in lines.values():
        assert not any(secret.strip() in line for secret in secrets)


def test_nothing_listens_beyond_loopback(devnet: Devnet) -> None:
    sockets = {}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            # proc(5): 0A is LISTEN; a UDP socket that is unconnected (07) takes packets from anyone.
            if fields[3] in ("0A", "07"):
                sockets[fields[9]] = (table, fields[1])
    found: dict[str, set[str]] = {}
    for name, state in devnet.supervisor.states().items():
        for descriptor in Path(f"/proc/{state.pid}/fd").iterdir():
            inode = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
            if inode is not None and inode[1] in sockets:
                table, address = sockets[inode[1]]
                found.setdefault(name, set()).add(table)
                # Little-endian 127.0.0.1.
                assert address.startswith("0100007F:") or address.startswith("0000000000000000FFFF00000100007F:"), (
                    f"{name} listens at {table} {address}"
                )
    assert set(found) == set(devnet.network.names)


# -- validators ---------------------------------------------------------------------------------------------------


def test_a_validator_is_voted_in_and_out_on_the_running_network(devnet: Devnet) -> None:
    first = devnet.network.admin("validator-1")
    assert len(first.signers()) == 5
    out = devnet.run("validator", "add")
    assert "validator-6 seals after" in out
    added = devnet.network.validator("validator-6")
    assert added.address.lower() in first.signers()
    sixth = devnet.network.admin("validator-6")
    wait_for("everyone connected with it", lambda: len(sixth.peers()) == 5)
    assert devnet.status()["url"].count("http://") == 6

    devnet.run("validator", "remove", "validator-6")
    assert added.address.lower() not in first.signers()
    assert len(first.signers()) == 5
    assert "validator-6" not in devnet.supervisor.states()
    height = devnet.height()
    wait_for("blocks without it", lambda: devnet.height() >= height + 3)
    assert added.address.lower() not in first.signers()  # nor does a reorganisation bring it back
    assert not any("validator-6" in line for line in devnet.processes().values())
    assert devnet.status()["url"].count("http://") == 5
