"""Brings a network up and down, and single nodes of it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chain.errors import ChainError, DevnetError
from chain.ports import HOST
from chain.processes import ProcessIdentity
from devnet import geth_node, kubo_node
from devnet.control import Alarm, Wishes
from devnet.geth_node import Validator
from devnet.kubo_node import KuboNode
from devnet.network import Network
from devnet.supervision import Program, Supervisor

PROJECT = Path(__file__).resolve().parents[1]
WATCHER = "watcher"
_POLL = 0.05  # seconds
_NODE_READY = 20.0  # seconds
_FIRST_BLOCK = 60.0  # seconds
_LEVEL = 2.0  # seconds

Say = Callable[[str], None]


def supervisor_of(network: Network) -> Supervisor:
    """Return the network's supervisor, which need not run."""
    return Supervisor(network.root, network.sockets)


def programs(network: Network) -> list[Program]:
    """Return all processes of a network: IPFS nodes, validators, the watcher."""
    found = [
        Program(node.name, kubo_node.command(network.ipfs, node), kubo_node.environment(node))
        for node in network.stations
    ]
    found += [
        Program(node.name, network.command(node.name), geth_node.environment(network.datadir(node.name)))
        for node in network.validators
    ]
    # -P: its own folder doesn't come first on the path, PYTHONPATH does.
    words = [sys.executable, "-P", "-B", "-m", "devnet.watcher", str(network.root)]
    return [*found, Program(WATCHER, words, {"PYTHONPATH": str(PROJECT), "HOME": str(network.root)})]


def up(network: Network, say: Say, remember: Callable[[ProcessIdentity], object] = lambda _: None) -> ProcessIdentity:
    """Start everything, and return the supervisor's process once every node answers and a block came.

    If it fails, or is interrupted, nothing is left running.

    Args:
        network: that is down.
        say: told each step.
        remember: called with the supervisor's process before any node is started: whoever kills this command for good
            can still end what it started.

    Raises:
        DevnetError: a port is taken, a node doesn't start, no block comes.
    """
    supervisor = supervisor_of(network)
    if supervisor.answers():
        raise DevnetError(f"{network.root}: expected no supervisor, got one that nobody remembers; down ends it")
    for name, port in _ports(network):
        _require_free(name, port)
    Wishes().save(network.root)
    network.write_configurations()
    supervisor.configure(programs(network))
    identity = supervisor.start()
    try:
        remember(identity)
        _start_all(network, supervisor, say)
    except BaseException:
        end(network, identity)
        raise
    return identity


def _start_all(network: Network, supervisor: Supervisor, say: Say) -> None:
    started = time.monotonic()
    for station in network.stations:
        supervisor.start_program(station.name)
    # One after the other: each finds the earlier ones listening. Two that dial each other in the same moment may drop
    # both connections, and try again half a minute later.
    for validator in network.validators:
        supervisor.start_program(validator.name)
        await_validator(network, supervisor, validator)
    supervisor.start_program(WATCHER)
    say(f"{len(network.validators)} validators answer after {time.monotonic() - started:.1f} s")
    for station in network.stations:
        await_station(network, supervisor, station)
    if len(network.stations) > 1:
        kubo_node.connect(network.stations)
    if network.stations:
        say(f"{len(network.stations)} IPFS nodes answer and are connected after {time.monotonic() - started:.1f} s")
    await_blocks(network)
    say(f"a new block everywhere after {time.monotonic() - started:.1f} s")


def end(network: Network, identity: ProcessIdentity | None) -> None:
    """End all processes of a network: politely, since the supervisor gives each of its nodes the time to write.

    Raises:
        DevnetError: it doesn't end.
    """
    supervisor = supervisor_of(network)
    if identity is None and supervisor.answers():  # one that was started by a command that was killed at once
        pid = int((network.root / "supervisord.pid").read_text(encoding="ascii"))
        identity = ProcessIdentity.of(pid)
    if supervisor.answers():
        _stop_level(network, supervisor)
        with suppress(DevnetError):  # or else by the signal
            supervisor.stop_all()
    if identity is not None:
        identity.stop(grace=40.0)
    Alarm.file(network.root).unlink(missing_ok=True)
    Wishes().save(network.root)
    shutil.rmtree(network.sockets, ignore_errors=True)


