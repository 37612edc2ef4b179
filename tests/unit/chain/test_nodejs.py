from __future__ import annotations

from pathlib import Path

import pytest

from chain.compiler import Compiler
from chain.errors import CompilerError, DevnetError
from chain.hardhat_node import HardhatNode
from chain.nodejs import find_node, node_package

pytestmark = pytest.mark.unit


def test_node_is_found_as_a_binary() -> None:
    with find_node().open("rb") as file:
        # A script in between would take the signals that are meant for the node.
        assert file.read(2) != b"#!"


def test_without_node_modules_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CompilerError, match=r"npm package solc: .*run make setup"):
        Compiler(tmp_path)
    with pytest.raises(CompilerError, match="npm package hardhat"):
        node_package("hardhat", tmp_path)
    with pytest.raises(DevnetError, match="npm package hardhat"):
        HardhatNode.start(log=tmp_path / "log", project=tmp_path)


def test_without_node_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CompilerError, match=r"Node\.js: .*run make setup"):
        Compiler(node=tmp_path / "node")


def test_without_a_contracts_source_the_message_names_it() -> None:
    with pytest.raises(CompilerError, match=r"contracts/Nothing\.sol"):
        Compiler().compile(["Nothing"])


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_lies_between_1_and_65535(tmp_path: Path, port: int) -> None:
    with pytest.raises(DevnetError, match="expected 1 to 65535"):
        HardhatNode.start(log=tmp_path / "log", port=port)
