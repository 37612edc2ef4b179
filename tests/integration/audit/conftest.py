"""One small real history for the whole folder; each test gets the chain at its end and a copy of the store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.connections import Network
from scripts.home import Home
from tests.integration.audit.liar import Liar
from tests.integration.audit.world import ROUNDS, SETTINGS, World
from tests.integration.consortium import Consortium


@pytest.fixture(scope="package")
def empty_world(deployed: Consortium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three stations on a chain, without a twin; afterwards the chain is as before."""
    snapshot = deployed.chain.rpc("evm_snapshot")
    home = Home(tmp_path_factory.mktemp("home"))
    deployed.deployment.save(home.deployment)
    network = Network.open(deployed.chain.url, home.deployment)
    yield World(network, home.store_path, home.device_keys(0, SETTINGS.devices), home.deployment)
    assert deployed.chain.rpc("evm_revert", (snapshot,))


@pytest.fixture(scope="package")
def history(empty_world: World) -> World:
    """Three rounds of three stations and six devices. Tests read it; to change it, ask for `world`."""
    empty_world.run(ROUNDS)
    return empty_world


@pytest.fixture
def world(history: World, tmp_path: Path) -> Iterator[World]:
    """The history, with a chain and a store that the test may change."""
    chain = history.network.chain
    snapshot = chain.rpc("evm_snapshot")
    yield _copy(history, tmp_path)
    assert chain.rpc("evm_revert", (snapshot,))


@pytest.fixture
def copied(history: World, tmp_path: Path) -> World:
    """The history with a store of the test's own, for tests that leave the chain alone."""
    return _copy(history, tmp_path)


@pytest.fixture
def liar(world: World) -> Liar:
    """Somebody who bends the round after the history."""
    return Liar.of(world)


def _copy(history: World, folder: Path) -> World:
    path = folder / "artifacts"
    shutil.copytree(history.path, path)
    return World(history.network, path, history.keys, history.deployment)
