"""From nothing to an audited twin and back to nothing, and the help that leads there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.integration.scripts.commands import PROJECT, TINY, Place
from tests.integration.scripts.warm import start

pytestmark = pytest.mark.integration

DIGEST = re.compile(r"0x[0-9a-f]{64}")


def test_devnet_deploy_rounds_audit_more_rounds_down(tmp_path: Path) -> None:
    place = Place(tmp_path / "home")
    up = place.spawn("devnet", "up", "--port", "0")
    assert up.code == 0, up
    try:
        assert "chain id 31337" in up.out
        assert place.run("devnet", "up").out.startswith("already up")

        deployed = place.run("deploy", "--json").lines()[0]
        # EIP-170 lets a contract have 24 kB at 200 gas a byte: more would be no deployment of ours.
        assert all(500_000 < gas < 6_000_000 for gas in deployed["gas"].values())
        assert place.run("deploy", "--json").lines()[0]["kept"]

        rounds = place.spawn("rounds", "--rounds", "2", *TINY)
        assert rounds.code == 0, rounds
        heading, first, second, head = rounds.out.splitlines()
        assert heading.split() == ["round", "accuracy", "stations", "model", "gas", "seconds"]
        for number, line in ((1, first), (2, second)):
            columns = line.split()
            assert columns[0] == str(number)
            assert 0 <= float(columns[1]) <= 1
            assert columns[2] == "3"
            assert 200_000 < int(columns[4].replace(",", "")) < 450_000
        (digest,) = DIGEST.findall(head)
        assert second.split()[3] == digest[:18] + "…"
        assert "starting from round 0, to round 2" in rounds.err

        audit = start(place.home, tmp_path / "audit", "audit", ("tiny",))
        assert audit.join() == 0, audit.err.read_text()
        told = audit.out.read_text()
        assert "3 models, 6 station updates, 12 device updates recomputed: verified" in told
        assert digest[:18] in told

        continued = place.rounds(4).lines()
        assert [line["round"] for line in continued] == [3, 4]
        assert continued[0]["parent"] == digest
        assert continued[1]["parent"] == continued[0]["model"]
        assert place.head() == continued[1]["model"]

        for count in ("4", "3"):
            again = place.run("rounds", "--rounds", count, *TINY)
            assert again.code == 0
            assert "round 4 is final already, nothing to do" in again.err
            assert continued[1]["model"] in again.out
    finally:
        assert place.run("devnet", "down").out == "down\n"
    assert place.run("devnet", "status").code == 1
    assert place.run("devnet", "down").code == 0
    gone = place.rounds(5)
    assert (gone.code, gone.out) == (2, "")
    assert "scripts/devnet.py up" in gone.err


def test_several_twins_live_on_one_chain(place: Place) -> None:
    for twin, seed in (("tiny", "0"), ("north/gait-2", "5")):
        assert place.rounds(1, "--seed", seed, data=(*TINY[:-1], twin)).code == 0
    assert place.head("tiny") != place.head("north/gait-2")


def test_one_station_with_one_device_is_a_federation_too(place: Place) -> None:
    lines = place.rounds(2, "--stations", "1", "--devices", "1").lines()
    assert [(line["stations"], line["devices"]) for line in lines] == [(1, 1), (1, 1)]
    place.head()


@pytest.mark.parametrize("script", ["rounds", "audit", "demo", "deploy", "devnet", "abi"])
def test_help_shows_the_examples_line_by_line(tmp_path: Path, script: str) -> None:
    shown = start(tmp_path, tmp_path / "run", script, ("--help",))
    assert shown.join() == 0
    lines = [line.strip() for line in shown.out.read_text().splitlines()]
    assert max(map(len, lines)) < 120
    doc = ast.get_docstring(ast.parse((PROJECT / "scripts" / f"{script}.py").read_text()))
    assert doc is not None
    examples = [line.strip() for line in doc.split("Examples:\n")[1].split("\n\n")[0].splitlines()]
    assert all(example.startswith(f"scripts/{script}.py") for example in examples)
    assert [line for line in lines if line in examples] == examples
    assert {line.strip() for line in doc.splitlines()} <= set(lines)
    assert shown.err.read_text() == ""
