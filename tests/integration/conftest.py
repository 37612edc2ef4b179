"""One real local chain for all integration tests; each test finds it as if it were the first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chain.connection import Chain
from chain.deployment import deploy_contracts, open_contracts
from chain.hardhat_node import HardhatNode
from tests.integration.consortium import Consortium, account


@pytest.fixture(scope="session")
def hardhat_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HardhatNode]:
    """A Hardhat node on a free port. It dies with this process, whatever kills it."""
    with HardhatNode.start(log=tmp_path_factory.mktemp("hardhat") / "node.log") as node:
        yield node


@pytest.fixture(scope="session")
def deployed(hardhat_node: HardhatNode) -> Consortium:
    """The contracts with three stations; state that tests share. Ask for `consortium` instead."""
    chain = Chain(hardhat_node.url)
    deployment, _ = deploy_contracts(chain, account(0))
    registry, ledger = open_contracts(chain, deployment)
    stations = tuple(account(index) for index in (1, 2, 3))
    for station in stations:
        registry.register_station(account(0), station.address)
    return Consortium(chain, deployment, registry, ledger, account(0), stations, account(70))


@pytest.fixture
def consortium(deployed: Consortium) -> Iterator[Consortium]:
    """Contracts with three stations and no twin; what a test does to the chain is undone after it."""
    snapshot = deployed.chain.rpc("evm_snapshot")
    yield deployed
    assert deployed.chain.rpc("evm_revert", (snapshot,))


@pytest.fixture
def chain(consortium: Consortium) -> Chain:
    """The local chain with the contracts on it; undone after each test."""
    return consortium.chain
