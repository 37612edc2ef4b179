"""A devnet with the contracts, for one test file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.scripts.commands import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = Place(tmp_path_factory.mktemp("home"))
    home.up()
    yield home
    home.down()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Place]:
    """A second devnet, for this test alone."""
    home = Place(tmp_path / "home")
    home.up()
    yield home
    home.down()
