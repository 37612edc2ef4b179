"""Key files: encrypted, never overwritten, and silent about what they hold."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from chain.accounts import Account
from scripts.cli import BadInputError, execute
from scripts.keys import PASSWORD, app, password, read_account, read_accounts

pytestmark = pytest.mark.unit

SECRET = "correct horse"
KEY = bytes(31) + b"\x2a"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    return file


def test_made_accounts_are_encrypted_private_and_read_back(
    tmp_path: Path, secret: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "keys"
    assert execute(app, ["new", str(folder), "--count", "2", "--password-file", str(secret), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    accounts = tuple(read_accounts(folder, 2, secret).values())
    assert [account.address for account in accounts] == list(made.values())
    assert all(stat.S_IMODE(Path(file).stat().st_mode) == 0o600 for file in made)
    assert execute(app, ["show", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == made


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path, secret: Path) -> None:
    folder = tmp_path / "keys"
    for _ in range(2):
        assert execute(app, ["new", str(folder), "--password-file", str(secret)]) == 0
    assert len(set(read_accounts(folder, 2, secret).values())) == 2


def test_the_password_comes_from_a_file_or_the_environment(
    secret: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert password(secret) == SECRET
    monkeypatch.setenv(PASSWORD, "other")
    assert password(None) == "other"
    assert password(secret) == SECRET, "what was given counts"
    monkeypatch.delenv(PASSWORD)
    assert execute(app, ["new", str(tmp_path / "keys")]) == 2
    assert f"expected --password-file or the variable {PASSWORD}" in capsys.readouterr().err
    assert not list((tmp_path / "keys").glob("*")), "nothing was made"


def test_a_wrong_password_is_refused_without_telling_anything(tmp_path: Path, secret: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(Account.from_key(KEY).to_keystore("another"))
    with pytest.raises(BadInputError, match=r"expected an encrypted key .* and its password") as caught:
        read_account(file, secret)
    assert "2a" not in str(caught.value).replace(str(tmp_path), "")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"version": 3}', '{"version": 3, "crypto": {}}', "{"])
def test_what_is_no_key_file_is_refused(tmp_path: Path, secret: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(BadInputError, match=r"a\.json"):
        read_account(file, secret)


def test_a_plain_key_needs_no_password(tmp_path: Path) -> None:
    file = tmp_path / "a.key"
    file.write_text("0x" + KEY.hex())
    assert read_account(file, None) == Account.from_key(KEY)


def test_stations_have_a_key_each(tmp_path: Path) -> None:
    for name in ("a.key", "b.key"):
        (tmp_path / name).write_text(KEY.hex())
    with pytest.raises(BadInputError, match="the same one twice"):
        read_accounts(tmp_path, 2, None)
    with pytest.raises(BadInputError, match=r"expected 3 files .* got 2"):
        read_accounts(tmp_path, 3, None)
    assert list(read_accounts(tmp_path, 1, None).values()) == [Account.from_key(KEY)]


def test_show_names_a_damaged_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text('{"address": "zz"}')
    assert execute(app, ["show", str(tmp_path)]) == 2
    assert "a.json" in capsys.readouterr().err


def test_a_key_store_of_the_specification_is_read() -> None:
    """Web3 Secret Storage Definition, test vector with scrypt."""
    vector = {
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
            "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32,
                "n": 262144,
                "p": 8,
                "r": 1,
                "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
            },
            "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3,
    }
    key = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
    assert Account.from_keystore(json.dumps(vector), "testpassword") == Account.from_key(key)
