"""A station's tagging key in its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chain.accounts import Account
from chain.pdp.keys import PrivateKey
from scripts import possession
from scripts.cli import BadInputError
from scripts.possession import KeyFile
from tests.slots import known_key

pytestmark = pytest.mark.unit

ACCOUNT = Account.from_key(bytes(31) + b"\1")
OTHER = Account.from_key(bytes(31) + b"\2")


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Known keys in turn: making one takes a second."""
    made: list[int] = []

    def generate(exponent_bits: int, notice: object = None) -> PrivateKey:
        made.append(exponent_bits)
        return known_key(len(made) - 1, exponent_bits)

    monkeypatch.setattr(possession.PrivateKey, "generate", generate)
    return made


def test_a_key_is_made_once_and_read_ever_after(tmp_path: Path, quick_keys: list[int]) -> None:
    file = KeyFile(tmp_path / "tagging" / "key.json", ACCOUNT)
    first = file.current()
    assert KeyFile(file.file, ACCOUNT).current() == first
    assert quick_keys == [132_049]
    assert oct(file.file.stat().st_mode & 0o777) == "0o600"


def test_after_so_many_versions_a_new_key_is_made_and_the_old_one_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(possession, "VERSIONS_PER_KEY", 2)
    file = KeyFile(tmp_path / "key.json", ACCOUNT)
    first = file.current()
    file.used()
    assert file.current() == first
    file.used()
    second = file.current()
    assert second != first
    assert str(first.p) not in file.file.read_text()
    assert json.loads(file.file.read_text())["versions"] == 0


def test_the_file_opens_for_its_account_alone_and_tells_nothing(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "key.json", ACCOUNT)
    key = file.current()
    text = file.file.read_text()
    assert "ENCRYPTED" in text
    assert str(key.p) not in text
    with pytest.raises(BadInputError, match="expected this station's tagging key"):
        KeyFile(file.file, OTHER).current()
    assert file.file.read_text() == text  # bad input loses nothing


@pytest.mark.parametrize("text", ["", "{}", '{"key": "x", "exponent_bits": 1, "versions": 0}', "[1]", "not json"])
def test_a_file_that_is_no_key_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(BadInputError, match="delete it, and a new one is made"):
        KeyFile(path, ACCOUNT).current()
    assert path.read_text() == text


def test_what_an_account_derives_is_its_own_and_of_one_purpose() -> None:
    assert ACCOUNT.derive("beacon/1") == ACCOUNT.derive("beacon/1")
    assert len({ACCOUNT.derive("beacon/1"), ACCOUNT.derive("beacon/2"), OTHER.derive("beacon/1")}) == 3
