"""Checks who imports what, by reading the source: nothing is imported, so nothing can hide at run time."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

# Which of the project's packages each one may import.
MAY_IMPORT = {
    "twins": {"twins"},
    "fl": {"fl", "twins"},
    "chain": {"chain", "twins"},
    "devnet": {"devnet", "chain", "twins"},
    "scripts": {"scripts", "devnet", "chain", "fl", "twins"},
}
PROJECT = {*MAY_IMPORT, "tests", "benchmarks"}

# Third-party packages that only some files may import: path prefixes, then the exceptions among them.
ONLY_IN = {
    "flwr": (("fl/",), ()),
    "torch": (("fl/",), ()),
    "ray": (("fl/_flower_ray.py",), ()),
    "web3": (("chain/",), ("chain/pdp/",)),
    "solcx": (("chain/",), ("chain/pdp/",)),
    "ipfshttpclient": (("twins/kubo_rpc.py",), ()),
}
# twins is the layer that others check: it stays small enough to be read whole.
TWINS_MAY_USE = {
    "numpy", "safetensors", "rfc8785", "cryptography", "ipfshttpclient",
    "eth_account", "eth_abi", "coincurve", "eth_utils", "sha3",
}  # fmt: skip

# The process's surroundings: only scripts reads them, everything else gets values.
SURROUNDINGS = {("os", "environ"), ("os", "environb"), ("os", "getenv"), ("os", "getenvb"), ("sys", "argv")}
# But for programs that other programs start: two with the one or two paths they are about, one that becomes another.
OWN_PROGRAMS = {
    "devnet/tied.py": {"argv"},
    "devnet/watcher.py": {"argv"},
    "fl/warm_clientapp.py": {"argv", "environ"},
}
COMMAND_LINE = {"argparse", "click", "getopt", "optparse", "typer"}


def violations(root: Path) -> list[str]:
    """List every breach of the rule under ``root`` as ``path:line: what``, sorted."""
    found = []
    for package in MAY_IMPORT:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            for node in ast.walk(ast.parse(path.read_text("utf-8"), name)):
                found += [f"{name}:{node.lineno}: {what}" for what in _breaches(name, node)]  # type: ignore[attr-defined]
    return sorted(found)


def _breaches(name: str, node: ast.AST) -> Iterator[str]:
    package = name.split("/", 1)[0]
    if isinstance(node, ast.ImportFrom) and node.level:
        yield "relative import"
    for module in _modules(node):
        if module in PROJECT and module not in MAY_IMPORT[package]:
            yield f"{package} imports {module}"
        inside, but_not = ONLY_IN.get(module, (("",), ()))
        if not name.startswith(inside) or (but_not and name.startswith(but_not)):
            yield f"{name} imports {module}, which belongs in {', '.join(inside)}"
        third_party = module not in sys.stdlib_module_names and module not in PROJECT
        if package == "twins" and third_party and module not in TWINS_MAY_USE:
            yield f"twins imports {module}, which is not among its few dependencies"
        if package != "scripts" and module in COMMAND_LINE:
            yield f"{package} imports {module}; only scripts reads the command line"
    if package != "scripts":
        for owner, attribute in _attributes(node):
            allowed = attribute in OWN_PROGRAMS.get(name, ())
            if (owner, attribute) in SURROUNDINGS and not allowed:
                yield f"{package} reads {owner}.{attribute}; only scripts does"


def _modules(node: ast.AST) -> Iterator[str]:
    """Top-level names of what a node imports, ``importlib.import_module("x")`` and its like included."""
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".", 1)[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.split(".", 1)[0]
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        function = node.func
        called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
            yield node.args[0].value.split(".", 1)[0]


def _attributes(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Pairs (module, name) that a node reads, either as ``os.environ`` or ``from os import environ``."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield node.value.id, node.attr
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from ((node.module, alias.name) for alias in node.names)
    elif isinstance(node, ast.Import):
        # `import os as o` would hide o.environ from the line above.
        yield from (
            (alias.name, wanted)
            for alias in node.names
            if alias.asname and alias.asname != alias.name
            for owner, wanted in SURROUNDINGS
            if owner == alias.name
        )
