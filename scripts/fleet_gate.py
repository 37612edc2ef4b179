"""The only door to a station's SuperLink from outside: lets devices' own requests through, and nothing else.

Examples:
    scripts/fleet_gate.py --host 0.0.0.0 --port 9092 --superlink 127.0.0.1:9091 --certificate superlink.pem \
        --key superlink.key --authority ca.pem

A SuperLink of Flower 1.41 serves everybody on one port: devices (Fleet API), its own apps (Runtime API) and whoever
starts runs and registers nodes (Control API), who needs no key for it. Whoever reached that port could run code of his
own on the station and on all its devices. So the SuperLink listens on this machine only, and this gate, with the
SuperLink's certificate, forwards POST requests to /v1/fleet/… and answers all others with 404. Nodes still authenticate
to the SuperLink itself: their signatures are in headers, which pass unchanged.

A SuperNode that asks for messages and gets none sleeps 3 s, for which it has no setting. Here its question waits until
there is one: the gate asks the SuperLink again, less often the more nodes wait, for as long as the node is there.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated

import httpx
import typer
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from scripts.cli import command, run

_FLEET = re.compile(rb"/v1/fleet/[a-z][a-z-]*")
_PULL = b"/v1/fleet/pull-messages"
_QUESTION = 2**16  # bytes of that at most: the node's number, and what it may run
_HOLD = 15.0  # seconds that a question waits; a SuperNode gives up after 30
_AGAIN = 0.25  # seconds until the SuperLink is asked again
_RATE = 20.0  # questions a second for all nodes together, as long as none waits longer than without this
_SLEEP = 3.0  # a SuperNode's own, which this is never longer than

_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}  # RFC 9110, section 7.6.1


def gate(superlink: str, authority: Path, hold: float = _HOLD) -> Starlette:
    """Return the gate of a SuperLink, as an ASGI application.

    Args:
        superlink: ``HOST:PORT`` of it.
        authority: certificate of whoever signed its certificate.
        hold: seconds that a node's question for messages may wait for one.
    """
    waiting: set[Request] = set()

    @asynccontextmanager
    async def connected(app: Starlette) -> AsyncIterator[None]:
        context = ssl.create_default_context(cafile=str(authority))
        # No time limit: a large model on a thin line takes its time, and Flower has limits of its own.
        async with httpx.AsyncClient(base_url=f"https://{superlink}", verify=context, timeout=None) as client:
            app.state.client = client
            yield

    async def forward(request: Request) -> Response:
        # As it was sent: what is decoded first may mean another path to who decodes it again.
        path: bytes = request.scope["raw_path"]
        if request.method != "POST" or not _FLEET.fullmatch(path) or request.url.query:
            return PlainTextResponse("not found", 404)
        client: httpx.AsyncClient = request.app.state.client
        headers = [(name, value) for name, value in request.headers.items() if name not in _HOP]
        if path == _PULL:
            return await _held(request, client, headers, waiting, monotonic() + hold)
        asked = client.build_request("POST", path.decode(), headers=headers, content=request.stream())
        try:
            answer = await client.send(asked, stream=True)
        except httpx.TransportError:
            return PlainTextResponse("the SuperLink doesn't answer", 503)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for part in answer.aiter_raw():
                    yield part
            finally:
                await answer.aclose()

        back = {name: value for name, value in answer.headers.items() if name not in _HOP}
        return StreamingResponse(body(), answer.status_code, back)

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(routes=[Route("/{path:path}", forward, methods=methods)], lifespan=connected)


async def _held(
    request: Request, client: httpx.AsyncClient, headers: list[tuple[str, str]], waiting: set[Request], until: float
) -> Response:
    """Answer a node's question for messages when there is one, or when it has waited long enough."""
    question = b""
    async for part in request.stream():
        question += part
        if len(question) > _QUESTION:
            return PlainTextResponse("too large", 413)
    waiting.add(request)
    try:
        while True:
            answer = await client.post(_PULL.decode(), headers=headers, content=question)
            pause = min(max(_AGAIN, len(waiting) / _RATE), _SLEEP)
            # No message is an empty one in Protocol Buffers: no bytes.
            if answer.status_code != 200 or answer.content or monotonic() + pause > until:
                break
            await asyncio.sleep(pause)
            # Else a message would be handed to a node that is gone, and nobody would ever answer it.
            if await request.is_disconnected():
                return PlainTextResponse("gone", 499)
    except httpx.TransportError:
        return PlainTextResponse("the SuperLink doesn't answer", 503)
    finally:
        waiting.discard(request)
    back = {
        name: value
        for name, value in answer.headers.items()
        if name not in {*_HOP, "content-encoding", "content-length"}
    }
    return Response(answer.content, answer.status_code, back)


@command(__doc__)
def main(
    superlink: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the SuperLink listens.")],
    certificate: Annotated[Path, typer.Option(help="Of the SuperLink's host, PEM.", dir_okay=False, exists=True)],
    key: Annotated[Path, typer.Option(help="Of the certificate, PEM.", dir_okay=False, exists=True)],
    authority: Annotated[Path, typer.Option(help="Certificate of the authority.", dir_okay=False, exists=True)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port to listen on.", min=1, max=65535)] = 9092,
    hold: Annotated[
        float, typer.Option(help="Seconds that a node's question for messages may wait for one.", min=0, max=25)
    ] = _HOLD,
) -> None:
    """Let devices through (see --help)."""
    uvicorn.run(
        gate(superlink, authority, hold),
        host=host,
        port=port,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    run(main)
