"""One Kubo node of the private swarm: its repository, its configuration, its command line, and what it says of itself.

Nothing here starts a daemon. A node talks to the peers that its configuration names and to nobody else: a swarm key
(without one the daemon refuses to start), no bootstrap, no DHT, no discovery, loopback only. Its RPC takes nothing
without a bearer token, since whoever can reach it can unpin and collect every artifact.

Sources: Kubo 0.42 docs/config.md and docs/environment-variables.md; libp2p specification pnet/Private-Networks-PSK-V1.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from chain.errors import DevnetError
from chain.ports import HOST
from devnet.kubo_settings import settings
from devnet.validator_keys import write_secret

_SWARM_KEY_HEADER = "/key/swarm/psk/1.0.0/\n/base16/\n"
_SWARM_KEY_BYTES = 32
_TOKEN_BYTES = 32
_QUERY_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class KuboNode:
    """A Kubo node.

    Attributes:
        name: of the node; also of its token in Kubo's configuration.
        repo: its folder (IPFS_PATH).
        api_port: TCP, of its RPC.
        swarm_port: TCP, for its peers.
        peer_id: its libp2p identity.
        token_file: file with the token that its RPC demands, for this user's eyes only (mode 0600).
    """

    name: str
    repo: Path
    api_port: int
    swarm_port: int
    peer_id: str
    token_file: Path

    @property
    def api_url(self) -> str:
        """Where its RPC is."""
        return f"http://{HOST}:{self.api_port}"

    @property
    def multiaddr(self) -> str:
        """Where its peers find it."""
        return f"/ip4/{HOST}/tcp/{self.swarm_port}/p2p/{self.peer_id}"

    def token(self) -> str:
        """Read the token of its RPC.

        Raises:
            DevnetError: the file can't be read.
        """
        try:
            return self.token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise DevnetError(f"IPFS node {self.name}: expected its token in {self.token_file}, got {error}") from error


@dataclass(frozen=True)
class KuboStatus:
    """What a running node says of itself.

    Attributes:
        version: of Kubo.
        peers: how many it is connected to.
        repo_size: bytes on disk.
        objects: number of blocks.
    """

    version: str
    peers: int
    repo_size: int
    objects: int


def swarm_key() -> str:
    """Return the text of a new swarm key file. A swarm's nodes share it; whoever has it can read every artifact."""
    return f"{_SWARM_KEY_HEADER}{secrets.token_hex(_SWARM_KEY_BYTES)}\n"


def init_node(
    ipfs: Path, name: str, repo: Path, api_port: int, swarm_port: int, swarm_key: str, token_file: Path
) -> KuboNode:
    """Make a node's repository and its token.

    Args:
        ipfs: Kubo's program.
        name: of the node.
        repo: folder that isn't there yet, or is empty.
        api_port: TCP.
        swarm_port: TCP.
        swarm_key: of `swarm_key`.
        token_file: file that isn't there yet.

    Raises:
        DevnetError: Kubo refuses, a file is in the way, or no permission.
    """
    token = secrets.token_hex(_TOKEN_BYTES)
    try:
        repo.mkdir(parents=True, exist_ok=True, mode=0o700)
        words = [str(ipfs), "init", "--empty-repo"]
        done = subprocess.run(words, env=_environment(repo), capture_output=True, text=True, check=False)
        if done.returncode:
            raise DevnetError(
                f"ipfs init in {repo}: expected exit code 0, got {done.returncode}:\n{done.stderr[-2000:].strip()}"
            )
        write_secret(repo / "swarm.key", swarm_key)
        token_file.parent.mkdir(parents=True, exist_ok=True)
        write_secret(token_file, token)
        config = _read_config(repo)
        _merge(config, settings(name, api_port, swarm_port, token))
        _write_config(repo, config)
    except OSError as error:
        raise DevnetError(f"IPFS node {name}: expected to make its repository in {repo}, got {error}") from error
    return KuboNode(name, repo, api_port, swarm_port, str(config["Identity"]["PeerID"]), token_file)


