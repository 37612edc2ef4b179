"""The Flower app bundle: what the two apps import and the contracts' ABIs, and nothing else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_files

from tests.bundle_rule import needed

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]
PLACES = ("pyproject.toml", ".gitignore", "twins", "fl", "chain", "devnet", "scripts", "tests", "benchmarks", "docs")


def bundled() -> set[str]:
    files: dict[str, bytes | Path] = {}
    for place in PLACES:
        for file in [ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                files[file.relative_to(ROOT).as_posix()] = file
    with zipfile.ZipFile(io.BytesIO(build_fab_from_files(files)[0])) as archive:
        return set(archive.namelist())


def test_the_bundle_has_what_the_apps_import_and_nothing_else() -> None:
    assert bundled() - {"pyproject.toml", ".info/CONTENT"} == needed(ROOT)


def test_what_the_apps_import_is_found_by_reading_them() -> None:
    found = needed(ROOT)
    assert {"scripts/station_app.py", "fl/client_app.py", "fl/datasets/watch.py", "chain/abi/RoundLedger.json"} <= found
    assert "twins/ipfs.py" in found, "imported inside a function"
    assert "scripts/demo.py" not in found
