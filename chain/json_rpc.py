"""JSON-RPC over HTTP: one place where a transport's, a node's and a contract's failures become our errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from web3.exceptions import Web3Exception
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint

from chain.encoding import decode_revert
from chain.errors import ChainError, ChainUnreachableError, RpcError
from chain.receipts import hex_bytes
from chain.transport import provider_of


@dataclass(frozen=True)
class _Node:
    url: str
    provider: JSONBaseProvider

    @classmethod
    def at(cls, url: str, timeout: float) -> _Node:
        shown = _without_secrets(url)
        return cls(shown, provider_of(url, shown, timeout))


class JsonRpc:
    """The JSON-RPC of a chain's nodes. One is in use until it gives no answer; then the next takes its place.

    Threads may share it.

    Attributes:
        urls: of the nodes, in the order of preference; without user and password, so that they may be shown.
        timeout: seconds for one request.
    """

    def __init__(self, urls: str | Sequence[str], *, timeout: float = 30.0) -> None:
        """Connect lazily: the first request opens the connection.

        Args:
            urls: of one or several nodes of the same chain, http or https; text may hold several with commas.
            timeout: seconds for one request.

        Raises:
            ChainError: no http(s) URL, or a timeout that isn't positive.
        """
        if not timeout > 0:
            raise ChainError(f"timeout: expected seconds above 0, got {timeout}")
        given = tuple(url.strip() for url in urls.split(",")) if isinstance(urls, str) else tuple(urls)
        self.timeout = timeout
        self._nodes = tuple(_Node.at(url, timeout) for url in given)
        if not self._nodes:
            raise ChainError("nodes: expected http://host:port at least once, got none")
        self.urls = tuple(node.url for node in self._nodes)
        self._used = 0

    @property
    def url(self) -> str:
        """Of the node in use."""
        return self._nodes[self._used].url

    def __repr__(self) -> str:
        """The nodes' addresses."""
        return f"{type(self).__name__}({', '.join(self.urls)!r})"

    def rpc(self, method: str, params: Sequence[object] = ()) -> Any:
        """Ask the node one thing.

        Raises:
            ChainUnreachableError: no answer.
            ContractRevertError: a contract refused.
            RpcError: the node did.
        """
        return self._result(method, self._post(lambda node: node.make_request(RPCEndpoint(method), list(params))))

    def batch(self, requests_: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Ask the node several things in one round trip; answers in the same order.

        Raises:
            ChainUnreachableError: no answer.
            ContractRevertError: the first one's that a contract refused.
            RpcError: the first one's that the node refused.
        """
        calls = [(RPCEndpoint(method), list(params)) for method, params in requests_]
        answers = self._post(lambda node: node.make_batch_request(calls))
        if not isinstance(answers, list):  # refused as a whole
            return [self._result("batch", answers)]
        if len(answers) != len(calls):
            raise RpcError("batch", 0, f"expected {len(calls)} answers, got {len(answers)}")
        return [self._result(method, answer) for (method, _), answer in zip(requests_, answers, strict=True)]

    def _post(self, request: Callable[[JSONBaseProvider], Any]) -> Any:
        """Ask the node in use, or else the first of the others that answers and is fit to take its place."""
        try:
            return _ask(self._nodes[self._used], request)
        except ChainUnreachableError as error:
            for index in self._others():
                try:
                    self._require_fit(index)
                    answer = _ask(self._nodes[index], request)
                except ChainError:
                    continue
                self._used = index
                return answer
            if len(self._nodes) > 1:
                error.add_note(f"nor from the others: {', '.join(self.urls)}")
            raise

    def _others(self) -> tuple[int, ...]:
        """Return the nodes not in use, the next one first."""
        count = len(self._nodes)
        return tuple((self._used + step) % count for step in range(1, count))

    def _ask_node(self, index: int, method: str, params: Sequence[object] = ()) -> Any:
        """Ask one certain node."""
        answer = _ask(self._nodes[index], lambda node: node.make_request(RPCEndpoint(method), list(params)))
        return self._result(method, answer)

    def _require_fit(self, index: int) -> None:
        """Raise ChainError if a node that answers must not be used all the same."""

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


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _ask(node: _Node, request: Callable[[JSONBaseProvider], Any]) -> Any:
    try:
        try:
            return request(node.provider)
        except (requests.ConnectionError, ConnectionError):
            # A node closes idle connections (Node.js after 5 s), and a request can cross with that. Once
            # more is safe: reads are, and a transaction has one hash however often it is sent.
            return request(node.provider)
    except (requests.RequestException, Web3Exception, ValueError, OSError) as error:
        raise ChainUnreachableError(node.url, _reason(error)) from error


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
