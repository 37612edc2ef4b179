"""The local network: start it, look at it, stop it, mend it.

Two profiles. "embedded" is one Hardhat node with automine; what is on it is lost when it stops. "consortium" is geth
validators that agree on blocks (Clique) and an IPFS node per station, watched over; their data are kept in
HOME/consortium. Both listen on the loopback interface only and go on when the terminal is closed. The 80 funded
accounts of both are Hardhat's: their keys are public.

Examples:
    scripts/devnet.py up                    embedded, at http://127.0.0.1:8545; its log is .twinledger/devnet.log
    scripts/devnet.py up --port 0           on a free port
    scripts/devnet.py up --profile consortium --stations 3 --validators 5
    scripts/devnet.py status --json         exit code 1 when it isn't running, or there is an alarm
    scripts/devnet.py stop validator-2      and: start validator-2
    scripts/devnet.py validator add         voted in by a majority of the others
    scripts/devnet.py down

`up` when it is up, and `down` when it is down, say so and change nothing.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chain.connection import Chain
from chain.errors import ChainError, DevnetError
from chain.hardhat_node import CHAIN_ID, HardhatNode
from scripts import devnet_consortium as consortium
from scripts.cli import (
    DEFAULT_HOME,
    BadInputError,
    HomeOption,
    JsonOption,
    PlainCommand,
    application,
    out,
    print_json,
    run,
)
from scripts.devnet_state import DevnetState
from scripts.keys import PasswordOption

DEFAULT_PORT = 8545

app = application(__doc__)


class Profile(StrEnum):
    """What kind of network."""

    EMBEDDED = "embedded"
    CONSORTIUM = "consortium"


@app.command(cls=PlainCommand)
def up(
    profile: Annotated[
        Profile | None, typer.Option(help="Kind of network; what runs already if left out, or else embedded.")
    ] = None,
    port: Annotated[int, typer.Option(help="Embedded: TCP port; 0 for a free one.", min=0, max=65535)] = DEFAULT_PORT,
    stations: Annotated[
        int | None, typer.Option(help=f"Consortium: IPFS nodes [{consortium.STATIONS}].", min=1, max=80)
    ] = None,
    validators: Annotated[
        int | None,
        typer.Option(help=f"Consortium: geth nodes; best an odd number [{consortium.VALIDATORS}].", min=1, max=25),
    ] = None,
    chain_id: Annotated[int | None, typer.Option(help=f"Consortium: EIP-155 [{CHAIN_ID}].", min=1)] = None,
    period: Annotated[
        int | None, typer.Option(help=f"Consortium: seconds between blocks [{consortium.PERIOD}].", min=1, max=60)
    ] = None,
    fund: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Consortium: gets money in block 0, beside Hardhat's; may be repeated."),
    ] = None,
    password_file: PasswordOption = None,
    fresh: Annotated[bool, typer.Option(help="Consortium: forget the chain and the artifacts that are there.")] = False,
    home: HomeOption = DEFAULT_HOME,
    json_output: JsonOption = False,
) -> None:
    """Start the network; the consortium's chain and artifacts are as they were.

    For example: scripts/devnet.py up --profile consortium --stations 3 --validators 5
    """
    wanted = consortium.Wanted(
        validators, stations, chain_id, period, consortium.addresses(fund or ()), consortium.secret(password_file)
    )
    say = consortium.told(json_output)
    with _alone(home):
        state, new, started = DevnetState.load(home), False, list[str]()
        if state is not None and state.alive:
            _require_same(profile, state, fresh)
            if state.profile == consortium.PROFILE:
                started = consortium.complete(home, say)
                if started:
                    say(f"started {', '.join(started)}")
        elif profile is Profile.CONSORTIUM or (profile is None and state and state.profile == consortium.PROFILE):
            state, new = consortium.up(home, wanted, fresh, say), True
        else:
            if fresh or wanted.stations is not None or wanted.validators is not None:
                raise BadInputError("--fresh, --stations, --validators: expected --profile consortium with them")
            state, new = start(home, port), True
        block = _answer(state)
    if json_output:
        print_json(_describe(home, state, block) | {"fresh": new})
    else:
        out.print(("[green]up[/]: " if new or started else "already up: ") + _line(state, block))


@app.command(cls=PlainCommand)
def status(home: HomeOption = DEFAULT_HOME, json_output: JsonOption = False) -> None:
    """Say whether the network runs, and how each node is; exit code 1 when it doesn't, or there is an alarm."""
    state = DevnetState.load(home)
    if state is None or not state.alive:
        if json_output:
            print_json({"running": False})
        else:
            out.print(
                f"not running in {home}" + ("" if state is None else f": process {state.pid} is gone, see {state.log}")
            )
        raise typer.Exit(1)
    well = True
    if state.profile == consortium.PROFILE:
        if json_output:
            described = consortium.describe(home, state)
            print_json(described)
            well = described["alarm"] is None
        else:
            well = consortium.show(home, state)
    elif json_output:
        print_json(_describe(home, state, _answer(state)))
    else:
        out.print("[green]up[/]: " + _line(state, _answer(state)))
    if not well:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
