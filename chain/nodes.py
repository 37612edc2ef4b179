"""The nodes of a chain: which one is asked, what if none answers, how deep a block is settled.

Whoever has several nodes' URLs goes on when one dies, and leaves one that stays behind (a partition's smaller side).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from web3.providers import JSONBaseProvider

from chain.errors import ChainError, ChainUnreachableError, InterruptedWaitError
from chain.json_rpc import JsonRpc

CONFIRMATIONS = 3
"""Blocks on top of a settled one, unless the node mines for itself alone (docs/adr/0008): with 5 Clique validators the
deepest reorganisation that was seen undid 2."""

_ALONE = ("hardhat", "anvil", "ganache")  # development nodes: a block per transaction, none without, never undone
_RETRY = 0.5  # seconds between attempts to reach any node


class Nodes(JsonRpc):
    """The nodes through which a program sees one chain. Threads may share it.

    Attributes:
        patience: seconds to wait for nodes that don't answer, and for blocks that don't come.
        stall_after: seconds without a block after which the chain is said to stall.
        notice: told when the chain stalls, goes on, or is asked through another node.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        timeout: float = 30.0,
        patience: float = 0.0,
        confirmations: int | None = None,
        stall_after: float = 10.0,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Connect lazily: the first request opens the connection.

        Args:
            urls: of one or several nodes of the same chain.
            timeout: seconds for one request, and at least for whatever is waited for on the chain.
            patience: seconds to wait for a chain that doesn't answer or doesn't go on; 0 fails at once.
            confirmations: blocks on top of a settled one; None is 0 for development nodes, `CONFIRMATIONS` otherwise.
            stall_after: seconds; ten block periods are plenty.
            notice: for messages.

        Raises:
            ChainError: no http(s) URL, or a number out of its range.
        """
        super().__init__(urls, timeout=timeout)
        if confirmations is not None and confirmations < 0:
            raise ChainError(f"confirmations: expected 0 or more, got {confirmations}")
        if not patience >= 0:
            raise ChainError(f"patience: expected 0 seconds or more, got {patience}")
        self.patience = patience
        self.stall_after = stall_after
        self.notice = notice
        self._confirmations = confirmations
        self._highest = 0
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._told: set[str] = set()  # what is wrong, and was said

    def close(self) -> None:
        """End every wait of other threads with InterruptedWaitError; for Ctrl-C."""
        self._closed.set()

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond `close`.

        Raises:
            InterruptedWaitError: closed.
        """
        if self._closed.wait(seconds):
            raise InterruptedWaitError(f"the wait for {self.url} was interrupted")

    @cached_property
    def chain_id(self) -> int:
        """EIP-155; asked once."""
        return int(self.rpc("eth_chainId"), 16)

    @cached_property
    def confirmations(self) -> int:
        """Blocks on top of a settled one."""
        if self._confirmations is not None:
            return self._confirmations
        client = str(self.rpc("web3_clientVersion")).lower()
        return 0 if client.startswith(_ALONE) else CONFIRMATIONS

    def block_number(self) -> int:
        """Return the newest block's number."""
        number = int(self.rpc("eth_blockNumber"), 16)
        self._highest = max(self._highest, number)
        return number

    def settled_block(self) -> int:
        """Return the newest block that counts as settled: what is irrevocable is decided by its state."""
        return max(self.block_number() - self.confirmations, 0)

    def tell(self, what: str, text: str) -> None:
        """Say that something is wrong; once, however many threads wait for its end."""
        with self._lock:
            if what in self._told:
                return
            self._told.add(what)
        self.notice(text)

    def tell_over(self, what: str, text: str) -> None:
        """Say that it is over, if it was told."""
        with self._lock:
            if what not in self._told:
                return
            self._told.remove(what)
        self.notice(text)

    def _post(self, request: Callable[[JSONBaseProvider], Any]) -> Any:
        used, deadline = self.url, time.monotonic() + self.patience
        while True:
            try:
                answer = super()._post(request)
            except ChainUnreachableError as error:
                if time.monotonic() + _RETRY > deadline:
                    raise
                self.tell("away", f"{error} Waiting up to {self.patience:.0f} s for it to come back")
                self.sleep(_RETRY)
                continue
            self.tell_over("away", f"{self.url} answers")
            if self.url != used:
                self.notice(f"no answer from {used}: going on with {self.url}")
            return answer

    def _require_fit(self, index: int) -> None:
        """Refuse a node of another chain, and one that is still behind what this program has seen and acted on."""
        chain_id = int(self._ask_node(index, "eth_chainId"), 16)
        known = self.__dict__.get("chain_id")
        number = int(self._ask_node(index, "eth_blockNumber"), 16)
        if (known is not None and chain_id != known) or number + CONFIRMATIONS < self._highest:
            raise ChainError(f"{self._nodes[index].url}: chain {chain_id}, block {number}; not fit")

    def use_highest(self) -> bool:
        """Change to the node with the highest chain, if it is higher than that of the node in use."""
        best, highest = self._used, self._highest
        for index in self._others():
            try:
                self._require_fit(index)
                number = int(self._ask_node(index, "eth_blockNumber"), 16)
            except ChainError:
                continue
            if number > highest:
                best, highest = index, number
        if best == self._used:
            return False
        self.notice(f"{self.url} is behind at block {self._highest}: going on with {self._nodes[best].url}, {highest}")
        self._used = best
        return True
