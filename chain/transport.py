"""HTTP to a node on this machine, which answers in less time than `requests` needs to ask.

That looks for proxies, cookies, redirects and certificates every time: a millisecond of processor time each, three
times what the bare exchange takes. Whoever is further away is asked through it.
"""

from __future__ import annotations

import weakref
from collections import deque
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from web3 import HTTPProvider
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint

from chain.errors import ChainError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HEADERS = {"Content-Type": "application/json"}


class LocalProvider(JSONBaseProvider):
    """JSON-RPC over connections that stay open, as many as threads ask at once."""

    def __init__(self, url: str, timeout: float) -> None:
        """Connect lazily.

        Args:
            url: http, of this machine, without user and password.
            timeout: seconds to connect, and between two parts of an answer.
        """
        super().__init__()
        parts = urlsplit(url)
        self._host, self._port, self._timeout = parts.hostname or "", parts.port, timeout
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._idle: deque[HTTPConnection] = deque()
        weakref.finalize(self, _close, self._idle)

    def make_request(self, method: RPCEndpoint, params: Any) -> Any:
        """Ask one thing.

        Raises:
            OSError, ValueError: no answer, or none that is JSON.
        """
        return self.decode_rpc_response(self._post(self.encode_rpc_request(method, params)))

    def make_batch_request(self, calls: list[tuple[RPCEndpoint, Any]]) -> Any:
        """Ask several things; answers in the same order, or one error for all.

        Raises:
            OSError, ValueError: as `make_request`.
        """
        answers: Any = self.decode_rpc_response(self._post(self.encode_batch_rpc_request(calls)))
        try:
            return sorted(answers, key=lambda answer: answer["id"]) if isinstance(answers, list) else answers
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected answers that say to which question, got {answers!r:.100}") from error

    def _post(self, body: bytes) -> bytes:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("POST", self._path, body, _HEADERS)
            response = connection.getresponse()
            answer = response.read()
        except BaseException as error:  # an interrupt as well: half an answer must not be taken for the next one's
            connection.close()
            _close(self._idle)  # a node that has ended one has ended others, and whoever asks again needs a new one
            if isinstance(error, HTTPException) and not isinstance(error, OSError):
                raise OSError(f"{type(error).__name__}: {error}") from error
            raise
        if response.status != 200:
            connection.close()
            raise OSError(f"expected an answer of HTTP, got status {response.status} {response.reason}")
        self._idle.append(connection)
        return answer


def _close(idle: deque[HTTPConnection]) -> None:
    while True:
        try:
            idle.pop().close()
        except IndexError:
            return


def provider_of(url: str, shown: str, timeout: float) -> JSONBaseProvider:
    """Return what asks the node at an address.

    Args:
        url: http or https.
        shown: the same for people.
        timeout: seconds for one request.

    Raises:
        ChainError: no such address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ChainError(f"not a node's address: expected http://host:port, got {shown!r}")
    options: dict[str, Any] = {"timeout": timeout}
    if parts.hostname in _LOOPBACK:  # a proxy from the environment must not see the local node's traffic
        if parts.scheme == "http" and parts.username is None:
            return LocalProvider(url, timeout)
        options["proxies"] = {"http": None, "https": None}
    return HTTPProvider(url, request_kwargs=options, exception_retry_configuration=None)