def down(home: HomeOption = DEFAULT_HOME, json_output: JsonOption = False) -> None:
    """Stop the network. A consortium's data are kept; what is on the embedded chain is lost."""
    with _alone(home):
        stopped = end_network(home)
    if json_output:
        print_json({"running": False, "stopped": stopped})
    else:
        out.print("down" if stopped else f"not running in {home}")


NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="As `status` calls it, for example validator-2.")]


@app.command("stop", cls=PlainCommand)
def stop_node(node: NodeArgument, home: HomeOption = DEFAULT_HOME) -> None:
    """Stop one node of a consortium; it stays down until `start`, or the next `up`. For example: stop station-1."""
    with _alone(home):
        consortium.stop_node(home, node)
    out.print(f"{node} is down")


@app.command("start", cls=PlainCommand)
def start_node(node: NodeArgument, home: HomeOption = DEFAULT_HOME) -> None:
    """Start one node of a consortium, and wait until it answers. For example: start station-1."""
    with _alone(home):
        consortium.start_node(home, node)
    out.print(f"{node} is up")


@app.command(cls=PlainCommand)
def heal(home: HomeOption = DEFAULT_HOME) -> None:
    """Mend a consortium whose validators are stuck on two branches of equal weight (an even number, split in halves).

    The validators of one branch go back to the last common block. Exit code 1 when there is nothing to mend.
    """
    with _alone(home):
        if not consortium.heal(home, consortium.told(False)):
            raise typer.Exit(1)


@app.command(cls=PlainCommand)
def binaries(json_output: JsonOption = False) -> None:
    """Find geth and Kubo's ipfs on the path, or build them (the first time: minutes); nothing is started."""
    found = consortium.binaries(consortium.told(json_output))
    if json_output:
        print_json({"geth": str(found.geth), "ipfs": str(found.ipfs)})
    else:
        out.print(f"{found.geth}\n{found.ipfs}")


validator = typer.Typer(help="Change who seals blocks, on the running network.", no_args_is_help=True)
app.add_typer(validator, name="validator")


@validator.command(cls=PlainCommand)
def add(
    count: Annotated[int, typer.Option(help="How many, one after the other.", min=1, max=20)] = 1,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Start a new validator and let a majority of the others vote it in. For example: validator add --count 2."""
    with _alone(home):
        consortium.add_validators(home, count, consortium.told(False))


@validator.command(cls=PlainCommand)
def remove(name: NodeArgument, home: HomeOption = DEFAULT_HOME) -> None:
    """Let a majority of the others vote a validator out, and delete it; it may be down, or lost.

    For example: validator remove validator-5
    """
    with _alone(home):
        consortium.remove_validator(home, name, consortium.told(False))


def start(home: Path, port: int) -> DevnetState:
    """Start a Hardhat node that outlives this process, and remember it.

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


def end_network(home: Path) -> bool:
    """End what runs in a folder, and forget it; say whether anything did."""
    state = DevnetState.load(home)
    stopped = state is not None and state.alive
    if state is None or state.profile == consortium.PROFILE:
        stopped = consortium.down(home, None if state is None else state.identity)
    else:
        state.identity.stop()
    DevnetState.file(home).unlink(missing_ok=True)
    return stopped


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one command at a time change what runs in a folder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "devnet.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _require_same(profile: Profile | None, state: DevnetState, fresh: bool) -> None:
    running = Profile.CONSORTIUM if state.profile == consortium.PROFILE else Profile.EMBEDDED
    if profile not in (None, running):
        raise BadInputError(
            f"--profile: expected {running.value}, which is running, got {profile.value if profile else None}; "
            f"scripts/devnet.py down first"
        )
    if fresh:
        raise BadInputError("--fresh: expected the network down, got it running; scripts/devnet.py down first")


def _answer(state: DevnetState) -> int:
    try:
        return Chain(state.url, timeout=5.0).block_number()
    except ChainError as error:
        raise DevnetError(
            f"process {state.pid} runs, but: {error} See {state.log}; scripts/devnet.py down, then up, starts it anew"
        ) from error


def _line(state: DevnetState, block: int) -> str:
    return f"{state.url}, chain id {state.chain_id}, block {block}, process {state.pid}, log {state.log}"


def _describe(home: Path, state: DevnetState, block: int) -> dict[str, object]:
    if state.profile == consortium.PROFILE:
        return consortium.describe(home, state)
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
