"""What the options of a command mean together, before anything is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.cli import BadInputError
from scripts.connections import Reach
from scripts.devnet_state import DevnetState
from scripts.home import Home
from twins.errors import ReplicationError
from twins.ipfs import KuboStore
from twins.store import DirectoryStore

pytestmark = pytest.mark.unit

A, B = "http://127.0.0.1:5001", "http://127.0.0.1:5002"


def consortium(home: Path) -> DevnetState:
    """A consortium that is remembered; nothing runs."""
    tokens = []
    for name in ("one", "two"):
        (home / name).write_text(f"token {name}\n")
        tokens.append(str(home / name))
    state = DevnetState("consortium", "http://127.0.0.1:1,http://127.0.0.1:2", 31337, 1, "1", "log", 4,
                        ((A, tokens[0]), (B, tokens[1])))  # fmt: skip
    state.save(home)
    return state


def test_without_anything_artifacts_are_in_the_home_folder(tmp_path: Path) -> None:
    store = Reach(Home(tmp_path)).store()
    assert isinstance(store, DirectoryStore)
    assert store.path_of(store.put(b"data")).is_relative_to(tmp_path / "artifacts")


def test_a_remembered_consortiums_nodes_are_used_with_their_tokens(tmp_path: Path) -> None:
    state = consortium(tmp_path)
    assert state.ipfs_endpoints() == ((A, "token one"), (B, "token two"))
    assert isinstance(Reach(Home(tmp_path)).store(), KuboStore)
    assert "token one" not in json.dumps((tmp_path / "devnet.json").read_text())


def test_another_chain_is_not_served_from_the_devnets_nodes(tmp_path: Path) -> None:
    consortium(tmp_path)
    assert isinstance(Reach(Home(tmp_path), rpc="http://127.0.0.1:9").store(), DirectoryStore)


def test_a_folder_and_nodes_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="expected one of them, got both"):
        Reach(Home(tmp_path), ipfs=(A,), artifacts=tmp_path).store()


def test_there_is_a_token_for_each_node(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("one\n")
    with pytest.raises(BadInputError, match="expected 2 lines, one token for each --ipfs, got 1"):
        Reach(Home(tmp_path), ipfs=(A, B), ipfs_tokens=tokens).store()
    tokens.write_text("one\n\n")  # the second demands none
    assert isinstance(Reach(Home(tmp_path), ipfs=(A, B), ipfs_tokens=tokens).store(), KuboStore)
    with pytest.raises(BadInputError, match="expected an --ipfs for each token"):
        Reach(Home(tmp_path), ipfs_tokens=tokens).store()


def test_no_devnet_and_no_url_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"start it with scripts/devnet\.py up, or give --rpc URL"):
        Reach(Home(tmp_path)).chain()


def test_what_was_given_for_confirmations_and_patience_counts(tmp_path: Path) -> None:
    chain = Reach(Home(tmp_path), rpc=A, confirmations=7, patience=12.0).chain()
    assert (chain.confirmations, chain.patience) == (7, 12.0)


def test_one_ipfs_node_keeps_one_copy_on_a_devnet_and_is_too_few_on_ones_own_network(
    tmp_path: Path,
) -> None:
    state = consortium(tmp_path)
    replace(state, ipfs=state.ipfs[:1]).save(tmp_path)
    assert vars(Reach(Home(tmp_path)).store())["_replicas"] == 1
    with pytest.raises(ReplicationError, match="expected it pinned on 2 IPFS nodes, got 0"):
        Reach(Home(tmp_path), ipfs=(A,)).store().put(b"data")
