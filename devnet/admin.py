"""The administrators' side of a validator: JSON-RPC over its Unix socket, which only this user can open.

Clients get a validator's HTTP port, with ``eth``, ``net`` and ``web3``. What can change the network (``admin``,
``clique``, ``debug``, ``miner``) is here only.
"""

from __future__ import annotations

import itertools
import json
import socket
from pathlib import Path
from typing import Any

from chain.errors import ChainUnreachableError, RpcError

_TIMEOUT = 5.0  # seconds


class Admin:
    """One validator's socket. Each call is a connection of its own, so threads may share it.

    Attributes:
        socket: path of the Unix socket.
        timeout: seconds for one call.
    """

    def __init__(self, socket: Path, timeout: float = _TIMEOUT) -> None:
        """Connect lazily."""
        self.socket = socket
        self.timeout = timeout
        self._ids = itertools.count(1)

    def call(self, method: str, *params: object) -> Any:
        """Ask one thing.

        Raises:
            ChainUnreachableError: nobody there.
            RpcError: the validator refused.
        """
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self.timeout)
                connection.connect(str(self.socket))
                connection.sendall(json.dumps(request).encode())
                with connection.makefile("rb") as stream:
                    answer = json.loads(stream.readline())  # geth ends each answer with a line break
        except (OSError, ValueError) as error:
            raise ChainUnreachableError(f"ipc://{self.socket}", str(error)) from error
        if "error" in answer:
            raise RpcError(method, int(answer["error"]["code"]), str(answer["error"]["message"]))
        return answer["result"]

    def height(self) -> int:
        """Return the number of the head block."""
        return int(self.call("eth_blockNumber"), 16)

    def head(self) -> dict[str, Any]:
        """Return the head block, its numbers as integers: ``number``, ``hash``, ``timestamp``, ``totalDifficulty``."""
        return self.block("latest")

    def block(self, which: str | int) -> dict[str, Any]:
        """Return a block by number or tag, as `head`.

        Raises:
            RpcError: there is none.
        """
        block = self.call("eth_getBlockByNumber", which if isinstance(which, str) else hex(which), False)
        if block is None:
            raise RpcError("eth_getBlockByNumber", 0, f"expected block {which}, got none")
        numbers = {key: int(block[key], 16) for key in ("number", "timestamp", "totalDifficulty", "difficulty")}
        return {**block, **numbers}

    def peers(self) -> set[str]:
        """Return the connected peers' public keys, as they stand in enode URLs (128 hex digits)."""
        return {key_of(peer["enode"]) for peer in self.call("admin_peers")}

    def signers(self) -> tuple[str, ...]:
        """Return the addresses that may seal now, lower case, ascending."""
        return tuple(sorted(self.call("clique_getSigners", "latest")))

    def link(self, enode: str) -> None:
        """Connect to a peer and keep connected; it may connect too."""
        self.call("admin_addTrustedPeer", enode)
        self.call("admin_addPeer", enode)

    def unlink(self, enode: str) -> None:
        """Disconnect from a peer, and refuse it."""
        self.call("admin_removeTrustedPeer", enode)
        self.call("admin_removePeer", enode)

    def seal(self, wanted: bool) -> None:
        """Start or stop sealing blocks."""
        if bool(self.call("eth_mining")) != wanted:
            self.call("miner_start" if wanted else "miner_stop")


def key_of(enode: str) -> str:
    """Return the public key in an enode URL."""
    return enode.removeprefix("enode://").partition("@")[0]
