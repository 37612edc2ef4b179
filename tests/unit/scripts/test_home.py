"""The folder of a consortium: keys that a seed repeats and others can't read, a memory that survives crashes."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from fl.keys import read_key
from scripts.cli import BadInputError
from scripts.home import Home, create_private, given_device_keys, require_own_keys, write_atomically
from twins.contribution import address_of_key
from twins.types import Digest, parse_digest, twin_id

pytestmark = pytest.mark.unit

TWIN = twin_id("watch")
HEAD = parse_digest("0x" + "ab" * 32)


def contents(files: tuple[Path, ...]) -> list[str]:
    return [file.read_text() for file in files]


def test_keys_are_those_of_the_seed_in_whatever_folder(tmp_path: Path) -> None:
    one = contents(Home(tmp_path / "a").device_keys(7, 5))
    assert one == contents(Home(tmp_path / "b").device_keys(7, 5))
    # Written down: who changes the derivation changes every head that was ever published.
    expected = HKDF(SHA256(), 32, salt=None, info=b"twinledger/devnet/device/0").derive(b"7")
    assert one[0] == expected.hex() + "\n"


def test_keys_of_other_seeds_and_devices_are_all_different(tmp_path: Path) -> None:
    files = [file for seed in (0, 1, 11) for file in Home(tmp_path).device_keys(seed, 12)]
    require_own_keys(files)
    assert len({address_of_key(read_key(file)) for file in files}) == 36


def test_only_the_owner_can_read_a_key(tmp_path: Path) -> None:
    (file,) = Home(tmp_path).device_keys(0, 1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_key_that_is_there_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (first,) = home.device_keys(0, 1)
    first.write_text("11" * 32)
    assert home.device_keys(0, 3)[0] == first
    assert first.read_text() == "11" * 32
    assert [file.name for file in home.device_keys(0, 3)] == [f"device-{index:04d}.key" for index in range(3)]


def test_a_key_that_a_crash_left_half_written_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = contents(Home(tmp_path / "good").device_keys(0, 1))
    home = Home(tmp_path / "crashed")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", crash)
    with pytest.raises(KeyboardInterrupt):
        home.device_keys(0, 1)
    monkeypatch.undo()
    folder = home.path / "keys" / "seed-0"
    assert list(folder.iterdir()) == []
    (folder / ".device-0000.key-abc.part").write_text("ab")  # of one that was killed
    assert contents(home.device_keys(0, 1)) == good
    assert [file.name for file in folder.glob("*.key")] == ["device-0000.key"]


def test_processes_that_make_the_same_keys_at_the_same_time_all_have_the_same(tmp_path: Path) -> None:
    homes = [Home(tmp_path)] * 8
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda index: create_private(tmp_path / "random.key", f"{index:064x}"), range(8)))
        made = list(pool.map(lambda home: contents(home.device_keys(0, 40)), homes))
    assert sorted(drawn) == [False] * 7 + [True], "who comes second goes on with the first one's"
    assert int((tmp_path / "random.key").read_text(), 16) == drawn.index(True)
    assert made == [contents(Home(tmp_path / "alone").device_keys(0, 40))] * 8
    assert not list(tmp_path.rglob("*.part"))


def test_given_keys_are_the_first_by_name(tmp_path: Path) -> None:
    for name in ("b.key", "a.key", "c.key", "a.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in given_device_keys(tmp_path, 2)] == ["a.key", "b.key"]
    with pytest.raises(BadInputError, match=r"expected 4 files .* got 3"):
        given_device_keys(tmp_path, 4)
    with pytest.raises(BadInputError, match="got 0"):
        given_device_keys(tmp_path / "nowhere", 1)


def test_one_key_for_two_devices_is_refused_by_both_names(tmp_path: Path) -> None:
    # The device would count twice, at two stations of which neither sees the other's roster.
    files = Home(tmp_path).device_keys(0, 3)
    files[2].write_text("0x" + files[0].read_text().upper())
    with pytest.raises(BadInputError, match=r"device-0002\.key.*device-0000\.key"):
        require_own_keys(files)


@pytest.mark.parametrize("key", [0, 2**256 - 1, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141])
def test_a_number_that_is_no_private_key_is_refused_unquoted(tmp_path: Path, key: int) -> None:
    file = tmp_path / "device.key"
    file.write_text(f"{key:064x}")
    with pytest.raises(BadInputError, match=r"device\.key") as caught:
        require_own_keys([file])
    assert f"{key:064x}" not in str(caught.value).lower()


def test_a_head_is_remembered_by_twin(tmp_path: Path) -> None:
    home, other = Home(tmp_path), parse_digest("0x" + "cd" * 32)
    assert home.remembered_head(TWIN) is None
    home.remember_head(TWIN, HEAD)
    home.remember_head(twin_id("gait"), other)
    assert (home.remembered_head(TWIN), home.remembered_head(twin_id("gait"))) == (HEAD, other)
    home.remember_head(TWIN, other)
    assert home.remembered_head(TWIN) == other


@given(text=st.binary(max_size=80))
def test_a_damaged_memory_is_never_taken_for_none(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    # Whoever can damage it could otherwise hide a chain that was rolled back.
    home = Home(tmp_path_factory.mktemp("home", numbered=True))
    home.remember_head(TWIN, HEAD)
    (file,) = (home.path / "audits").iterdir()
    file.write_bytes(text)
    with pytest.raises(BadInputError, match="delete it to forget"):
        home.remembered_head(TWIN)


@pytest.mark.parametrize("value", [None, 3, [], {}, {"head": None}, {"head": "0x12"}, {"head": "AB" * 32}])
def test_a_memory_of_another_shape_is_refused(tmp_path: Path, value: object) -> None:
    home = Home(tmp_path)
    home.remember_head(TWIN, HEAD)
    (file,) = (tmp_path / "audits").iterdir()
    file.write_text(json.dumps(value))
    with pytest.raises(BadInputError, match="delete it to forget"):
        home.remembered_head(TWIN)


def test_a_crash_while_writing_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.remember_head(TWIN, HEAD)

    def crash(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        home.remember_head(TWIN, Digest("0x" + "cd" * 32))
    monkeypatch.undo()
    assert home.remembered_head(TWIN) == HEAD


def test_writing_replaces_all_of_the_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, "long content")
    write_atomically(file, "é")
    assert file.read_text(encoding="utf-8") == "é"
    assert list(tmp_path.iterdir()) == [file]


def test_what_can_not_be_written_leaves_no_draft_and_the_old_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "\ud800")
    assert (file.read_text(), list(tmp_path.iterdir())) == ("old", [file])
