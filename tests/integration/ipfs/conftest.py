"""A private swarm of real Kubo daemons on this machine, started as the network's supervisor starts them."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chain.hardhat_node import _die_with_parent
from chain.ports import free_ports
from devnet import kubo_node
from devnet.kubo_node import KuboNode
from scripts.devnet_consortium import binaries
from twins.ipfs import KuboEndpoint, KuboStore
from twins.types import Cid


@pytest.fixture(scope="session")
def ipfs_binary() -> Path:
    """Kubo: from the path, or built once into the user's cache."""
    return binaries(print).ipfs


@dataclass
class Daemon:
    """A node, and its process while it runs."""

    ipfs: Path
    node: KuboNode
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> KuboEndpoint:
        return KuboEndpoint(self.node.api_url, self.node.token())

    @property
    def store(self) -> KuboStore:
        """What this node alone can do: it isn't to look anywhere else."""
        return KuboStore([self.endpoint], replicas=1, timeout=5, budget=10)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                kubo_node.command(self.ipfs, self.node),
                env=kubo_node.environment(self.node),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent(),  # a killed test run leaves no daemon behind
            )

    def wait(self, seconds: float = 20.0) -> None:
        assert self.process is not None
        deadline = time.monotonic() + seconds
        while not kubo_node.is_ready(self.node, 1.0):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def configure(self, change: Callable[[dict[str, dict[str, object]]], None]) -> None:
        file = self.node.repo / "config"
        settings = json.loads(file.read_text())
        change(settings)
        file.write_text(json.dumps(settings))

    def block_file(self, cid: Cid) -> Path:
        """Where flatfs keeps a block: named by the multihash in base32."""
        raw = base64.b32decode(cid[1:].upper() + "=" * (-(len(cid) - 1) % 8))
        name = base64.b32encode(raw[2:]).decode().rstrip("=")
        (found,) = (self.node.repo / "blocks").rglob(f"{name}.data")
        return found

    def flip_bit(self, cid: Cid, at: int = 5) -> None:
        file = self.block_file(cid)
        content = bytearray(file.read_bytes())
        content[at] ^= 1
        file.chmod(0o600)  # flatfs makes them read-only
        file.write_bytes(content)

    def ask(self, what: str, **parameters: str) -> dict[str, object]:
        return dict(kubo_node._ask(self.node, what, **parameters))

    def forget(self, cid: Cid) -> None:
        """Unpin an artifact and collect the garbage, as an administrator in need of space would."""
        self.ask("pin/rm", arg=cid)
        words = [str(self.ipfs), "repo", "gc", "--quiet"]
        words += ["--api-auth", f"bearer:{self.node.token()}", "--api", f"/ip4/127.0.0.1/tcp/{self.node.api_port}"]
        subprocess.run(words, env=kubo_node.environment(self.node), check=True, capture_output=True)


@dataclass
class Swarm:
    """Several daemons that share a swarm key."""

    ipfs: Path
    folder: Path
    key: str = field(default_factory=kubo_node.swarm_key)
    daemons: list[Daemon] = field(default_factory=list)

    def __getitem__(self, index: int) -> Daemon:
        return self.daemons[index]

    def add(self, *, repo: Path | None = None, key: str | None = None) -> Daemon:
        """Make one more node, not started yet."""
        name = f"ipfs-{len(self.daemons) + 1}"
        place = repo or self.folder / name
        tokens = self.folder / "tokens" / name
        node = kubo_node.init_node(self.ipfs, name, place, *free_ports(2), key or self.key, tokens)
        daemon = Daemon(self.ipfs, node, self.folder / f"{name}.log")
        self.daemons.append(daemon)
        return daemon

    def up(self) -> None:
        nodes = [daemon.node for daemon in self.daemons]
        for daemon in self.daemons:
            kubo_node.set_peers(daemon.node, nodes)
            daemon.start()
        for daemon in self.daemons:
            daemon.wait()
        kubo_node.connect(nodes)

    def store(
        self, *order: int, replicas: int = 2, budget: float = 20.0, timeout: float = 5.0, told: list[str] | None = None
    ) -> KuboStore:
        """A store on these nodes, in this order; on all of them if none is named."""
        endpoints = [self.daemons[index].endpoint for index in order or range(len(self.daemons))]
        notice = None if told is None else told.append
        return KuboStore(endpoints, replicas=replicas, budget=budget, timeout=timeout, notice=notice)

    def end(self) -> None:
        for daemon in self.daemons:
            daemon.kill()


@pytest.fixture
def new_swarm(ipfs_binary: Path, tmp_path: Path) -> Iterator[Swarm]:
    """A swarm without nodes."""
    swarm = Swarm(ipfs_binary, tmp_path)
    yield swarm
    swarm.end()


@pytest.fixture
def swarm(new_swarm: Swarm) -> Swarm:
    """Three nodes, connected."""
    for _ in range(3):
        new_swarm.add()
    new_swarm.up()
    return new_swarm


@pytest.fixture(scope="module")
def lasting_swarm(ipfs_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """Three nodes for tests that break nothing."""
    swarm = Swarm(ipfs_binary, tmp_path_factory.mktemp("swarm"))
    for _ in range(3):
        swarm.add()
    swarm.up()
    yield swarm
    swarm.end()
