"""scripts/audit.py as a user and as a program runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from chain.nodejs import PROJECT
from tests.integration.audit.world import BYTES, World, other_bytes
from twins.types import Digest, twin_id

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class Command:
    """Runs audits of one world; several at a time, since most of their time is the start of Python."""

    def __init__(self, world: World, home: Path) -> None:
        self.world, self.home = world, home

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        world = self.world
        options = ("--rpc", world.network.chain.url, "--deployment", world.deployment, "--artifacts", world.path)
        return subprocess.Popen(
            [sys.executable, PROJECT / "scripts" / "audit.py", *arguments, "--home", self.home, *map(str, options)],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Outcome:
        return self.finish(self.start(*arguments))

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> Outcome:
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return Outcome(process.returncode, out, err)


@pytest.fixture
def command(world: World, tmp_path: Path) -> Command:
    home = tmp_path / "home"
    home.mkdir()
    return Command(world, home)


def test_what_cannot_be_audited_is_one_line_and_exit_code_2(command: Command) -> None:
    started = command.start("nobody"), command.start("tiny", "--expected-head", "0xGARBAGE")
    nobody, digest = (command.finish(process) for process in started)
    assert (nobody.code, nobody.out) == (2, "")
    assert nobody.err.strip() == f"error: twin {twin_id('nobody')} is not registered"
    assert (digest.code, digest.out) == (2, "")
    assert digest.err == "error: not a digest: expected 0x and 64 lower-case hex digits, got '0xGARBAGE'\n"
    assert not (command.home / "audits").exists()


def test_a_tampered_store_is_exit_code_1_and_its_head_is_not_remembered(command: Command) -> None:
    world = command.world
    ref, other = world.model_manifest(3).model, world.model_manifest(2).model
    world.overwrite(ref.cid, world.read(other.cid))
    outcome = command.run("tiny", "--json")
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert report["verdict"] == "failed"
    assert report["checked"] == {"rounds": 4, "station_updates": 9, "device_updates": 18, "unchecked_updates": 0}
    (finding,) = report["findings"]
    assert finding == {
        "check": "artifact",
        "where": "round 3, merged model",
        "expected": BYTES,
        "got": other_bytes(ref.cid, other.cid),
    }
    # A head that wasn't verified must not become what later audits are held against.
    assert not (command.home / "audits").exists()


def test_a_clean_audit_remembers_the_head_and_the_next_notices_a_rollback(command: Command) -> None:
    world, chain = command.world, command.world.network.chain
    snapshot = chain.rpc("evm_snapshot")
    seen: Digest = world.run(4)
    clean = command.run("tiny", "--json", "--expected-head", world.final(2).model)
    assert clean.code == 0
    report = json.loads(clean.out)
    assert (report["verdict"], report["findings"]) == ("verified", [])
    assert report["head"] == {"round": 4, "model": seen}
    remembered = command.home / "audits" / f"{world.twin}.json"
    assert json.loads(remembered.read_text()) == {"head": seen}
    assert chain.rpc("evm_revert", (snapshot,))
    never = "0x" + "12" * 32
    outcome = command.run("tiny", "--expected-head", never)
    assert outcome.code == 1
    text = " ".join(outcome.out.replace("│", " ").split())  # long findings are wrapped
    got = f"got a lineage of 4 models that ends in {world.final(3).model}: the chain was rolled back or replaced"
    for missing in (never, seen):
        assert f"expected-head lineage ├── expected to contain model {missing} └── {got}" in text
    assert text.endswith("device updates recomputed: 2 findings")
    assert json.loads(remembered.read_text()) == {"head": seen}
