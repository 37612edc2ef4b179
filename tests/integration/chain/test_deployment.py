from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain.connection import Chain
from chain.deployment import Deployment, deploy_contracts, open_contracts
from chain.errors import ChainUnreachableError, DeploymentError, WrongChainError
from chain.hardhat_node import HardhatNode
from chain.ports import free_ports
from tests.integration.consortium import Consortium, account, digest

pytestmark = pytest.mark.integration


def test_a_saved_deployment_opens_the_same_contracts(consortium: Consortium, tmp_path: Path) -> None:
    consortium.deployment.save(tmp_path / "deployment.json")
    loaded = Deployment.load(tmp_path / "deployment.json")
    assert loaded == consortium.deployment
    registry, ledger = open_contracts(consortium.chain, loaded)
    assert (registry.address, ledger.address) == (loaded.registry, loaded.ledger)
    assert registry.stations() == consortium.registry.stations()


def test_a_deployment_costs_what_it_costs_and_says_in_which_block(consortium: Consortium) -> None:
    deployment, receipts = deploy_contracts(consortium.chain, consortium.outsider)
    assert list(receipts) == ["TwinRegistry", "RoundLedger", "PDPVerifier", "SyncAudit"]
    assert deployment.block == receipts["TwinRegistry"].block
    assert deployment.block_hash == consortium.chain.block_hash(deployment.block)
    registry, _ = open_contracts(consortium.chain, deployment)
    assert registry.has_role(registry.registrar_role(), consortium.outsider.address)
    assert not registry.has_role(registry.registrar_role(), consortium.admin.address)


def test_another_chain_id_is_refused(consortium: Consortium) -> None:
    with pytest.raises(WrongChainError) as caught:
        open_contracts(consortium.chain, replace(consortium.deployment, chain_id=1))
    assert (caught.value.expected, caught.value.actual) == (1, 31337)


def test_a_chain_with_the_same_id_that_is_another_is_refused(consortium: Consortium, tmp_path: Path) -> None:
    with HardhatNode.start(log=tmp_path / "node.log") as other:
        chain = Chain(other.url)
        with pytest.raises(DeploymentError, match=r"expected hash 0x[0-9a-f]{64}, got no such block.*deploy anew"):
            open_contracts(chain, consortium.deployment)
        # Even with contracts at the very same addresses, which a fresh node always gives.
        deployment, _ = deploy_contracts(chain, account(0))
        assert (deployment.registry, deployment.ledger) == (
            consortium.deployment.registry,
            consortium.deployment.ledger,
        )
        with pytest.raises(DeploymentError, match=r"expected hash 0x[0-9a-f]{64}, got 0x[0-9a-f]{64}"):
            open_contracts(chain, consortium.deployment)


def test_a_rolled_back_chain_is_refused(consortium: Consortium) -> None:
    snapshot = consortium.chain.rpc("evm_snapshot")
    deployment, _ = deploy_contracts(consortium.chain, consortium.admin)
    open_contracts(consortium.chain, deployment)
    consortium.chain.rpc("evm_revert", (snapshot,))
    with pytest.raises(DeploymentError, match="rolled back"):
        open_contracts(consortium.chain, deployment)


def test_contracts_of_another_version_are_refused(consortium: Consortium) -> None:
    digests = {**consortium.deployment.abi_digests, "RoundLedger": digest("another ABI")}
    with pytest.raises(DeploymentError, match="ABI of RoundLedger"):
        open_contracts(consortium.chain, replace(consortium.deployment, abi_digests=digests))


def test_an_address_without_code_is_refused(consortium: Consortium) -> None:
    with pytest.raises(DeploymentError, match=r"RoundLedger at .* without code"):
        open_contracts(consortium.chain, replace(consortium.deployment, ledger=consortium.outsider.address))


def test_a_ledger_of_another_registry_is_refused(consortium: Consortium) -> None:
    other, _ = deploy_contracts(consortium.chain, consortium.outsider)
    with pytest.raises(DeploymentError, match="mixes two deployments"):
        open_contracts(consortium.chain, replace(consortium.deployment, ledger=other.ledger))


def test_an_unreachable_node_is_named(consortium: Consortium) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(ChainUnreachableError) as caught:
        open_contracts(Chain(url), consortium.deployment)
    assert caught.value.url == url
