from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.deployment import Deployment
from chain.encoding import CONTRACTS, interface
from chain.errors import DeploymentError
from twins.types import Address

pytestmark = pytest.mark.unit

DEPLOYMENT = Deployment(
    chain_id=31337,
    block=1,
    block_hash="0x" + "12" * 32,
    registry=Address("0x5FbDB2315678afecb367f032d93F642f64180aa3"),
    ledger=Address("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"),
    verifier=Address("0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0"),
    audit=Address("0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9"),
    abi_digests={name: interface(name).digest for name in CONTRACTS},
    compiler="0.8.37",
)


def test_a_deployment_survives_its_file(tmp_path: Path) -> None:
    file = tmp_path / "new" / "deployment.json"
    DEPLOYMENT.save(file)
    assert Deployment.load(file) == DEPLOYMENT
    first = file.read_bytes()
    Deployment.load(file).save(file)
    assert file.read_bytes() == first
    assert [path.name for path in file.parent.iterdir()] == ["deployment.json"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "deployment.json"
    DEPLOYMENT.save(file)

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        replace(DEPLOYMENT, block=2).save(file)
    assert Deployment.load(file) == DEPLOYMENT


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"deployment\.json: .*no such file; deploy first"):
        Deployment.load(tmp_path / "deployment.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"registry": "0x5fbdb2315678afecb367f032d93f642f64180aa3"},  # without its checksum
        {"ledger": "0x12"},
        {"block": -1},
        {"block": True},
        {"block": "1"},
        {"chain_id": 1.5},
        {"block_hash": "0x12"},
        {"abi_digests": {"TwinRegistry": "none"}},
        {"abi_digests": None},
        {"something": "else"},
    ],
)
def test_a_file_with_a_wrong_value_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    file = tmp_path / "deployment.json"
    DEPLOYMENT.save(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(DeploymentError, match="expected a deployment file"):
        Deployment.load(file)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\x00", '"x"'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "deployment.json"
    file.write_text(text)
    with pytest.raises(DeploymentError, match="expected a deployment file"):
        Deployment.load(file)


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "deployment.json"
    DEPLOYMENT.save(file)
    value = json.loads(file.read_text())
    del value["ledger"]
    file.write_text(json.dumps(value))
    with pytest.raises(DeploymentError, match="ledger"):
        Deployment.load(file)
