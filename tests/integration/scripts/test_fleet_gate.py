"""Who gets to a SuperLink: registered nodes with a fresh signature, through one door, over a valid certificate."""

from __future__ import annotations

import base64
import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.proto.fleet_pb2 import ActivateNodeRequest, ActivateNodeResponse, PullMessagesRequest
from flwr.proto.node_pb2 import Node
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chain.ports import free_ports
from scripts.certificates import Authority
from scripts.children import Children, Program
from scripts.cli import BadInputError
from scripts.federation_files import DevicePlace, StationPlace
from scripts.federation_processes import FederationProcesses, Station
from scripts.flower import connect, register
from scripts.node_files import make_node_key, public_key_of
from twins.types import address_of_bytes

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Link:
    """A SuperLink behind its gate, with one registered node."""

    folder: Path
    authority: Authority
    place: StationPlace
    node: Path

    @property
    def client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.authority.files.certificate))
        return httpx.Client(base_url=f"https://{self.place.outside}", verify=context, timeout=30.0)

    def signed(self, key: Path, at: datetime | None = None) -> dict[str, str]:
        """What a SuperNode says of itself in each request."""
        private = load_ssh_private_key(key.read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        stamp = (at or datetime.now(UTC)).isoformat()
        return {
            "content-type": "application/protobuf",
            "flwr-public-key": base64.b64encode(public_key_of(key).encode()).decode(),
            "flwr-timestamp": stamp,
            "flwr-signature": base64.b64encode(private.sign(stamp.encode(), ec.ECDSA(SHA256()))).decode(),
        }

    def activate(self, key: Path, headers: dict[str, str] | None = None) -> httpx.Response:
        request = ActivateNodeRequest(public_key=public_key_of(key).encode(), heartbeat_interval=30)
        with self.client as client:
            content, headers = request.SerializeToString(), headers or self.signed(key)
            return client.post("/v1/fleet/activate-node", content=content, headers=headers)


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    folder = tmp_path_factory.mktemp("link")
    authority = Authority.of(folder)
    ports = free_ports(2)
    place = StationPlace(folder / "station-1", *ports)
    authority.issue(place.certificate, place.hosts)
    connect(place.flower, place.address, authority.files.certificate)
    make_node_key(node := folder / "node.key")
    children = Children(folder / "test.pid", lambda text: None)
    try:
        children.add(place.superlink(authority))
        children.add(patient(place.gate(authority), 1.0))
        found = Link(folder, authority, place, node)
        wait_for(found)
        register(place.flower, [public_key_of(node)])
        yield found
    finally:
        children.stop()


def patient(gate: Program, seconds: float) -> Program:
    """The same gate, with so long for a question that has no answer yet."""
    return replace(gate, command=[*gate.command, "--hold", str(seconds)])


def wait_for(link: Link) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(httpx.TransportError), link.client as client:
            if client.post("/v1/fleet/pull-messages").status_code != 503:
                return
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def node(link: Link) -> int:
    """The registered node, connected."""
    answer = link.activate(link.node)
    assert answer.status_code == 200, answer.text
    return int(ActivateNodeResponse.FromString(answer.content).node_id)


def test_a_registered_node_is_let_in_and_a_copy_of_its_key_is_not_beside_it(link: Link, node: int) -> None:
    assert node
    answer = link.activate(link.node)
    assert answer.status_code >= 400, "two with one key"
    assert b"activat" in answer.content.lower()


def test_a_node_that_is_not_registered_is_refused(link: Link, tmp_path: Path) -> None:
    make_node_key(other := tmp_path / "other.key")
    answer = link.activate(other)
    assert answer.status_code >= 400
    assert b"activat" in answer.content.lower()


def test_signatures_cannot_be_replayed_later_nor_for_another_node(link: Link, node: int, tmp_path: Path) -> None:
    recorded = link.signed(link.node, datetime.now(UTC) - timedelta(minutes=6))
    assert link.activate(link.node, recorded).status_code == 401
    make_node_key(other := tmp_path / "other.key")
    assert link.activate(link.node, link.signed(other)).status_code == 401
    request = PullMessagesRequest(node=Node(node_id=node)).SerializeToString()
    with link.client as client:
        assert (
            client.post("/v1/fleet/pull-messages", content=request, headers=link.signed(link.node)).status_code == 200
        )
        assert client.post("/v1/fleet/pull-messages", content=request, headers=link.signed(other)).status_code == 401
        forged = {**link.signed(link.node), "flwr-signature": link.signed(other)["flwr-signature"]}
        assert client.post("/v1/fleet/pull-messages", content=request, headers=forged).status_code == 401
        unsigned = {"content-type": "application/protobuf"}
        assert client.post("/v1/fleet/pull-messages", content=request, headers=unsigned).status_code == 401


def test_a_supernode_without_a_key_is_refused(link: Link) -> None:
    (port,) = free_ports(1)
    device = DevicePlace(link.folder / "device-0000", 0, link.node, port)
    started = device.supernode(link.place.outside, link.authority.files.certificate, "tiny", link.folder, None)
    words = list(started.command)
    at = words.index("--auth-supernode-private-key")
    log = link.folder / "supernode.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*words[:at], *words[at + 2 :]],
            env=dict(started.environment),
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while "Failed to initialize the connection" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        assert "SuperNode ID" not in log.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/control/start-run"),
        ("POST", "/v1/control/register-node"),
        ("POST", "/v1/runtime/acquire-task"),
        ("POST", "/v1/fleet/../control/start-run"),
        ("POST", "/v1/fleet/%2e%2e/control/start-run"),
        ("POST", "/v1/fleet/pull-messages?x=1"),
        ("GET", "/v1/fleet/pull-messages"),
        ("GET", "/health"),
        ("GET", "/docs"),
    ],
)
def test_nothing_but_the_devices_own_requests_comes_through_the_gate(link: Link, method: str, path: str) -> None:
    with link.client as client:
        asked = client.build_request(method, "/")
        asked.url = asked.url.copy_with(raw_path=path.encode())  # as written: httpx would tidy it up
        assert client.send(asked).status_code == 404


