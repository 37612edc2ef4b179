"""What there is to say of a running network, node by node."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chain.errors import ChainError, DevnetError
from devnet import kubo_node
from devnet.geth_node import Validator
from devnet.kubo_node import KuboNode
from devnet.network import Network
from devnet.operation import WATCHER, supervisor_of
from devnet.supervision import State

_ANSWER = 2.0  # seconds that a node has


@dataclass(frozen=True)
class NodeReport:
    """One node.

    Attributes:
        name: of the node.
        kind: ``geth``, ``ipfs`` or ``watcher``.
        url: where clients reach it.
        state: RUNNING when it answers, SILENT when there is a process that doesn't; otherwise supervisord's word.
        pid: of its process, 0 when there is none.
        memory: resident, bytes.
        peers: how many nodes it is connected to.
        height: number of a validator's head block.
        head_age: seconds since that block's time.
        signs: whether the chain lets this validator seal.
        repo_size: bytes in an IPFS node's repository.
    """

    name: str
    kind: str
    url: str
    state: str
    pid: int
    memory: int
    peers: int | None = None
    height: int | None = None
    head_age: int | None = None
    signs: bool | None = None
    repo_size: int | None = None


def report(network: Network) -> list[NodeReport]:
    """Look at every node, at all of them at the same time.

    Raises:
        DevnetError: the supervisor doesn't answer.
    """
    states = supervisor_of(network).states()
    nodes: list[Validator | KuboNode] = [*network.validators, *network.stations]
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        found = list(pool.map(lambda node: _look(network, node, states.get(node.name)), nodes))
    watcher = states.get(WATCHER, State(WATCHER, "UNKNOWN", 0, 0))
    state = "RUNNING" if watcher.up else watcher.state
    return [*found, NodeReport(WATCHER, "watcher", "", state, watcher.pid, memory(watcher.pid))]


def _look(network: Network, node: Validator | KuboNode, state: State | None) -> NodeReport:
    state = state or State(node.name, "UNKNOWN", 0, 0)
    if isinstance(node, KuboNode):
        kind, url = "ipfs", node.api_url
    else:
        kind, url = "geth", node.url
    basic = (node.name, kind, url)
    if not state.up:
        return NodeReport(*basic, state.state, 0, 0)
    process = (state.pid, memory(state.pid))
    with suppress(ChainError):
        if isinstance(node, KuboNode):
            if kubo_node.is_ready(node, _ANSWER):
                said = kubo_node.status(node)
                return NodeReport(*basic, "RUNNING", *process, peers=said.peers, repo_size=said.repo_size)
        else:
            admin = network.admin(node.name, _ANSWER)
            head = admin.head()
            return NodeReport(
                *basic,
                "RUNNING",  # it answers; the supervisor says STARTING for two seconds
                *process,
                peers=len(admin.peers()),
                height=head["number"],
                head_age=max(0, int(time.time()) - head["timestamp"]),
                signs=node.address.lower() in admin.signers(),
            )
    return NodeReport(*basic, "SILENT", *process)


def memory(pid: int) -> int:
    """Return what a process has in memory (resident), in bytes; 0 when there is no such process."""
    if pid <= 0:
        return 0
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0
    try:  # no /proc there
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise DevnetError(f"memory of process {pid}: expected /proc or ps, got {error}") from error
    return int(said.stdout.strip() or 0) * 1024
