"""docs/operations.md, "Your own network", word for word, on a network with another chain id and keys of one's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.network import Network
from tests.integration.scripts.commands import PROJECT, Place

pytestmark = pytest.mark.integration

PAGE = PROJECT / "docs" / "operations.md"


def documented() -> list[str]:
    """The commands of the section, one each."""
    section = PAGE.read_text(encoding="utf-8").split("## Your own network")[1]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1].replace("\\\n", " ").splitlines()


def shell(folder: Path, lines: list[str], replaced: dict[str, str]) -> str:
    text = "\n".join(["set -e", *lines])
    for old, new in {".venv/bin/python scripts/": f"{sys.executable} {PROJECT}/scripts/", **replaced}.items():
        assert old in text or old.startswith("http"), old
        text = text.replace(old, new)
    assert "http://node-" not in text
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    environment.pop("TWINLEDGER_HOME", None)
    done = subprocess.run(
        ["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_network_of_ones_own_runs_by_the_commands_of_the_page(tmp_path: Path) -> None:
    password, keys, *rest = (lambda lines: (lines[0], lines[1:3], *lines[3:]))(documented())
    shell(tmp_path, [password, *keys], {})
    made = [
        address
        for folder in ("stations", "admin")
        for address in json.loads(Place(tmp_path).spawn("keys", "show", str(tmp_path / "keys" / folder), "--json").out)
        .values()
    ]  # fmt: skip
    assert len(made) == 4
    theirs = Place(tmp_path / "theirs")  # whoever runs the network: another home than ours
    try:
        funds = [word for address in made for word in ("--fund", address)]
        words = ("--profile", "consortium", "--validators", "3", "--stations", "3", "--chain-id", "4242", *funds)
        up = theirs.spawn("devnet", "up", *words)
        assert up.code == 0, up
        network = Network.load(theirs.home / "consortium")
        tokens = [station.token() for station in network.stations]
        (tmp_path / "tokens").write_text(f"{tokens[0]}\n{tokens[1]}\n")
        (tmp_path / "token-of-c").write_text(tokens[2] + "\n")
        addresses = {
            f"http://node-{letter}:{port}": url
            for letter, validator, station in zip("abc", network.validators, network.stations, strict=True)
            for port, url in ((8545, validator.url), (5001, station.api_url))
        }
        said = shell(tmp_path, [password, *rest], addresses)
        assert "verified" in said
        assert not (tmp_path / ".twinledger" / "artifacts").exists(), "all artifacts are on the IPFS nodes"
        deployment = json.loads((tmp_path / ".twinledger" / "deployment.json").read_text())
        assert deployment["chain_id"] == 4242
    finally:
        theirs.spawn("devnet", "down")


def test_the_public_keys_of_the_devnet_are_refused_on_other_chains(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        words = ("--profile", "consortium", "--validators", "1", "--stations", "1", "--chain-id", "4242")
        assert place.spawn("devnet", "up", *words).code == 0
        refused = place.spawn("deploy")
        assert refused.code == 2
        assert "expected a key file on chain id 4242" in refused.err
    finally:
        place.spawn("devnet", "down")
