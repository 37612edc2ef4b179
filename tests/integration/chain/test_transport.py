"""Plain connections to a node of this machine: kept, as many as threads need, and made anew when the node ends them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chain.connection import Chain
from chain.errors import ChainUnreachableError

pytestmark = pytest.mark.integration


@dataclass
class Node:
    """A node of HTTP that always gives block 7."""

    url: str = ""
    status: int = 200
    connections: int = 0
    closes: bool = False
    """Ends a connection after an answer, without having said so: as Node.js does with one that is idle."""
    crowd: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    """So many have to ask at the same time."""


@pytest.fixture
def node() -> Iterator[Node]:
    served = Node()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            served.connections += 1
            super().setup()

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.crowd.wait(20)
            asked = request if isinstance(request, list) else [request]
            answers = [{"jsonrpc": "2.0", "id": one["id"], "result": "0x7"} for one in reversed(asked)]
            data = json.dumps(answers if isinstance(request, list) else answers[0]).encode()
            self.send_response(served.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = served.closes

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_connection_serves_one_request_after_another(node: Node) -> None:
    chain = Chain(node.url)
    assert {chain.block_number() for _ in range(5)} == {7}
    assert chain.batch((("eth_blockNumber", ()), ("eth_chainId", ()))) == ["0x7", "0x7"]
    assert node.connections == 1


def test_threads_that_ask_at_once_have_a_connection_each_and_leave_it_to_others(node: Node) -> None:
    chain, node.crowd = Chain(node.url), threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert list(pool.map(lambda _: chain.block_number(), range(4))) == [7] * 4
    assert node.connections == 4


def test_connections_that_the_node_has_ended_are_made_anew(node: Node) -> None:
    chain, node.crowd, node.closes = Chain(node.url), threading.Barrier(3), True
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: chain.block_number(), range(3)))  # three that are of no use any more
    node.crowd = threading.Barrier(1)
    assert [chain.block_number() for _ in range(3)] == [7] * 3


def test_an_answer_that_http_calls_a_failure_is_none(node: Node) -> None:
    node.status = 503
    with pytest.raises(ChainUnreachableError, match="status 503"):
        Chain(node.url).block_number()
    node.status = 200
    assert Chain(node.url).block_number() == 7


def test_a_proxy_of_the_environment_never_sees_the_local_nodes_traffic(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert Chain(node.url).block_number() == 7
