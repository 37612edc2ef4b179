from __future__ import annotations

import itertools
import json
import os
import shlex
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account as EthAccount
from supervisor.options import ServerOptions  # type: ignore[import-untyped]

from chain.errors import DevnetError
from devnet import geth_node, sockets, validator_keys
from devnet.control import Wishes
from devnet.geth_node import Validator
from devnet.kubo_node import KuboNode
from devnet.network import Network
from devnet.supervision import Program, configuration

pytestmark = pytest.mark.unit


def validator(index: int) -> Validator:
    enode = f"enode://{index:0128x}@127.0.0.1:{30000 + index}?discport=0"
    return Validator(f"validator-{index}", f"0x{index:040x}", enode, 30000 + index, 31000 + index, 32000 + index)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    root = tmp_path / "consortium"
    for index in (1, 2, 3):
        (root / "validators" / f"validator-{index}").mkdir(parents=True)
    station = KuboNode("station-1", root / "kubo" / "station-1", 5001, 4001, "12D3KooW", root / "kubo" / "token")
    return Network(
        root,
        31337,
        1,
        (validator(1), validator(2), validator(3)),
        (station,),
        tmp_path / "s",
        Path("/geth"),
        Path("/ipfs"),
    )


# -- geth ---------------------------------------------------------------------------------------------------------


def test_block_0_names_the_signers_in_ascending_order_between_vanity_and_seal() -> None:
    text = geth_node.genesis(31337, 2, ["0x" + "bB" * 20, "0x" + "aA" * 20], {"0x" + "cC" * 20: 5}, 1000)
    genesis = json.loads(text)
    assert genesis["extraData"] == "0x" + "00" * 32 + "aa" * 20 + "bb" * 20 + "00" * 65  # EIP-225
    assert genesis["config"]["clique"] == {"period": 2, "epoch": 30000}
    assert genesis["config"]["londonBlock"] == 0
    assert "shanghaiTime" not in genesis["config"]
    assert genesis["alloc"] == {"cc" * 20: {"balance": "0x5"}}
    assert int(genesis["timestamp"], 16) == 1000


def test_a_validator_knows_the_others_and_nobody_else_gets_in(network: Network) -> None:
    network.write_configurations()
    for one in network.validators:
        p2p = tomllib.loads((network.datadir(one.name) / "geth.toml").read_text())["Node"]["P2P"]
        others = [other.enode for other in network.validators if other is not one]
        assert p2p["StaticNodes"] == p2p["TrustedNodes"] == others
        assert p2p["ListenAddr"] == f"127.0.0.1:{one.p2p}"
        # Inbound slots are MaxPeers - MaxPeers / DialRatio; with 50 for MaxPeers a sync would wait for 5 peers.
        assert (p2p["MaxPeers"], p2p["DialRatio"], p2p["NoDiscovery"]) == (2, 1, True)


def test_a_validators_command_gives_clients_nothing_of_the_administrators_and_tells_no_secret(network: Network) -> None:
    words = network.command("validator-2")
    options = dict(itertools.pairwise(words))
    assert options["--http.api"] == "eth,net,web3"
    assert {options[f"--{kind}.addr"] for kind in ("http", "authrpc")} == {"127.0.0.1"}
    assert options["--netrestrict"] == "127.0.0.0/8"
    assert options["--password"] == str(network.root / "password")
    assert options["--gcmode"] == "archive"
    assert "--mine" not in words
    assert "--ws" not in words


def test_a_validators_key_opens_with_the_password_and_its_files_are_private(tmp_path: Path) -> None:
    made = validator_keys.create("validator-1", tmp_path / "v", [1, 2, 3], "correct horse")
    (keystore,) = (tmp_path / "v" / "keystore").iterdir()
    nodekey = tmp_path / "v" / "geth" / "nodekey"
    for file in (keystore, nodekey):
        assert file.stat().st_mode & 0o777 == 0o600
    key = EthAccount.decrypt(keystore.read_text(), "correct horse")
    assert EthAccount.from_key(key).address == made.address
    public = validator_keys.PrivateKey(bytes.fromhex(nodekey.read_text())).public_key
    assert made.key == public.to_bytes().hex()
    with pytest.raises(ValueError, match="MAC mismatch"):
        EthAccount.decrypt(keystore.read_text(), "wrong")


