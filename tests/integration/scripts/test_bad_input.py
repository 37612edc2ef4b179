"""Bad input: exit code 2, one line that says what was expected, and nothing has changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fl.datasets.watch import data_file
from tests.integration.scripts.commands import TINY, Place

pytestmark = pytest.mark.integration

POISONED = ("--dataset", "tests.integration.scripts.poisoned:DATASET", "--split", "all", "--devices", "6")

REFUSED = {
    "unknown data set": (("--dataset", "nope"), "expected one of watch"),
    "unknown strategy": (("--strategy", "Nope"), "expected one of Bulyan"),
    "a strategy's unknown argument": (("--strategy", "FedAdam", "--strategy-arg", "foo=1"), "unknown: foo"),
    "a strategy's missing argument": (("--strategy", "QFedAvg"), "missing: client_learning_rate"),
    "0 stations": (("--stations", "0"), "expected 1 to 64, got 0"),
    "more stations than devices": (("--stations", "4", "--devices", "3"), "3 devices for 4 stations"),
    "more devices than there are": (("--devices", "11"), "expected 1 to 10 devices, got 11"),
    "unknown split": (("--split", "sideways"), "expected temporal, or loso:K"),
    "no rounds": (("--rounds", "0"), "expected at least 1, got 0"),
    "no name for a twin": (("--twin", "A twin"), "not a twin's name"),
    "no node": (("--rpc", "http://127.0.0.1:9"), "is a node running there?"),
    "no keys": (("--device-keys", "/nonexistent"), "expected 10 files *.key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_nothing_changed(place: Place, case: str) -> None:
    arguments, words = REFUSED[case]
    before = place.snapshot()
    finished = place.run("rounds", *arguments)
    assert finished.code == 2, finished
    assert words in finished.err
    assert len(finished.err.strip().splitlines()) == 1, "one line"
    assert place.snapshot() == before


def test_no_devnet(tmp_path: Path) -> None:
    finished = Place(tmp_path).run("rounds")
    assert finished.code == 2
    assert "no devnet is running" in finished.err


def test_a_deployment_file_of_another_chain(place: Place, fresh: Place) -> None:
    shutil.copy(place.home / "deployment.json", fresh.home / "deployment.json")
    # The same chain id, the same addresses: only the block's hash tells the two chains apart.
    before = fresh.snapshot()
    finished = fresh.run("rounds", *TINY)
    assert finished.code == 2, finished
    assert "expected hash" in finished.err
    assert fresh.snapshot() == before


def test_a_damaged_deployment_file(fresh: Place) -> None:
    (fresh.home / "deployment.json").write_text("{")
    assert fresh.run("rounds", *TINY).code == 2
    assert fresh.run("audit", "tiny").code == 2


def test_a_port_in_use(place: Place, tmp_path: Path) -> None:
    url = json.loads(place.run("devnet", "status", "--json").out)["url"]
    finished = Place(tmp_path).run("devnet", "up", "--port", url.rsplit(":", 1)[1])
    assert finished.code == 2
    assert "in use" in finished.err


def test_a_device_whose_training_gives_nan_is_left_out_by_name_and_the_round_goes_on(place: Place) -> None:
    finished = place.run("rounds", *POISONED, "--twin", "poisoned", "--rounds", "1")
    assert finished.code == 0, finished
    audited = place.audit("poisoned")
    assert audited.code == 0, audited
    stations = audited.lines()[0]["rounds"][1]["stations"]
    assert sum(station["devices"] for station in stations) == 5
    (rejection,) = (rejection for station in stations for rejection in station["rejections"])
    assert rejection["reason"] == "missing"
    assert rejection["detail"] == "did not train: NonFiniteError"
    told = place.run("audit", "poisoned")
    assert f"rejected device {rejection['device']}: missing" in told.out


def test_a_twin_is_not_continued_with_other_settings(place: Place) -> None:
    assert place.rounds(1).code == 0
    before = place.snapshot()
    finished = place.rounds(2, "--seed", "1")
    assert finished.code == 2
    assert "seed: 0 there, 1 here" in finished.err
    assert place.snapshot()[0] == before[0]


def test_a_data_file_with_a_wrong_checksum(place: Place, tmp_path: Path) -> None:
    fake = tmp_path / "site"
    shutil.copytree(data_file().parents[2] / "seglearn-1.2.5.dist-info", fake / "seglearn-1.2.5.dist-info")
    target = fake / "seglearn" / "data" / "watch_dataset.npy"
    target.parent.mkdir(parents=True)
    target.write_bytes(data_file().read_bytes()[:-1] + b"\0")
    before = place.snapshot()
    finished = place.spawn("rounds", "--twin", "forged", env={"PYTHONPATH": str(fake)})
    assert finished.code == 2, finished
    assert "expected SHA-256" in finished.err
    assert place.snapshot()[0] == before[0]


def test_audits_that_cannot_be_made(place: Place) -> None:
    for arguments in (("nobody",), ("tiny", "--expected-head", "0x12")):
        finished = place.run("audit", *arguments)
        assert finished.code == 2, finished
        assert finished.err.strip()
