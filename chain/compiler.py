"""The Solidity compiler: py-solc-x over the npm package ``solc``, the very one that Hardhat uses.

One compiler and one file of settings (``contracts/solc-settings.json``) for both, so that what is tested is
what is deployed; a test compares the bytecodes byte for byte.

The ABIs are committed (``chain/abi``), so that only a deployment needs the compiler; ``scripts/abi.py`` renews them.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import solcx
from solcx.exceptions import SolcError

from chain.encoding import ABI_DIRECTORY, CONTRACTS, Interface
from chain.errors import CompilerError
from chain.nodejs import PROJECT, find_node, node_package
from twins import canonical
from twins.types import sha256_digest

REMAPPINGS = ("@openzeppelin/=node_modules/@openzeppelin/",)

_DRIVER = Path(__file__).with_name("solc_driver.cjs")


@dataclass(frozen=True)
class CompiledContract:
    """One contract as the compiler wrote it.

    Attributes:
        name: Solidity's.
        abi: JSON.
        bytecode: creation code, without the constructor's arguments.
        runtime: what is on the chain afterwards, with zeros for immutables.
    """

    name: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    runtime: bytes

    @cached_property
    def interface(self) -> Interface:
        """Its ABI, indexed."""
        return Interface.of(self.name, self.abi)


class Compiler:
    """Compiles the project's contracts.

    Attributes:
        project: root of the checkout.
        node: Node.js.
    """

    def __init__(self, project: Path = PROJECT, node: Path | None = None) -> None:
        """Find what is needed; nothing runs yet.

        Args:
            project: root of the checkout.
            node: Node.js; the environment's own if None.

        Raises:
            CompilerError: Node.js, ``solc`` or OpenZeppelin's contracts are missing.
        """
        self.project = project
        self.node = find_node() if node is None else node
        if not self.node.is_file():
            raise CompilerError(f"Node.js: expected it at {self.node}, got nothing; run make setup")
        self._solc = node_package("solc", project)
        self._libraries = (node_package("@openzeppelin/contracts", project),)

    @cached_property
    def version(self) -> str:
        """Of ``solc``, as its package says."""
        return str(_read_json(self._solc / "package.json")["version"])

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Optimiser, EVM version and metadata, shared with Hardhat, and which contracts are compiled through Yul."""
        return _read_json(self.project / "contracts" / "solc-settings.json")

    def settings_of(self, name: str) -> dict[str, Any]:
        """Return one contract's settings as the compiler takes them (ADR 16)."""
        through_yul = {"viaIR": True} if name in self.settings["viaIR"] else {}
        return {**self.settings["default"], **through_yul}

    def compile(self, names: Sequence[str] = CONTRACTS) -> dict[str, CompiledContract]:
        """Compile contracts, or take them from ``build/solc`` when nothing that goes into them has changed.

        Args:
            names: of contracts, each in the file of its name in ``contracts``.

        Raises:
            CompilerError: a source is missing, or doesn't compile; the message is the compiler's.
        """
        sources = {
            file.relative_to(self.project).as_posix(): file.read_text(encoding="utf-8")
            for file in sorted((self.project / "contracts").rglob("*.sol"))
        }
        for name in names:
            if f"contracts/{name}.sol" not in sources:
                raise CompilerError(
                    f"contract {name}: expected contracts/{name}.sol in {self.project}, got no such file"
                )
        key = {
            "sources": sources,
            "settings": self.settings,
            "solc": self.version,
            "libraries": [_read_json(folder / "package.json")["version"] for folder in self._libraries],
            "names": list(names),
        }
        cached = self.project / "build" / "solc" / f"{sha256_digest(canonical.encode(key))[2:]}.json"
        if cached.is_file():
            output = _read_json(cached)
        else:
            output = {"contracts": {}}
            for through_yul in (False, True):
                group = [name for name in names if ("viaIR" in self.settings_of(name)) is through_yul]
                if group:
                    files = {f"contracts/{name}.sol": sources[f"contracts/{name}.sol"] for name in group}
                    compiled = self._run(files, self.settings_of(group[0]))["contracts"]
                    output["contracts"] |= {file: compiled[file] for file in files}
            cached.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: a second process may be reading.
            with tempfile.NamedTemporaryFile("w", dir=cached.parent, delete=False, encoding="utf-8") as file:
                json.dump(output, file)
            Path(file.name).replace(cached)
        return {name: _contract(name, output["contracts"][f"contracts/{name}.sol"][name]) for name in names}

    def _run(self, sources: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
        request = {
            "language": "Solidity",
            "sources": {name: {"content": text} for name, text in sources.items()},
            "settings": {
                **settings,
                "remappings": list(REMAPPINGS),
                "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}},
            },
        }
        with tempfile.TemporaryDirectory(prefix="twinledger-solc-") as folder:
            # py-solc-x wants an executable called like the compiler.
            shim = Path(folder) / "solc"
            command = shlex.join([str(self.node), str(_DRIVER), str(self.project)])
            shim.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
            shim.chmod(0o700)
            try:
                output: dict[str, Any] = solcx.compile_standard(request, solc_binary=shim)
            except (SolcError, subprocess.SubprocessError, ValueError, OSError) as error:
                raise CompilerError(f"Solidity {self.version}: {error}") from error
        warnings = [e["formattedMessage"] for e in output.get("errors", ()) if e["severity"] == "warning"]
        if warnings:  # Hardhat's build treats them alike; a warning in a contract is a question left open
            raise CompilerError("Solidity warnings: expected none, got\n" + "\n".join(warnings))
        return output


def _contract(name: str, output: Mapping[str, Any]) -> CompiledContract:
    evm = output["evm"]
    return CompiledContract(
        name=name,
        abi=tuple(output["abi"]),
        bytecode=bytes.fromhex(evm["bytecode"]["object"]),
        runtime=bytes.fromhex(evm["deployedBytecode"]["object"]),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CompilerError(f"{path}: expected a JSON file, got {error}; run make setup") from error
    return value


def abi_text(contract: CompiledContract) -> str:
    """Return the committed form of an ABI: readable, and the same on every machine."""
    return json.dumps(list(contract.abi), indent=2, sort_keys=True) + "\n"


def stale_abis(compiled: Mapping[str, CompiledContract], directory: Path = ABI_DIRECTORY) -> list[Path]:
    """Return the committed ABIs that differ from what the sources compile to."""
    wanted = {directory / f"{name}.json": abi_text(contract) for name, contract in compiled.items()}
    return [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