# -- the supervisor -----------------------------------------------------------------------------------------------


def test_the_supervisor_reads_every_word_as_it_was_meant(tmp_path: Path) -> None:
    root = tmp_path / "a home, it's full of signs (#1)"
    (root / "logs").mkdir(parents=True)
    words = ["/bin/echo", "two words", "it's", "#1;2", "$HOME", "\\n"]
    program = Program("node-1", words, {"HOME": str(root), "X": "a,b=c '7"})
    (root / "supervisord.conf").write_text(configuration(root, tmp_path / "sock", root / "pid", [program]))
    options = ServerOptions()
    options.configfile = str(root / "supervisord.conf")
    options.read_config(options.configfile)
    (group,) = options.configroot.supervisord.process_group_configs
    (read,) = group.process_configs
    assert read.name == "node-1"
    assert read.environment == {"HOME": str(root), "X": "a,b=c '7"}
    assert read.directory == str(root)
    assert shlex.split(read.command)[-len(words) :] == words
    assert (read.autostart, read.startsecs, read.redirect_stderr) == (False, 2, True)


@pytest.mark.parametrize("word", ["a ;b", 'a"b', "a\nb", "100%", "it'"])
def test_a_path_that_the_supervisors_format_cannot_hold_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(DevnetError, match="choose another --home"):
        configuration(tmp_path, tmp_path / "sock", tmp_path / "pid", [Program("node", ["/bin/true"], {"HOME": word})])


# -- what is kept -------------------------------------------------------------------------------------------------


def test_a_network_is_read_as_it_was_saved_also_from_another_folder(network: Network, tmp_path: Path) -> None:
    network.save()
    assert Network.load(network.root) == network
    assert (network.root / "network.json").stat().st_mode & 0o777 == 0o600
    moved = network.root.rename(tmp_path / "moved")
    station = Network.load(moved).stations[0]
    assert (station.repo, station.token_file) == (moved / "kubo" / "station-1", moved / "kubo" / "token")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"validators": 3}'])
def test_a_damaged_network_file_says_what_mends_it(network: Network, text: str) -> None:
    (network.root / "network.json").write_text(text)
    with pytest.raises(DevnetError, match="--fresh"):
        Network.load(network.root)


def test_a_validator_that_is_not_there_is_named_with_those_that_are(network: Network) -> None:
    with pytest.raises(DevnetError, match="validator-1, validator-2, validator-3, got 'validator-9'"):
        network.validator("validator-9")


def test_wishes_are_kept_until_there_are_none(tmp_path: Path) -> None:
    assert Wishes.load(tmp_path) == Wishes()
    wishes = Wishes((("a", "b"), ("c",)), ("c",))
    wishes.save(tmp_path)
    assert Wishes.load(tmp_path) == wishes
    assert (wishes.together("a", "b"), wishes.together("b", "c")) == (True, False)
    replace(wishes, groups=(), paused=()).save(tmp_path)
    assert not Wishes.file(tmp_path).exists()
    assert Wishes().together("a", "c")


# -- sockets and ports --------------------------------------------------------------------------------------------


def test_a_sockets_folder_is_this_users_alone(tmp_path: Path) -> None:
    sockets.prepare(tmp_path / "mine")
    sockets.prepare(tmp_path / "mine")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700


def test_a_sockets_folder_that_somebody_planted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    for planted in ("open", "link", "file"):
        with pytest.raises(DevnetError, match="expected a folder of this user"):
            sockets.prepare(tmp_path / planted)


def test_another_users_sockets_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets.prepare(tmp_path / "theirs")
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(DevnetError, match=r"expected a folder of this user \(id 54321"):
        sockets.prepare(tmp_path / "theirs")


def test_sockets_paths_stay_short_or_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "/".join(["a" * 60] * 4)
    assert len(str(sockets.folder_for(deep) / "validator-123.ipc")) < 104
    assert sockets.folder_for(deep) != sockets.folder_for(deep / "b")
    monkeypatch.setattr(sockets.tempfile, "gettempdir", lambda: str(deep))
    with pytest.raises(DevnetError, match="set a shorter TMPDIR"):
        sockets.folder_for(deep)