def _stop_level(network: Network, supervisor: Supervisor) -> None:
    """Stop sealing everywhere, and wait a moment until all have the last block: they start faster the next time."""
    with suppress(DevnetError):
        supervisor.stop_program(WATCHER)  # or it would let them seal again
    deadline = time.monotonic() + _LEVEL
    try:
        admins = [network.admin(validator.name, _LEVEL) for validator in network.validators]
        for admin in admins:
            admin.seal(False)
        while len({admin.head()["hash"] for admin in admins}) > 1 and time.monotonic() < deadline:
            time.sleep(_POLL)
    except ChainError:
        return  # one is down already: it will fetch what it lacks


def complete(network: Network, say: Say) -> list[str]:
    """Start what doesn't run of a network that is up, for example after a command that was killed; return the names.

    Raises:
        DevnetError: a node doesn't start, or no block comes.
    """
    supervisor = supervisor_of(network)
    states = supervisor.states()
    missing = [name for name in (*network.names, WATCHER) if not states[name].up]
    if missing:
        _start_all(network, supervisor, say)  # leaves alone what runs
    return missing


def start_node(network: Network, name: str) -> None:
    """Start one node and wait until it answers.

    Raises:
        DevnetError: no such node, or it doesn't start.
    """
    supervisor = supervisor_of(network)
    _require_node(network, name)
    supervisor.start_program(name)
    for validator in network.validators:
        if validator.name == name:
            await_validator(network, supervisor, validator)
    for station in network.stations:
        if station.name == name:
            await_station(network, supervisor, station)


def stop_node(network: Network, name: str) -> None:
    """End one node; it stays down until it is started by name, or all are.

    Raises:
        DevnetError: no such node.
    """
    _require_node(network, name)
    supervisor_of(network).stop_program(name)


def _require_node(network: Network, name: str) -> None:
    if name not in network.names:
        raise DevnetError(f"node: expected one of {', '.join(network.names)}, got {name!r}")


def await_validator(network: Network, supervisor: Supervisor, validator: Validator) -> None:
    """Wait until a validator answers clients, of this chain.

    Raises:
        DevnetError: it doesn't within 20 s.
    """
    _await(network, supervisor, validator.name, lambda: rpc(validator, "eth_chainId") == hex(network.chain_id))


def await_station(network: Network, supervisor: Supervisor, station: KuboNode) -> None:
    """Wait until an IPFS node answers with its own name.

    Raises:
        DevnetError: it doesn't within 20 s.
    """
    _await(network, supervisor, station.name, lambda: kubo_node.is_ready(station, _POLL))


def _await(network: Network, supervisor: Supervisor, name: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _NODE_READY
    while not ready():
        state = supervisor.states()[name]
        if state.state not in ("RUNNING", "STARTING") or time.monotonic() > deadline:
            log = network.root / "logs" / f"{name}.log"
            raise DevnetError(
                f"{name}: expected it to answer within {_NODE_READY:g} s, got none, it is {state.state}; "
                f"the end of {log}:\n{tail(log)}"
            )
        time.sleep(_POLL)


def await_blocks(network: Network, timeout: float = _FIRST_BLOCK) -> None:
    """Wait until every validator has a block that none had before.

    Raises:
        DevnetError: not in time.
    """
    admins = [network.admin(validator.name) for validator in network.validators]
    before = max(admin.height() for admin in admins)
    deadline = time.monotonic() + timeout
    while min(heights := [admin.height() for admin in admins]) <= before:
        if time.monotonic() > deadline:
            raise DevnetError(
                f"blocks: expected one after {before} everywhere within {timeout:g} s, got {heights}; see "
                f"{network.root / 'logs'}"
            )
        time.sleep(_POLL)


def rpc(validator: Validator, method: str, *params: object, timeout: float = 5.0) -> object:
    """Ask a validator what clients can ask, or return None when it doesn't answer."""
    connection = http.client.HTTPConnection(HOST, validator.http, timeout=timeout)  # no proxy, whatever is configured
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer: object = json.loads(connection.getresponse().read()).get("result")
        return answer
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def _ports(network: Network) -> list[tuple[str, int]]:
    found = [(node.name, port) for node in network.validators for port in (node.p2p, node.http, node.authrpc)]
    return found + [(node.name, port) for node in network.stations for port in (node.api_port, node.swarm_port)]


def _require_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Go's listeners do
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DevnetError(
                f"port {port} of {name}: expected it free, got {os.strerror(error.errno or 0)}; end the program that "
                f"has it, or scripts/devnet.py up --fresh, which chooses other ports and forgets this chain"
            ) from error


def tail(log: Path, lines: int = 15) -> str:
    """Return the end of a log."""
    with suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return "(none)"
