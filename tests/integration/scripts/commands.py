"""The scripts as a user runs them: real processes, a real chain, a folder of their own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.connection import Chain
from scripts import audit, deploy, devnet, dispute, grants, guard, integrity, rounds, station
from scripts.cli import execute

PROJECT = Path(__file__).parents[3]
TINY = ("--dataset", "tests.integration.audit.tiny:DATASET", "--split", "all", "--devices", "6", "--twin", "tiny")


@dataclass(frozen=True)
class Finished:
    """What a command said."""

    code: int
    out: str
    err: str

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Place:
    """One local consortium."""

    home: Path

    def start(self, script: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, f"scripts/{script}.py", *arguments],
            cwd=PROJECT,
            env={**os.environ, "TWINLEDGER_HOME": str(self.home), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def spawn(self, script: str, *arguments: str, env: dict[str, str] | None = None) -> Finished:
        """Run a script as a process of its own."""
        process = self.start(script, *arguments, env=env)
        out, err = process.communicate(timeout=240)
        return Finished(process.returncode, out, err)

    def run(self, script: str, *arguments: str) -> Finished:
        """Run a script in this process, all but its start: importing torch anew takes longer than most runs."""
        targets: dict[str, Any] = {
            "rounds": rounds.main,
            "station": station.main,
            "audit": audit.main,
            "deploy": deploy.main,
            "devnet": devnet.app,
            "dispute": dispute.app,
            "grants": grants.app,
            "guard": guard.app,
            "integrity": integrity.app,
        }
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setenv("TWINLEDGER_HOME", str(self.home))
            code = execute(targets[script], arguments)
        return Finished(code, out.getvalue(), err.getvalue())

    def rounds(self, count: int, *arguments: str, data: Sequence[str] = TINY) -> Finished:
        return self.run("rounds", "--rounds", str(count), *data, "--json", *arguments)

    def audit(self, twin: str = "tiny", *arguments: str) -> Finished:
        return self.run("audit", twin, "--json", *arguments)

    def head(self, twin: str = "tiny") -> str:
        """Head by an audit that must be clean."""
        finished = self.audit(twin)
        assert finished.code == 0, finished
        return str(finished.lines()[0]["head"]["model"])

    def lacks(self, twin: str, number: int) -> list[str]:
        """Stations that a final round went without, by an audit that must be clean."""
        finished = self.audit(twin)
        assert finished.code == 0, finished
        (told,) = (found for found in finished.lines()[0]["rounds"] if found["round"] == number)
        return list(told["missing"])

    def up(self) -> None:
        started = self.spawn("devnet", "up", "--port", "0")
        assert started.code == 0, started
        deployed = self.run("deploy")
        assert deployed.code == 0, deployed

    def down(self) -> None:
        assert self.run("devnet", "down").code == 0

    def chain(self) -> Chain:
        """The devnet's node."""
        return Chain(str(json.loads(self.run("devnet", "status", "--json").out)["url"]))

    def snapshot(self) -> tuple[str, list[tuple[str, int]]]:
        """The chain's height and every file of the home but its logs: what bad input must not change."""
        status = self.run("devnet", "status", "--json")
        height = str(json.loads(status.out).get("block")) if status.code == 0 else "down"
        files = [
            (str(file.relative_to(self.home)), file.stat().st_size)
            for file in sorted(self.home.rglob("*"))
            if file.is_file() and file.suffix != ".log"
        ]
        return height, files