def test_the_superlink_itself_serves_its_machine_only(link: Link) -> None:
    context = ssl.create_default_context(cafile=str(link.authority.files.certificate))
    answer = httpx.post(f"https://{link.place.address}/v1/control/start-run", verify=context)
    assert answer.status_code != 404, "the gate is what keeps this from others"
    assert "--host 127.0.0.1" in " ".join(link.place.superlink(link.authority).command)


def test_an_expired_certificate_is_refused_by_both_sides(link: Link, tmp_path: Path) -> None:
    (door,) = free_ports(1)
    place = replace(link.place, folder=tmp_path / "station-2", door=door)
    link.authority.issue(place.certificate, place.hosts, now=datetime.now(UTC) - timedelta(days=100))
    station = Station(address_of_bytes(bytes(20)), place, [])
    processes = FederationProcesses(
        tmp_path, link.authority, [station], until=1, dataset="tiny", receipts=tmp_path, notice=print, warm=False
    )
    with pytest.raises(BadInputError, match="renew it with"), processes:
        pytest.fail("it started")
    children = Children(tmp_path / "test.pid", lambda text: None)
    try:
        children.add(place.gate(link.authority))
        deadline, why = time.monotonic() + 60, ""
        while "expired" not in why:
            assert time.monotonic() < deadline, why
            try:
                replace(link, place=place).activate(link.node)
            except httpx.ConnectError as error:
                why = str(error)
            time.sleep(0.1)
    finally:
        children.stop()


@dataclass
class Silent:
    """A SuperLink's place, taken by a server that has a message for whoever has asked often enough."""

    after: int
    asked: int = 0

    async def answer(self, request: Request) -> Response:
        assert await request.body() == b"who I am"
        assert request.headers["flwr-signature"] == "mine"
        self.asked += 1
        return Response(b"a message" if self.asked > self.after else b"", media_type="application/protobuf")


@contextmanager
def held(link: Link, server: Silent, folder: Path, hold: float) -> Iterator[httpx.Client]:
    """A gate before it."""
    port, door = free_ports(2)
    place = replace(link.place, folder=folder / "silent", port=port, door=door)
    link.authority.issue(place.certificate, place.hosts)
    routes = [Route("/v1/fleet/pull-messages", server.answer, methods=["POST"])]
    files = {"ssl_certfile": str(place.certificate.certificate), "ssl_keyfile": str(place.certificate.key)}
    config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="error", **files)  # type: ignore[arg-type]
    running, children = uvicorn.Server(config), Children(folder / "test.pid", lambda text: None)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    try:
        children.add(patient(place.gate(link.authority), hold))
        waiting = replace(link, place=place)
        deadline = time.monotonic() + 60
        while True:
            with suppress(httpx.TransportError), waiting.client as client:
                if client.get("/").status_code == 404:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with waiting.client as client:
            yield client
    finally:
        children.stop()
        running.should_exit = True
        thread.join(10)


def ask(client: httpx.Client, seconds: float = 30.0) -> httpx.Response:
    headers = {"flwr-signature": "mine", "content-type": "application/protobuf"}
    return client.post("/v1/fleet/pull-messages", content=b"who I am", headers=headers, timeout=seconds)


def test_a_question_for_messages_waits_until_there_is_one(link: Link, tmp_path: Path) -> None:
    server = Silent(after=3)
    with held(link, server, tmp_path, hold=20.0) as client:
        answer = ask(client)
    assert (answer.status_code, answer.content, server.asked) == (200, b"a message", 4)


def test_a_question_without_an_answer_is_told_so_and_one_whose_node_is_gone_is_asked_no_more(
    link: Link, tmp_path: Path
) -> None:
    server = Silent(after=1000)
    with held(link, server, tmp_path, hold=2.0) as client:
        answer = ask(client)
        assert (answer.status_code, answer.content) == (200, b"")
        assert server.asked > 2
        server.asked = 0
        with pytest.raises(httpx.ReadTimeout):
            ask(client, seconds=0.3)
        time.sleep(0.5)  # what is on its way comes
        before = server.asked
        time.sleep(1.0)
        assert server.asked == before, "a message for a node that is gone would be lost"
