"""Nobody but the consortium reaches the nodes: tokens, the swarm key, loopback."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import pytest

from chain.errors import DevnetError
from devnet import kubo_node
from tests.integration.ipfs.conftest import Daemon, Swarm
from twins.errors import ArtifactNotFoundError, NodeUnreachableError, ReplicationError
from twins.ipfs import KuboEndpoint, KuboStore

pytestmark = pytest.mark.integration

DATA = os.urandom(1000)


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_its_token_a_node_does_nothing_and_the_error_says_why(lasting_swarm: Swarm, token: str | None) -> None:
    cid = lasting_swarm.store().put(DATA)
    stranger = KuboStore([KuboEndpoint(lasting_swarm[0].node.api_url, token)], replicas=1)

    started = time.monotonic()
    with pytest.raises(NodeUnreachableError, match="expected it to take our token, got status 403"):
        stranger.get(cid)
    with pytest.raises(ReplicationError, match="expected it to take our token, got status 403"):
        stranger.put(DATA)
    with pytest.raises(NodeUnreachableError, match="status 403"):
        stranger.has(cid)

    assert time.monotonic() - started < 5  # a refusal isn't tried again until the budget is over


def test_a_node_with_a_wrong_token_is_replaced_by_the_next(lasting_swarm: Swarm) -> None:
    good = [daemon.endpoint for daemon in lasting_swarm.daemons]
    store = KuboStore([KuboEndpoint(good[0].url, "wrong"), *good[1:]], replicas=2)

    cid = store.put(os.urandom(100))

    assert store.replicas_of(cid) == 2
    assert len(store.get(cid)) == 100


def test_a_node_with_another_swarm_key_gets_nothing(swarm: Swarm) -> None:
    stranger = swarm.add(key=kubo_node.swarm_key())
    kubo_node.set_peers(stranger.node, [daemon.node for daemon in swarm.daemons])
    stranger.start()
    stranger.wait()
    cid = swarm.store(0, 1, 2).put(DATA)

    with pytest.raises(DevnetError, match="swarm/connect"):
        kubo_node.connect([stranger.node, swarm[0].node])
    with pytest.raises(ArtifactNotFoundError):
        stranger.store.get(cid)
    assert kubo_node.status(stranger.node).peers == 0


def test_a_node_without_a_swarm_key_does_not_start(swarm: Swarm) -> None:
    public = swarm.add()
    (public.node.repo / "swarm.key").unlink()

    public.start()

    assert public.process is not None
    assert public.process.wait(timeout=20) != 0
    assert "private network was not configured" in public.log.read_text().lower()


def test_nothing_listens_or_talks_beyond_loopback(lasting_swarm: Swarm) -> None:
    lasting_swarm.store(replicas=3).put(os.urandom(3_000_000))

    for daemon in lasting_swarm.daemons:
        sockets = list(_sockets(daemon))
        assert {port for local, port, state in sockets if state == "0A"} == {
            daemon.node.api_port,
            daemon.node.swarm_port,
        }
        assert {address for address, _, _ in sockets} == {"127.0.0.1"}


def _sockets(daemon: Daemon) -> list[tuple[str, int, str]]:
    """Local address, port and state of a process's TCP and UDP sockets (proc(5), /proc/net/tcp)."""
    assert daemon.process is not None
    process = Path(f"/proc/{daemon.process.pid}")
    own = set()
    for entry in (process / "fd").iterdir():
        try:
            own.add(os.readlink(entry))
        except FileNotFoundError:  # closed meanwhile
            continue
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in (process / "net" / kind).read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in own:
                address, port = fields[1].split(":")
                plain = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if len(address) == 8 else address
                found.append((plain, int(port, 16), fields[3]))
    return found


def test_secrets_are_for_this_user_alone_and_on_no_command_line(lasting_swarm: Swarm) -> None:
    for daemon in lasting_swarm.daemons:
        node, process = daemon.node, daemon.process
        assert process is not None
        token = node.token()
        for file in (node.token_file, node.repo / "config", node.repo / "swarm.key"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert token.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert token not in daemon.log.read_text()
        assert set(kubo_node.environment(node)) == {"HOME", "IPFS_PATH", "PATH", "LIBP2P_FORCE_PNET", "IPFS_TELEMETRY"}


def test_peers_are_set_again_without_harm_and_a_restarted_swarm_finds_itself(swarm: Swarm) -> None:
    nodes = [daemon.node for daemon in swarm.daemons]
    before = (swarm[0].node.repo / "config").read_bytes()

    kubo_node.set_peers(nodes[0], nodes)

    assert (swarm[0].node.repo / "config").read_bytes() == before
    swarm.end()
    swarm.up()
    assert [kubo_node.status(node).peers for node in nodes] == [2, 2, 2]


def test_status_counts_what_is_stored(lasting_swarm: Swarm) -> None:
    before = kubo_node.status(lasting_swarm[0].node)

    lasting_swarm[0].store.put(os.urandom(3 << 20))

    after = kubo_node.status(lasting_swarm[0].node)
    assert after.version == "0.42.0"
    assert 4 <= after.objects - before.objects <= 5  # 3 leaves, 1 root; Kubo makes an empty folder for itself
    assert after.repo_size - before.repo_size >= 3 << 20


def test_a_dead_node_is_not_ready_and_its_status_an_error(swarm: Swarm) -> None:
    node = swarm[0].node
    assert kubo_node.is_ready(node, 1.0)
    swarm[0].kill()

    assert not kubo_node.is_ready(node, 1.0)
    with pytest.raises(DevnetError, match=r"expected an answer at http://127\.0\.0\.1:\d+, got ConnectionRefusedError"):
        kubo_node.status(node)


def test_another_node_on_the_same_port_is_not_ready(lasting_swarm: Swarm) -> None:
    other = kubo_node.KuboNode(
        "x",
        lasting_swarm[0].node.repo,
        lasting_swarm[1].node.api_port,
        1,
        "12D3KooWx",
        lasting_swarm[1].node.token_file,
    )

    assert not kubo_node.is_ready(other, 1.0)


def test_a_repository_is_never_made_over_another(lasting_swarm: Swarm, tmp_path: Path) -> None:
    node = lasting_swarm[0].node
    with pytest.raises(DevnetError, match="expected exit code 0"):
        kubo_node.init_node(lasting_swarm.ipfs, "again", node.repo, 1, 2, lasting_swarm.key, tmp_path / "token")
