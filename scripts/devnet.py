"""The local chain: start it, look at it, stop it.

One Hardhat node with automine, on the loopback interface. It goes on when the terminal is closed; what is on
it is lost when it stops. Its 80 funded accounts are Hardhat's: their keys are public.

Examples:
    scripts/devnet.py up                    at http://127.0.0.1:8545; its log is .twinledger/devnet.log
    scripts/devnet.py up --port 0           on a free port
    scripts/devnet.py status --json         exit code 1 when it isn't running
    scripts/devnet.py down

`up` when it is up, and `down` when it is down, say so and change nothing.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from chain.connection import Chain
from chain.errors import ChainError, DevnetError
from chain.hardhat_node import CHAIN_ID, HardhatNode
from scripts.cli import DEFAULT_HOME, HomeOption, JsonOption, PlainCommand, application, out, print_json, run
from scripts.devnet_state import DevnetState

DEFAULT_PORT = 8545

app = application(__doc__)


@app.command(cls=PlainCommand)
def up(
    port: Annotated[int, typer.Option(help="TCP port; 0 for a free one.", min=0, max=65535)] = DEFAULT_PORT,
    home: HomeOption = DEFAULT_HOME,
    json_output: JsonOption = False,
) -> None:
    """Start the local chain."""
    with _alone(home):
        state, fresh = DevnetState.load(home), False
        if state is None or not state.alive:
            state, fresh = start(home, port), True
        block = _answer(state)
    if json_output:
        print_json(_describe(state, block) | {"fresh": fresh})
    else:
        out.print(
            f"[green]up[/]: {state.url}, chain id {state.chain_id}, block {block}, process {state.pid}, log {state.log}"
            if fresh
            else f"already up: {state.url}, chain id {state.chain_id}, block {block}, process {state.pid}"
        )


@app.command(cls=PlainCommand)
def status(home: HomeOption = DEFAULT_HOME, json_output: JsonOption = False) -> None:
    """Say whether the local chain runs; exit code 1 when it doesn't."""
    state = DevnetState.load(home)
    if state is None or not state.alive:
        if json_output:
            print_json({"running": False})
        else:
            out.print(
                f"not running in {home}" + ("" if state is None else f": process {state.pid} is gone, see {state.log}")
            )
        raise typer.Exit(1)
    block = _answer(state)
    if json_output:
        print_json(_describe(state, block))
    else:
        out.print(
            f"[green]up[/]: {state.url}, chain id {state.chain_id}, block {block}, process {state.pid}, log {state.log}"
        )


@app.command(cls=PlainCommand)
def down(home: HomeOption = DEFAULT_HOME, json_output: JsonOption = False) -> None:
    """Stop the local chain; what is on it is lost."""
    with _alone(home):
        state = DevnetState.load(home)
        stopped = state is not None and state.alive
        if state is not None:
            state.identity.stop()
            DevnetState.file(home).unlink()
    if json_output:
        print_json({"running": False, "stopped": stopped})
    else:
        out.print("down" if stopped else f"not running in {home}")


def start(home: Path, port: int) -> DevnetState:
    """Start a node that outlives this process, and remember it.

    Raises:
        DevnetError: it can't be started.
    """
    log = (home / "devnet.log").absolute()
    node = HardhatNode.start(log=log, port=port, detached=True)
    state = DevnetState("hardhat", node.url, CHAIN_ID, node.identity.pid, node.identity.started, str(log))
    try:
        state.save(home)
    except BaseException:
        node.stop()  # or nobody would know of it
        raise
    return state


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one ``up`` or ``down`` at a time change what runs in a folder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "devnet.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _answer(state: DevnetState) -> int:
    try:
        return Chain(state.url, timeout=5.0).block_number()
    except ChainError as error:
        raise DevnetError(
            f"process {state.pid} runs, but: {error} See {state.log}; scripts/devnet.py down, then up, starts it anew"
        ) from error


def _describe(state: DevnetState, block: int) -> dict[str, object]:
    return {
        "running": True,
        "profile": state.profile,
        "url": state.url,
        "chain_id": state.chain_id,
        "block": block,
        "pid": state.pid,
        "log": state.log,
    }


if __name__ == "__main__":
    run(app)
