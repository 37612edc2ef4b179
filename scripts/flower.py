"""Flower's own command line, as this project uses it: in the folder of one consortium, without telemetry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from scripts.cli import BadInputError
from scripts.home import write_atomically

CONNECTION = "deployment"
"""Name of the connection to a station's SuperLink, in the folder's configuration."""

ROOT = Path(__file__).resolve().parents[1]

_BIN = Path(sys.executable).parent
_TAKES = 120.0  # seconds that a command may


def environment(flower: Path, first: Path | None = None) -> dict[str, str]:
    """Return the whole environment of Flower's programs: their folder, and nothing that they would tell others.

    Args:
        flower: the folder.
        first: folder of programs that stand in for Flower's.
    """
    path = [*([] if first is None else [str(first.resolve())]), str(_BIN), os.environ.get("PATH", os.defpath)]
    return {
        **os.environ,
        "PATH": os.pathsep.join(path),
        "FLWR_HOME": str(flower.resolve()),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.5",
    }


def program(name: str) -> str:
    """Return the path of one of Flower's programs."""
    return str(_BIN / name)


def connect(flower: Path, address: str, authority: Path) -> None:
    """Write the folder's configuration: a connection to a SuperLink, and Flower's simulation on this machine."""
    flower.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [
        "[superlink]",
        f'default = "{CONNECTION}"',
        f"[superlink.{CONNECTION}]",
        f"address = {json.dumps(address)}",
        f"root-certificates = {json.dumps(str(authority.resolve()))}",
        "[superlink.local-simulation]",
        'address = ":local:"',
    ]
    write_atomically(flower / "config.toml", "\n".join(lines) + "\n")


def flwr(flower: Path, commands: Sequence[Sequence[str]]) -> list[str]:
    """Run some of Flower's commands, one after another in one process: starting it takes longer than they do.

    Returns:
        What was wrong with each; empty if nothing was.

    Raises:
        BadInputError: they couldn't be run, or took too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "fl.flower_commands"],
            cwd=ROOT,
            env=environment(flower),
            input=json.dumps([list(words) for words in commands]),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TAKES,
        )
        failures = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise BadInputError(f"flwr: expected {len(commands)} commands done within {_TAKES:g} s, got none") from error
    except ValueError as error:
        raise BadInputError(f"flwr {commands}: expected an answer, got {done.stderr[-500:]}") from error
    return [str(failure) for failure in failures]


def register(flower: Path, public_keys: Sequence[str]) -> None:
    """Let nodes in; those that are in already stay in.

    Args:
        flower: folder with the connection to the SuperLink.
        public_keys: of the nodes, in PEM.

    Raises:
        BadInputError: the SuperLink doesn't take one.
    """
    with tempfile.TemporaryDirectory(prefix="nodes-") as folder:
        commands = []
        for number, public_key in enumerate(public_keys):
            file = Path(folder, f"{number}.pub")
            key = load_pem_public_key(public_key.encode())
            file.write_bytes(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
            commands.append(["supernode", "register", str(file), CONNECTION])
        for failure in flwr(flower, commands):
            if failure and "already in use" not in failure.lower():
                raise BadInputError(f"flwr supernode register: {failure}")


def unregister(flower: Path, node: int) -> None:
    """Cut a node off.

    Raises:
        BadInputError: the SuperLink doesn't.
    """
    for failure in flwr(flower, [["supernode", "unregister", str(node), CONNECTION]]):
        if failure:
            raise BadInputError(f"flwr supernode unregister: {failure}")
