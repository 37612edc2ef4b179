"""Kubo nodes in memory, behind the part of ipfshttpclient's interface that the store uses, with its errors."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ipfshttpclient import exceptions as client_errors

from twins.content import blocks_of, cid_of
from twins.types import Cid

REFUSED_CONNECTION = client_errors.ConnectionError(OSError("[Errno 111] Connection refused"))


@dataclass
class FakeNode:
    """A node's blocks and pins, what it was asked, and how it fails."""

    blocks: dict[str, bytes] = field(default_factory=dict)
    pins: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    fail: Callable[[str], None] = lambda _: None
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, what: str, timeout: float) -> None:
        assert timeout > 0
        self.asked.append(what)
        self.fail(what)


class FakeClient:
    """The part of ipfshttpclient's interface that the store uses."""

    nodes: dict[str, FakeNode]

    def __init__(self, address: str, base: str, *, headers: dict[str, str], chunk_size: int) -> None:
        self.node = self.nodes[address]
        self.node.headers = headers
        self.block = self._client = self
        self.pin = _Pins(self)
        self._session_props: dict[str, object] = {}

    @contextmanager
    def get(self, cid: str, *, offline: bool, stream: bool, timeout: float) -> Iterator[Iterator[bytes]]:
        self.node.request("get" if offline else "search", timeout)
        if cid not in self.node.blocks:
            if not offline:
                raise client_errors.TimeoutError(None, "timed out")
            raise client_errors.ErrorResponse(f"block was not found locally (offline): could not find {cid}", None)
        yield iter([self.node.blocks[cid][:100], self.node.blocks[cid][100:]])

    def stat(self, cid: str, *, offline: bool, timeout: float) -> dict[str, object]:
        self.node.request("stat", timeout)
        if cid not in self.node.blocks:
            raise client_errors.ErrorResponse("block was not found locally (offline)", None)
        return {"Key": cid}

    def ls(self, cid: str, *, type: str, offline: bool, timeout: float) -> dict[str, object]:
        self.node.request("ls", timeout)
        if cid not in self.node.pins:
            raise client_errors.ErrorResponse(f"path '{cid}' is not pinned", None)
        return {"Keys": {cid: {"Type": type}}}

    def add(self, file: Any, *words: str, timeout: float, **options: Any) -> dict[str, str]:
        if words or isinstance(file, str):
            raise AssertionError("add of several files, or of a path")
        self.node.request("add", timeout)
        assert options == {
            "pin": True, "offline": True, "cid_version": 1, "raw_leaves": True,
            "chunker": "size-1048576", "opts": {"max-file-links": "174"},
        }  # fmt: skip
        data = file.read()
        for cid, block in blocks_of(data):
            self.node.blocks.setdefault(cid, block)  # as Kubo: what exists isn't written again
        self.node.pins.add(cid_of(data))
        return {"Hash": cid_of(data)}

    def pin_add(self, cid: str, *, offline: bool, timeout: float) -> None:
        self.node.request("pin", timeout)
        self.node.pins.add(cid)

    def rm(self, cid: str, *, offline: bool, timeout: float) -> None:
        self.node.request("unpin", timeout)
        if cid not in self.node.pins:
            raise client_errors.ErrorResponse("not pinned or pinned indirectly", None)
        self.node.pins.remove(cid)

    def request(self, path: str, words: tuple[str], *, decoder: str, timeout: float) -> list[dict[str, str]]:
        assert (path, decoder) == ("/block/rm", "json")
        self.node.request("rm", timeout)
        if self.node.pins:
            return [{"Hash": words[0], "Error": f"pinned via {next(iter(self.node.pins))}"}]
        self.node.blocks.pop(words[0], None)
        return [{"Hash": words[0]}]


class _Pins:
    """``client.pin``: its ``add`` isn't the client's."""

    def __init__(self, client: FakeClient) -> None:
        self.ls, self.rm, self.add = client.ls, client.rm, client.pin_add


def failing(error: Exception, *, times: int = 10**9, what: str = "") -> Callable[[str], None]:
    """A node's way to fail: so often, and only at this request."""
    left = [times]

    def fail(asked: str) -> None:
        if (not what or asked == what) and left[0] > 0:
            left[0] -= 1
            raise error

    return fail


def status_error(status: int, text: str = "no") -> client_errors.StatusError:
    original = Exception(text)
    original.response = type("Response", (), {"status_code": status})()  # type: ignore[attr-defined]
    return client_errors.StatusError(original)


def block_cid(block: bytes) -> Cid:
    """The CID of any bytes as a dag-pb block."""
    raw = bytes([1, 0x70, 0x12, 0x20]) + hashlib.sha256(block).digest()
    return Cid("b" + base64.b32encode(raw).decode().rstrip("=").lower())
