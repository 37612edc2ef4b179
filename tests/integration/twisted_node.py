"""A proxy before a real node that misbehaves in one way: what networks and other nodes do, and Hardhat doesn't."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

Forward = Callable[[dict[str, Any]], dict[str, Any]]
Twist = Callable[[dict[str, Any], Forward], dict[str, Any] | bytes | None]
"""From a request, and what forwards it, to an answer; bytes are sent as they are; None cuts the connection."""


def result(request: dict[str, Any], value: object) -> dict[str, Any]:
    """An answer."""
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


def refusal(request: dict[str, Any], code: int, message: str) -> dict[str, Any]:
    """A node's error."""
    return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}}


@contextmanager
def twisted_node(url: str, twist: Twist) -> Iterator[str]:
    """Serve a node at another URL with a twist."""

    def forward(request: dict[str, Any]) -> dict[str, Any]:
        with requests.Session() as session:
            session.trust_env = False
            answer: dict[str, Any] = session.post(url, json=request, timeout=30).json()
            return answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answers = [twist(request, forward) for request in (body if isinstance(body, list) else [body])]
            if None in answers:
                self.close_connection = True
                return
            raw = next((answer for answer in answers if isinstance(answer, bytes)), None)
            data = raw if raw is not None else json.dumps(answers if isinstance(body, list) else answers[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
