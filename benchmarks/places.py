"""Networks for benchmarks: brought up by the commands that users have, deployed to, and brought down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def command_of(script: str, home: Path, *words: str) -> str:
    """Run one of the project's commands in a home folder; return what it printed.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    line = [sys.executable, str(SCRIPTS / f"{script}.py"), *words, "--home", str(home)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def network(profile: str, home: Path, *, stations: int = 3, validators: int = 5) -> Iterator[Path]:
    """Start a network of a profile with the contracts on it; yield its home folder; stop it."""
    size = (
        ("--stations", str(stations), "--validators", str(validators)) if profile == "consortium" else ("--port", "0")
    )
    try:
        command_of("devnet", home, "up", "--profile", profile, *size)
        command_of("deploy", home)
        yield home
    finally:
        command_of("devnet", home, "down")
