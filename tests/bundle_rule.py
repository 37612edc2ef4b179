"""What the two Flower apps need of this repository, by reading the source: every module that they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

APPS = ("scripts.station_app", "fl.client_app")
# Found by name at run time: a data set by the twin's manifest, and the program that runs Flower's commands.
NAMED = ("fl.datasets.watch", "fl.flower_commands")
PACKAGES = ("twins", "fl", "chain", "devnet", "scripts")


def needed(root: Path) -> set[str]:
    """Return the files of all modules that the apps import, those inside functions included, and the ABIs."""
    found: set[str] = set()
    todo = [*APPS, *NAMED]
    while todo:
        for file in _files(root, todo.pop()):
            name = file.relative_to(root).as_posix()
            if name not in found:
                found.add(name)
                todo += _imports(ast.parse(file.read_text(encoding="utf-8")))
    return found | {file.relative_to(root).as_posix() for file in (root / "chain" / "abi").glob("*.json")}


def _files(root: Path, module: str) -> Iterator[Path]:
    """Files of a module and of the packages that it is in; of ``package.attribute`` those of the package."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                yield file


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in PACKAGES)
