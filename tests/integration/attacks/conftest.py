"""The audits' small history and liar, and a consortium of seven."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.connections import Network
from scripts.home import Home
from tests.integration.audit.conftest import empty_world, history, liar, world
from tests.integration.audit.liar import Liar
from tests.integration.audit.world import SETTINGS, World
from tests.integration.consortium import Consortium

__all__ = ["empty_world", "history", "liar", "seven", "world"]


@pytest.fixture
def seven(deployed: Consortium, tmp_path: Path) -> Iterator[Liar]:
    """Seven stations with a device each, in their first round; the chain is as before afterwards."""
    snapshot = deployed.chain.rpc("evm_snapshot")
    home = Home(tmp_path / "seven")
    deployed.deployment.save(home.deployment)
    network = Network.open(deployed.chain.url, home.deployment)
    settings = replace(SETTINGS, twin="seven", dataset="tests.integration.attacks.seven:DATASET", stations=7, devices=7)
    yield Liar.of(World(network, home.store_path, home.device_keys(0, 7), home.deployment, settings))
    assert deployed.chain.rpc("evm_revert", (snapshot,))
