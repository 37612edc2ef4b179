"""Refused before anything is written or sent: the chain's height and every file of the folder stay as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.scripts.commands import TINY, Finished, Place

pytestmark = pytest.mark.integration


def refused(place: Place, script: str, *arguments: str) -> str:
    """Run what must be refused; return the one line that says why."""
    before = place.snapshot()
    finished: Finished = place.run(script, *arguments)
    assert finished.code == 2, finished
    assert finished.out == ""
    assert place.snapshot() == before
    (line,) = finished.err.splitlines()
    assert line.startswith("error: ")
    return line


SETTINGS = {
    "a module that isn't there": (("--dataset", "no.such.module:DATASET"), "no.such.module:DATASET"),
    "a module without such an attribute": (("--dataset", "fl.datasets.watch:NOPE"), "NOPE"),
    "something else than a data set": (("--dataset", "fl.datasets.watch:SHA256"), "expected a fl.datasets.Dataset"),
    "a split of nobody": (("--split", "loso:11"), "K from 1 to 10"),
    "a split that leaves too few": (("--split", "loso:1", "--devices", "10"), "leaves 9 subjects"),
    "no devices": (("--devices", "0"), "got 0"),
    "negative devices": (("--devices", "-3"), "got -3"),
    "a million devices": (("--devices", "1000000"), "expected 1 to 10 devices"),
    "65 stations": (("--stations", "65"), "expected 1 to 64, got 65"),
    "negative stations": (("--stations", "-1"), "expected 1 to 64, got -1"),
    "more stations than devices": (("--stations", "10", "--devices", "9"), "9 devices for 10 stations"),
    "a strategy too big for its stations": (("--strategy", "Krum", "--strategy-arg", "num_malicious_nodes=1"), "Krum"),
    "an argument that is no pair": (("--strategy", "FedAdam", "--strategy-arg", "eta"), "NAME=VALUE"),
    "an argument of the wrong type": (("--strategy", "FedAdam", "--strategy-arg", "eta=fast"), "eta"),
    "a strategy module that isn't there": (("--strategy", "no.such:Class"), "no.such"),
    "negative rounds": (("--rounds", "-1"), "expected at least 1, got -1"),
    "rounds in words": (("--rounds", "ten"), "--rounds"),
    "a negative seed": (("--seed", "-1"), "--seed"),
    "a seed beyond 64 bits": (("--seed", str(2**64)), "--seed"),
    "an empty name": (("--twin", ""), "not a twin's name"),
    "a name that leads elsewhere": (("--twin", "../../etc"), "not a twin's name"),
    "a name with a line break": (("--twin", "a\nb"), "not a twin's name"),
    "a name of 129 characters": (("--twin", "a" * 129), "not a twin's name"),
    "no time to submit": (("--submit-window", "0"), "--submit-window"),
    "no time to attest": (("--attest-window", "-1"), "--attest-window"),
    "a century to submit": (("--submit-window", str(10**12)), "--submit-window"),
    "an unknown option": (("--round", "3"), "No such option"),
    "no URL": (("--rpc", "nonsense"), "nonsense"),
    "a port where nothing is": (("--rpc", "http://127.0.0.1:1"), "is a node running there?"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_rounds_refuse(place: Place, case: str) -> None:
    arguments, words = SETTINGS[case]
    assert words in refused(place, "rounds", *arguments)


def _remove(file: Path) -> None:
    file.unlink()


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _other_type(file: Path) -> None:
    file.write_text("[1, 2]")


def _binary(file: Path) -> None:
    file.write_bytes(bytes(range(256)))


def _without_ledger(file: Path) -> None:
    record = json.loads(file.read_text())
    del record["ledger"]
    file.write_text(json.dumps(record))


def _another_contract(file: Path) -> None:
    # The registry in the ledger's place: there is code, but of another contract.
    record = json.loads(file.read_text())
    record["ledger"] = record["registry"]
    file.write_text(json.dumps(record))


@pytest.mark.parametrize("harm", [_remove, _cut, _other_type, _binary, _without_ledger, _another_contract])
@pytest.mark.parametrize(("script", "arguments"), [("rounds", TINY), ("audit", ("tiny",))], ids=["rounds", "audit"])
def test_a_harmed_deployment_file_is_refused(
    place: Place, script: str, arguments: tuple[str, ...], harm: Callable[[Path], None]
) -> None:
    harm(place.home / "deployment.json")
    refused(place, script, *arguments)


def test_a_harmed_devnet_file_is_refused(place: Place) -> None:
    file = place.home / "devnet.json"
    good = file.read_bytes()
    file.write_text("{")
    finished = place.run("rounds", *TINY)
    file.write_bytes(good)
    assert finished.code == 2
    assert "devnet.json" in finished.err


def _folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


KEYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "too few": (_remove, "expected 6 files *.key"),
    "empty": (lambda file: file.write_text(""), "expected 64 hex digits"),
    "too short": (lambda file: file.write_text("ab" * 31), "got 62"),
    "no hex": (lambda file: file.write_text("secret garbage"), "expected 64 hex digits"),
    "binary": (lambda file: file.write_bytes(b"\xff\xfe\x00"), "expected 64 hex digits"),
    "zero": (lambda file: file.write_text("00" * 32), "device-0005.key"),
    "beyond the curve's order": (lambda file: file.write_text("ff" * 32), "device-0005.key"),
    "a folder in its place": (_folder_instead, "cannot read the device key"),
    "one twice at a station": (lambda file: shutil.copy(file.with_name("device-0002.key"), file), "key"),
    "one twice at two stations": (lambda file: shutil.copy(file.with_name("device-0001.key"), file), "key"),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_device_key_that_cannot_be_used_is_refused_and_never_quoted(place: Place, tmp_path: Path, case: str) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    for index in range(6):
        (folder / f"device-{index:04d}.key").write_text(f"{index + 1:064x}\n")
    harm, words = KEYS[case]
    harm(folder / "device-0005.key")
    line = refused(place, "rounds", *TINY, "--device-keys", str(folder))
    assert words in line
    assert "garbage" not in line
    assert f"{2:064x}" not in line


def test_other_stations_than_the_registered_ones_are_refused(place: Place) -> None:
    assert place.run("deploy", "--stations", "4").code == 0
    place.home.joinpath("artifacts").mkdir()
    before = place.snapshot()[0]
    finished = place.run("rounds", *TINY)
    assert finished.code == 2
    assert "4 registered" in finished.err
    assert place.snapshot()[0] == before


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--seed", "1", "seed: 0 there, 1 here"),
        ("--devices", "5", "devices: 6 there, 5 here"),
        ("--strategy", "FedMedian", "strategy: 'FedAvg' there, 'FedMedian' here"),
        ("--split", "none", "split: 'all' there, 'none' here"),
    ],
)
def test_a_twin_with_other_settings_is_refused_by_what_differs(
    place: Place, option: str, value: str, words: str
) -> None:
    assert place.rounds(1).code == 0
    height = place.snapshot()[0]
    finished = place.rounds(2, option, value)
    assert finished.code == 2, finished
    assert words in finished.err
    assert place.snapshot()[0] == height


def test_the_demo_refuses_before_it_empties_its_folder(tmp_path: Path) -> None:
    from scripts import demo
    from scripts.cli import execute

    treasure = tmp_path / "demo" / "report.html"
    treasure.parent.mkdir()
    treasure.write_text("of the run before")
    for arguments in (("--rounds", "0"), ("--devices", "11"), ("--stations", "11"), ("--report", "/no/such/folder/r")):
        assert execute(demo.main, ("--home", str(tmp_path), *arguments)) == 2
        assert [file.name for file in treasure.parent.iterdir()] == ["report.html"]
