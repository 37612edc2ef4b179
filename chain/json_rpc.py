"""JSON-RPC over HTTP: one place where a transport's, a node's and a contract's failures become our errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from chain.encoding import decode_revert
from chain.errors import ChainError, ChainUnreachableError, RpcError
from chain.receipts import hex_bytes

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class JsonRpc:
    """One node's JSON-RPC. Threads may share it.

    Attributes:
        url: of the node.
        timeout: seconds for one request, and for a transaction to be mined.
    """

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        """Connect lazily: the first request opens the connection.

        Raises:
            ChainError: no http(s) URL, or a timeout that isn't positive.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ChainError(f"not a node's address: expected http://host:port, got {url!r}")
        if not timeout > 0:
            raise ChainError(f"timeout: expected seconds above 0, got {timeout}")
        self.url = url
        self.timeout = timeout
        options: dict[str, Any] = {"timeout": timeout}
        if parts.hostname in _LOOPBACK:  # a proxy from the environment must not see the local node's traffic
            options["proxies"] = {"http": None, "https": None}
        self._provider = HTTPProvider(url, request_kwargs=options, exception_retry_configuration=None)

    def __repr__(self) -> str:
        """The node's address."""
        return f"{type(self).__name__}({self.url!r})"

    def rpc(self, method: str, params: Sequence[object] = ()) -> Any:
        """Ask the node one thing.

        Raises:
            ChainUnreachableError: no answer.
            ContractRevertError: a contract refused.
            RpcError: the node did.
        """
        return self._result(method, self._post(lambda: self._provider.make_request(RPCEndpoint(method), list(params))))

    def batch(self, requests_: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Ask the node several things in one round trip; answers in the same order.

        Raises:
            ChainUnreachableError: no answer.
            ContractRevertError: the first one's that a contract refused.
            RpcError: the first one's that the node refused.
        """
        calls = [(RPCEndpoint(method), list(params)) for method, params in requests_]
        answers = self._post(lambda: self._provider.make_batch_request(calls))
        if not isinstance(answers, list):  # refused as a whole
            return [self._result("batch", answers)]
        if len(answers) != len(calls):
            raise RpcError("batch", 0, f"expected {len(calls)} answers, got {len(answers)}")
        return [self._result(method, answer) for (method, _), answer in zip(requests_, answers, strict=True)]

    def _post(self, request: Callable[[], Any]) -> Any:
        try:
            try:
                return request()
            except requests.ConnectionError:
                # A node closes idle connections (Node.js after 5 s), and a request can cross with that. Once
                # more is safe: reads are, and a transaction has one hash however often it is sent.
                return request()
        except (requests.RequestException, Web3Exception, ValueError, OSError) as error:
            raise ChainUnreachableError(self.url, _reason(error)) from error

    def _result(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, Mapping):  # something speaks JSON there, but not JSON-RPC
            raise RpcError(method, 0, f"expected a JSON-RPC answer, got {answer!r:.100}")
        error = answer.get("error")
        if error is None and "result" in answer:
            return answer["result"]
        if not isinstance(error, Mapping):
            raise RpcError(method, 0, str(error if error is not None else answer))
        _raise_revert(error)
        raise RpcError(method, int(error.get("code", 0)), str(error.get("message", error)))


def _reason(error: Exception) -> str:
    """Return the innermost cause in one line: the transport wraps it several times."""
    while error.__context__ is not None and isinstance(error.__context__, Exception):
        error = error.__context__
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]


def _raise_revert(error: Mapping[str, Any]) -> None:
    """Raise the typed exception if a node's error is a revert; each node has its own place for the data."""
    data = error.get("data")
    if isinstance(data, Mapping):
        data = data.get("data", data.get("result"))
    reverted = error.get("code") == 3 or "revert" in str(error.get("message", "")).lower()
    if reverted and (data is None or isinstance(data, str)):
        raise decode_revert(hex_bytes(data) if data and data.startswith("0x") else b"")
