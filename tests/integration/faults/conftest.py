"""A consortium of real daemons with a run on it that goes on through all the faults of a module."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from devnet.network import Network
from devnet.operation import supervisor_of
from devnet.supervision import Supervisor
from tests.integration.scripts.commands import PROJECT, TINY, Finished, Place

ENOUGH = 10_000  # rounds: the run ends when the test says so


def wait_for(what: str, done: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, f"expected {what} within {seconds} s"
        time.sleep(0.1)
    return found


def read(stream: IO[str], note: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            note(line)


@dataclass
class Run:
    """rounds.py as a process, its rounds and its words as they come."""

    process: subprocess.Popen[str]
    rounds: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)

    @classmethod
    def start(cls, home: Path, *arguments: str) -> Run:
        run = cls(
            subprocess.Popen(
                [sys.executable, "scripts/rounds.py", "--rounds", str(ENOUGH), *TINY, "--json", *arguments],
                cwd=PROJECT,
                env={**os.environ, "TWINLEDGER_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        for stream, note in ((run.process.stdout, run._round), (run.process.stderr, run.said.append)):
            reader = threading.Thread(target=read, args=(stream, note))
            reader.start()
            run.readers.append(reader)
        return run

    def _round(self, line: str) -> None:
        self.rounds.append(json.loads(line))

    def goes_on(self, count: int = 1, seconds: float = 60.0) -> None:
        """Wait for so many more final rounds."""
        wanted = len(self.rounds) + count

        def done() -> bool:
            assert self.process.poll() is None, "".join(self.said)
            return len(self.rounds) >= wanted

        wait_for(f"{count} more rounds after {len(self.rounds)}; {self.said[-3:]}", done, seconds)

    def hears(self, text: str, since: int = 0, seconds: float = 60.0) -> None:
        """Wait until the run has said something."""
        wait_for(
            f"{text!r} among {self.said[since:]}", lambda: any(text in line for line in self.said[since:]), seconds
        )

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for reader in self.readers:
            reader.join()
        self.process.wait()


@dataclass(frozen=True)
class Consortium:
    """The network's daemons, and what a test does to them."""

    place: Place

    @property
    def network(self) -> Network:
        return Network.load(self.place.home / "consortium")

    @property
    def supervisor(self) -> Supervisor:
        return supervisor_of(self.network)

    def pid(self, name: str) -> int:
        """Of a node that runs; never 0, which would be this test's whole process group to os.kill."""
        return int(wait_for(f"{name} to run", lambda: self.supervisor.states()[name].pid))

    def kill(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)

    def kill_and_keep_down(self, name: str) -> None:
        self.kill(name)
        self.supervisor.stop_program(name)

    def devnet(self, *words: str) -> Finished:
        done = self.place.spawn("devnet", *words)
        assert done.code == 0, done
        return done

    def audit(self) -> dict[str, Any]:
        """Audit what is settled, as far as it has come; it must be clean."""
        done = self.place.audit("tiny", "--forget")
        assert done.code == 0, done
        return dict(done.lines()[0])


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    place = Place(tmp_path_factory.mktemp("consortium"))
    try:
        up = place.spawn("devnet", "up", "--profile", "consortium", "--stations", "3", "--validators", "5")
        assert up.code == 0, up
        deployed = place.run("deploy")
        assert deployed.code == 0, deployed
        yield Consortium(place)
    finally:
        place.spawn("devnet", "down")


@pytest.fixture(scope="module")
def run(consortium: Consortium) -> Iterator[Run]:
    """A run that goes on through the module; what a test breaks, it mends."""
    run = Run.start(consortium.place.home)
    try:
        run.goes_on(1, 90)
        yield run
    finally:
        run.close()
