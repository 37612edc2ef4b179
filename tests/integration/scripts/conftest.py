"""Devnets with the contracts on them; each test finds them as if it were the first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chain.hardhat_node import CHAIN_ID, HardhatNode
from scripts.devnet_state import DevnetState
from tests.integration.scripts.commands import Place


@contextmanager
def _devnet(home: Path) -> Iterator[Place]:
    place = Place(home)
    # As devnet.py up has it, but attached: a test run that is killed must not leave a chain behind.
    with HardhatNode.start(log=home / "devnet.log") as node:
        process = node.identity
        DevnetState("hardhat", node.url, CHAIN_ID, process.pid, process.started, str(node.log)).save(home)
        deployed = place.run("deploy")
        assert deployed.code == 0, deployed
        try:
            yield place
        finally:
            place.down()  # also one that the test itself has started


@contextmanager
def _undone(place: Place) -> Iterator[Place]:
    """Give the chain and the folder back as they were."""
    chain = place.chain()
    kept = {file: file.read_bytes() for file in place.home.iterdir() if file.is_file() and file.suffix != ".log"}
    snapshot = chain.rpc("evm_snapshot")
    yield place
    for entry in place.home.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry not in kept and entry.suffix != ".log":
            entry.unlink()
    for file, content in kept.items():
        file.write_bytes(content)
    assert chain.rpc("evm_revert", (snapshot,))


@pytest.fixture(scope="package")
def first_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with _devnet(tmp_path_factory.mktemp("first") / "home") as place:
        yield place


@pytest.fixture(scope="package")
def second_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with _devnet(tmp_path_factory.mktemp("second") / "home") as place:
        yield place


@pytest.fixture
def place(first_devnet: Place) -> Iterator[Place]:
    """A devnet with the contracts and nothing else; undone after each test."""
    with _undone(first_devnet) as place:
        yield place


@pytest.fixture
def fresh(second_devnet: Place) -> Iterator[Place]:
    """Another one."""
    with _undone(second_devnet) as place:
        yield place


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Place]:
    """A devnet for this test alone, which may stop it or worse."""
    with _devnet(tmp_path / "home") as place:
        yield place
