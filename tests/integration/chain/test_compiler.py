from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from chain.compiler import Compiler, stale_abis
from chain.connection import Chain
from chain.encoding import CONTRACTS
from chain.errors import CompilerError
from chain.nodejs import PROJECT, find_node
from tests.integration.consortium import Consortium

pytestmark = pytest.mark.integration


def project(folder: Path, source: str) -> Path:
    """A project of one contract with this project's compiler."""
    (folder / "contracts").mkdir()
    (folder / "contracts" / "Thing.sol").write_text(
        f"// SPDX-License-Identifier: MIT\npragma solidity 0.8.37;\n{source}"
    )
    (folder / "contracts" / "solc-settings.json").write_text((PROJECT / "contracts/solc-settings.json").read_text())
    (folder / "node_modules").symlink_to(PROJECT / "node_modules")
    return folder


def test_the_bytecode_is_hardhats_to_the_byte() -> None:
    compiled = Compiler().compile()
    cli = PROJECT / "node_modules/hardhat/dist/src/cli.js"
    subprocess.run([find_node(), cli, "build"], cwd=PROJECT, check=True, capture_output=True, timeout=120)
    for name in CONTRACTS:
        artifact = json.loads((PROJECT / f"build/artifacts/contracts/{name}.sol/{name}.json").read_text())
        assert compiled[name].bytecode.hex() == artifact["bytecode"].removeprefix("0x")
        assert compiled[name].runtime.hex() == artifact["deployedBytecode"].removeprefix("0x")
        assert list(compiled[name].abi) == artifact["abi"]


def test_the_committed_abis_are_those_of_the_sources() -> None:
    assert stale_abis(Compiler().compile()) == []


def test_a_changed_abi_is_noticed(tmp_path: Path) -> None:
    compiled = Compiler().compile()
    (tmp_path / "TwinRegistry.json").write_text("[]\n")
    assert stale_abis(compiled, tmp_path) == [tmp_path / f"{name}.json" for name in CONTRACTS]


def test_what_runs_on_the_chain_is_what_was_compiled(consortium: Consortium) -> None:
    chain: Chain = consortium.chain
    compiled = Compiler().compile()
    # Immutables (of the registry its bounds, of the ledger registry, chain and domain) are pushed words of zeros before
    # deployment; all else is the same.
    for name, address in (("TwinRegistry", consortium.registry.address), ("RoundLedger", consortium.ledger.address)):
        code, runtime = chain.code(address), compiled[name].runtime
        for word in re.finditer(b"\x7f\x00{32}", runtime):
            code = code[: word.start() + 1] + bytes(32) + code[word.end() :]
        assert code == runtime


def test_a_long_answer_arrives_whole(tmp_path: Path) -> None:
    # More than a pipe holds (64 KiB), several times over.
    functions = "".join(f"function f{i}(uint256 x) external pure returns (uint256);" for i in range(900))
    compiled = Compiler(project(tmp_path, f"interface Thing {{ {functions} }}")).compile(["Thing"])
    assert len(compiled["Thing"].abi) == 900
    assert len(json.dumps(compiled["Thing"].abi)) > 2 * 65_536


def test_a_second_compilation_is_read_not_run(tmp_path: Path) -> None:
    root = project(tmp_path, "contract Thing { uint256 public x; }")
    first = Compiler(root).compile(["Thing"])
    (tmp_path / "broken-node").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "broken-node").chmod(0o700)
    broken = Compiler(root, node=tmp_path / "broken-node")
    assert broken.compile(["Thing"]) == first
    (root / "contracts" / "Other.sol").write_text("// a source that could be imported has changed")
    with pytest.raises(CompilerError):
        broken.compile(["Thing"])


def test_a_source_that_doesnt_compile_is_shown_with_its_place(tmp_path: Path) -> None:
    root = project(tmp_path, "contract Thing { uint256 public x = true; }")
    with pytest.raises(CompilerError, match=r"(?s)TypeError.*contracts/Thing\.sol:3"):
        Compiler(root).compile(["Thing"])


def test_a_warning_is_an_error(tmp_path: Path) -> None:
    root = project(tmp_path, "contract Thing { function f() external { uint256 unused; } }")
    with pytest.raises(CompilerError, match="Unused local variable"):
        Compiler(root).compile(["Thing"])


def test_a_source_cannot_import_a_file_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "secret.sol").write_text("contract Secret {}")
    (tmp_path / "inside").mkdir()
    root = project(tmp_path / "inside", 'import "../../secret.sol"; contract Thing {}')
    (root / "contracts" / "link.sol").symlink_to(tmp_path / "secret.sol")
    with pytest.raises(CompilerError):
        Compiler(root).compile(["Thing"])
    (root / "contracts" / "Thing.sol").write_text('pragma solidity 0.8.37; import "./link.sol"; contract Thing {}')
    with pytest.raises(CompilerError, match="outside the project"):
        Compiler(root).compile(["Thing"])
