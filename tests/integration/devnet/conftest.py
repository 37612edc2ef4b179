"""A consortium's network of real geth and Kubo daemons, started and stopped as a user does it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from chain.accounts import Account
from devnet.network import Network
from devnet.operation import supervisor_of
from devnet.supervision import Supervisor
from scripts import devnet as devnet_script
from scripts.cli import execute

PROJECT = Path(__file__).parents[3]
T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], seconds: float = 75.0) -> T:
    """Wait until something is so, and return what was found.

    Validators that dialled each other in the same moment try again after up to 35 s: no wait for blocks is shorter.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"expected {what} within {seconds:g} s, got {found!r}"
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Devnet:
    """A home folder, and scripts/devnet.py on it."""

    home: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "scripts/devnet.py", *words, "--home", str(self.home)],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command, which has to end with this code; return what it printed.

        In this process: most of a command's time is the start of its interpreter.
        """
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            ended = execute(devnet_script.app, [*words, "--home", str(self.home)])
        assert ended == code, (words, said.getvalue())
        return said.getvalue()

    def up(self, *words: str) -> str:
        """Start the network with a process of its own, as users do."""
        process = self.start("up", "--profile", "consortium", *words)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, (words, out, err)
        return out + err

    def status(self, code: int = 0) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "--json", code=code)))

    @property
    def network(self) -> Network:
        return Network.load(self.home / "consortium")

    @property
    def supervisor(self) -> Supervisor:
        return supervisor_of(self.network)

    def pid(self, name: str) -> int:
        return self.supervisor.states()[name].pid

    def kill(self, name: str) -> None:
        """Kill a node that runs; without one its number is 0, which would be this test's whole process group."""
        pid = self.pid(name)
        assert pid > 0, f"expected {name} to run"
        os.kill(pid, signal.SIGKILL)

    def height(self, *without: str) -> int:
        """Number of the newest block that any validator has, but for those named."""
        names = [validator.name for validator in self.network.validators]
        return max(self.network.admin(name).height() for name in names if name not in without)

    def ipfs_add(self, data: bytes) -> str:
        """Pin bytes on the first station's node; return their CID."""
        added = self._ipfs("add?cid-version=1", files={"file": data}).json()
        return str(added["Hash"])

    def ipfs_cat(self, cid: str) -> bytes:
        """Read bytes that the first station's node has itself."""
        return self._ipfs(f"cat?arg={cid}&offline=true").content

    def _ipfs(self, call: str, **body: Any) -> requests.Response:
        station = self.network.stations[0]
        headers = {"Authorization": f"Bearer {station.token()}"}
        answer = requests.post(f"{station.api_url}/api/v0/{call}", headers=headers, timeout=10, **body)
        answer.raise_for_status()
        return answer

    def processes(self) -> dict[int, str]:
        """Command lines of all processes that were started for this home, by process id."""
        return {pid: line for pid, line in command_lines().items() if str(self.home.resolve()) in line}

    def down(self) -> None:
        self.run("down")
        wait_for("no process left", lambda: not self.processes(), 2)


def command_lines() -> dict[int, str]:
    """Return the command line of every process of the system."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
            except OSError:
                continue
    return {pid: line for pid, line in found.items() if pid != os.getpid()}


def raw_transaction(signer: Account, *, nonce: int, tip: int = 10**9) -> str:
    """One wei to somebody."""
    raw, _ = signer.sign_transaction(
        {
            "chainId": 31337,
            "nonce": nonce,
            "to": "0x" + "12" * 20,
            "value": 1,
            "gas": 21_000,
            "maxFeePerGas": 10**10 if tip else 0,
            "maxPriorityFeePerGas": tip,
            "data": b"",
        }
    )
    return "0x" + raw.hex()


@pytest.fixture(scope="package")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Five validators and three stations; what a test breaks, it mends."""
    made = Devnet(tmp_path_factory.mktemp("devnet") / "home")
    try:
        made.up("--validators", "5", "--stations", "3")
        yield made
    finally:
        made.run("down")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Devnet]:
    """A home with nothing in it."""
    made = Devnet(tmp_path / "home")
    try:
        yield made
    finally:
        made.run("down")