def set_peers(node: KuboNode, peers: Sequence[KuboNode]) -> None:
    """Name a node's peers in its configuration: it stays connected to these. It reads this when it starts.

    Law: twice is once; the node itself may be among ``peers`` and is left out.

    Raises:
        DevnetError: the configuration can't be read or written.
    """
    wanted = [
        {"ID": peer.peer_id, "Addrs": [f"/ip4/{HOST}/tcp/{peer.swarm_port}"]}
        for peer in peers
        if peer.peer_id != node.peer_id
    ]
    try:
        config = _read_config(node.repo)
        config["Peering"] = {"Peers": wanted}
        _write_config(node.repo, config)
    except OSError as error:
        raise DevnetError(f"IPFS node {node.name}: expected to write its configuration, got {error}") from error


def command(ipfs: Path, node: KuboNode) -> list[str]:
    """Return the words that start a node's daemon; everything else is in its repository and in `environment`."""
    # Never the token: any user of the machine can read the words of a process.
    return [str(ipfs), "daemon", "--repo-dir", str(node.repo), "--migrate=false", "--enable-gc=false"]


def environment(node: KuboNode) -> dict[str, str]:
    """Return a daemon's whole environment: Kubo's libraries read dozens of variables, and the user's aren't ours."""
    return _environment(node.repo)


def is_ready(node: KuboNode, timeout: float) -> bool:
    """Tell whether this very node answers its RPC within ``timeout`` seconds (its token taken, its peer id given)."""
    try:
        return bool(_ask(node, "id", timeout=timeout)["ID"] == node.peer_id)
    except (DevnetError, KeyError):
        return False


def connect(nodes: Sequence[KuboNode]) -> None:
    """Connect every running node with every other at once; by themselves they take about 11 seconds.

    Raises:
        DevnetError: a node doesn't answer, or can't reach another.
    """
    for i, node in enumerate(nodes):
        for peer in nodes[i + 1 :]:
            _ask(node, "swarm/connect", arg=peer.multiaddr)


def status(node: KuboNode) -> KuboStatus:
    """Ask a running node how it is.

    Raises:
        DevnetError: it doesn't answer, or not as Kubo does.
    """
    version, peers, repo = _ask(node, "version"), _ask(node, "swarm/peers"), _ask(node, "repo/stat")
    try:
        # "Peers" is null, not an empty list, when there are none.
        return KuboStatus(version["Version"], len(peers["Peers"] or ()), int(repo["RepoSize"]), int(repo["NumObjects"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DevnetError(f"IPFS node {node.name}: expected Kubo's status, got an answer without {error}") from error


def _ask(node: KuboNode, what: str, *, timeout: float = _QUERY_TIMEOUT, **parameters: str) -> Mapping[str, Any]:
    """Call a node's RPC. http.client knows no proxies: a token must not travel through one, nor loopback traffic."""
    connection = http.client.HTTPConnection(HOST, node.api_port, timeout=timeout)
    try:
        path = f"/api/v0/{what}?{urlencode(parameters)}"
        connection.request("POST", path, headers={"Authorization": f"Bearer {node.token()}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise DevnetError(
                f"IPFS node {node.name}: expected {what} to succeed at {node.api_url}, got status {answer.status}: "
                f"{body[:500].decode(errors='replace').strip()}"
            )
        found = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DevnetError(
            f"IPFS node {node.name}: expected an answer at {node.api_url}, got {type(error).__name__}: {error}"
        ) from error
    finally:
        connection.close()
    if not isinstance(found, dict):
        raise DevnetError(f"IPFS node {node.name}: expected a JSON object of {what}, got {body[:100]!r}")
    return found


def _environment(repo: Path) -> dict[str, str]:
    return {
        "HOME": str(repo),
        "IPFS_PATH": str(repo),
        "PATH": "/usr/bin:/bin",
        # Stops a lost swarm key from turning a private node into a public one.
        "LIBP2P_FORCE_PNET": "1",
        "IPFS_TELEMETRY": "off",
    }


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and value and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _read_config(repo: Path) -> dict[str, Any]:
    try:
        found = json.loads((repo / "config").read_text(encoding="utf-8"))
    except ValueError as error:
        raise DevnetError(f"{repo / 'config'}: expected Kubo's configuration (JSON), got {error}") from error
    if not isinstance(found, dict):
        raise DevnetError(f"{repo / 'config'}: expected Kubo's configuration (a JSON object), got another value")
    return found


def _write_config(repo: Path, config: Mapping[str, Any]) -> None:
    """Replace the configuration at once: half of one would keep the daemon from starting. mkstemp makes it 0600."""
    handle, name = tempfile.mkstemp(dir=repo, prefix="config-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(config, file, indent=2, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, repo / "config")
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
