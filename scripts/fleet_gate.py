"""The only door to a station's SuperLink from outside: lets devices' own requests through, and nothing else.

Examples:
    scripts/fleet_gate.py --host 0.0.0.0 --port 9092 --superlink 127.0.0.1:9091 --certificate superlink.pem \
        --key superlink.key --authority ca.pem

A SuperLink of Flower 1.41 serves everybody on one port: devices (Fleet API), its own apps (Runtime API) and whoever
starts runs and registers nodes (Control API), who needs no key for it. Whoever reached that port could run code of his
own on the station and on all its devices. So the SuperLink listens on this machine only, and this gate, with the
SuperLink's certificate, forwards POST requests to /v1/fleet/… and answers all others with 404. Nodes still authenticate
to the SuperLink itself: their signatures are in headers, which pass unchanged.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
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
_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}  # RFC 9110, section 7.6.1


def gate(superlink: str, authority: Path) -> Starlette:
    """Return the gate of a SuperLink, as an ASGI application.

    Args:
        superlink: ``HOST:PORT`` of it.
        authority: certificate of whoever signed its certificate.
    """

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


@command(__doc__)
def main(
    superlink: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the SuperLink listens.")],
    certificate: Annotated[Path, typer.Option(help="Of the SuperLink's host, PEM.", dir_okay=False, exists=True)],
    key: Annotated[Path, typer.Option(help="Of the certificate, PEM.", dir_okay=False, exists=True)],
    authority: Annotated[Path, typer.Option(help="Certificate of the authority.", dir_okay=False, exists=True)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port to listen on.", min=1, max=65535)] = 9092,
) -> None:
    """Let devices through (see --help)."""
    uvicorn.run(
        gate(superlink, authority),
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
