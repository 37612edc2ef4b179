from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.cli import BadInputError
from scripts.devnet_consortium import Wanted, cache_folder
from scripts.devnet_state import DevnetState, rpc_url

pytestmark = pytest.mark.unit


def test_a_state_of_the_time_before_the_consortium_is_read(tmp_path: Path) -> None:
    before = {
        "profile": "hardhat",
        "url": "http://127.0.0.1:8545",
        "chain_id": 31337,
        "pid": 1,
        "started": "2",
        "log": "l",
    }
    DevnetState.file(tmp_path).write_text(json.dumps(before))
    state = DevnetState.load(tmp_path)
    assert state == DevnetState("hardhat", "http://127.0.0.1:8545", 31337, 1, "2", "l", 0, ())
    assert state.ipfs_endpoints() == ()


def test_a_consortiums_state_is_read_as_it_was_saved_and_has_no_token_in_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    state = DevnetState(
        "consortium", "http://a,http://b", 31337, 1, "2", "l", 3, (("http://i", str(tmp_path / "token")),)
    )
    state.save(tmp_path)
    assert DevnetState.load(tmp_path) == state
    assert state.ipfs_endpoints() == (("http://i", "t0ken"),)
    assert "t0ken" not in DevnetState.file(tmp_path).read_text()


@pytest.mark.parametrize("text", ["", "[]", '{"ipfs": 3}', '{"profile": "x"}'])
def test_a_state_that_was_changed_by_hand_says_so(tmp_path: Path, text: str) -> None:
    DevnetState.file(tmp_path).write_text(text)
    with pytest.raises(BadInputError, match=r"expected what scripts/devnet\.py up wrote"):
        DevnetState.load(tmp_path)


def test_a_token_that_is_gone_is_one_line(tmp_path: Path) -> None:
    state = DevnetState("consortium", "u", 1, 1, "2", "l", 3, (("http://i", str(tmp_path / "token")),))
    with pytest.raises(BadInputError, match="token of an IPFS node"):
        state.ipfs_endpoints()


def test_a_state_of_a_process_that_is_gone_is_no_network(tmp_path: Path) -> None:
    DevnetState("consortium", "u", 1, 2**22 + 1, "2", "l").save(tmp_path)
    with pytest.raises(BadInputError, match="no devnet is running"):
        rpc_url(None, tmp_path)


def test_built_programs_are_kept_where_the_xdg_specification_says(tmp_path: Path) -> None:
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "twinledger"
    for ignored in ({}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}):  # as the specification has it
        assert cache_folder(ignored) == Path.home() / ".cache" / "twinledger"


def test_the_accounts_of_a_new_network_are_hardhats_and_those_that_were_named() -> None:
    plan = Wanted(fund=("0x" + "12" * 20,)).plan()
    assert (plan.validators, plan.stations, plan.chain_id, plan.period) == (5, 3, 31337, 1)
    assert len(plan.balances) == 81
    assert plan.balances["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"] == 10**24  # Hardhat's first account
