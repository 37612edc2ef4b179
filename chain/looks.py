"""Looks: what is decided at one moment is read of one block, and each thing once, whoever in this process asks.

A chain's state at a block never changes, so answers are kept under the block's hash, and dropped when there is another:
after a reorganisation nothing of the block that is gone is believed. Transactions don't use them; they ask the node.

Example::

    with chain.look():
        state, head = ledger.round_of(twin), ledger.head(twin)  # of the same block
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chain.errors import RpcError
from chain.nodes import Nodes
from chain.receipts import hex_bytes
from twins.types import Address

Block = int | str | None
"""A block number, or ``latest``, ``safe``, ``finalized``, ``pending``; None is ``latest``."""


_ATTEMPTS = 3  # to see a block and the one after it; not all nodes have that


@dataclass(frozen=True)
class Read:
    """One call of a contract without recording.

    Attributes:
        to: contract.
        data: calldata.
        block: on whose state.
        sender: ``msg.sender``; the zero address if None.
    """

    to: Address
    data: bytes
    block: Block = None
    sender: Address | None = None

    @property
    def request(self) -> Mapping[str, str]:
        """As JSON-RPC has it."""
        return {"to": self.to, "data": "0x" + self.data.hex()} | ({} if self.sender is None else {"from": self.sender})


@dataclass(frozen=True)
class Look:
    """One moment.

    Attributes:
        number: of the newest block.
        hash: its hash.
        time: its time, Unix seconds; on a development node, where blocks come only with transactions, of the next one.
    """

    number: int
    hash: str
    time: int
    _answers: dict[Hashable, bytes] = field(repr=False, compare=False)


class Looks(Nodes):
    """The nodes of a chain, and what was read from them of the newest block. Threads may share it."""

    def __init__(self, urls: str | Sequence[str], **options: Any) -> None:
        """Connect lazily. As `Nodes`."""
        super().__init__(urls, **options)
        self._of_thread = threading.local()
        self._newest: tuple[str, dict[Hashable, bytes]] = "", {}

    @contextmanager
    def look(self) -> Iterator[Look]:
        """Read everything that this thread reads now as of the newest block; inside another look, of that one's.

        Raises:
            ChainError: as `rpc`.
        """
        outer = self.looking
        if outer is not None:
            yield outer
            return
        self._of_thread.look = look = self._taken()
        try:
            yield look
        finally:
            self._of_thread.look = None

    @property
    def looking(self) -> Look | None:
        """The look in which this thread is."""
        look: Look | None = getattr(self._of_thread, "look", None)
        return look

    def settled_block(self) -> int:
        """Return the newest block that counts as settled: what is irrevocable is decided by its state."""
        look = self.looking
        return super().settled_block() if look is None else max(look.number - self.confirmations, 0)

    def ask(self, reads: Sequence[Read]) -> list[bytes]:
        """Execute calls without recording, in one round trip at most; answers in the same order.

        Raises:
            ContractRevertError: the contract refused the first one that it refused.
        """
        look = self.looking
        if look is None:
            return self._executed([(read.request, block_tag(read.block)) for read in reads])
        keys = [_key(read, look) for read in reads]
        missing = {key: read for key, read in zip(keys, reads, strict=True) if key not in look._answers}
        if missing:
            asked = [(read.request, _at(read.block, look)) for read in missing.values()]
            try:
                look._answers.update(zip(missing, self._executed(asked), strict=True))
            except RpcError:  # another node has taken over, and hasn't come to that block: what it knows, as ever
                return self._executed([(read.request, block_tag(read.block)) for read in reads])
        return [look._answers[key] for key in keys]

    def _executed(self, calls: Sequence[tuple[Mapping[str, str], object]]) -> list[bytes]:
        if len(calls) == 1:
            return [hex_bytes(self.rpc("eth_call", calls[0]))]
        return [hex_bytes(answer) for answer in self.batch([("eth_call", call) for call in calls])]

    def _blocks(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the newest block, and that whose time is now."""
        if self.confirmations:
            block: Mapping[str, Any] = self.rpc("eth_getBlockByNumber", ("latest", False))
            return block, block
        for _ in range(_ATTEMPTS):
            block, pending = self.batch([("eth_getBlockByNumber", (tag, False)) for tag in ("latest", "pending")])
            if pending["parentHash"] == block["hash"]:  # else one came in between
                break
        return block, pending

    def _taken(self) -> Look:
        block, timed = self._blocks()
        number, hash_ = int(block["number"], 16), str(block["hash"])
        with self._lock:
            self._highest = max(self._highest, number)
            if self._newest[0] != hash_:
                self._newest = hash_, {}
            return Look(number, hash_, int(timed["timestamp"], 16), self._newest[1])


def block_tag(block: Block) -> str:
    """Return a block as JSON-RPC names it."""
    if block is None:
        return "latest"
    return block if isinstance(block, str) else hex(block)


def _at(block: Block, look: Look) -> object:
    # By its hash (EIP-1898): a newer block's state must not be kept under this one's name.
    return {"blockHash": look.hash} if _is_newest(block, look) else block_tag(block)


def _key(read: Read, look: Look) -> Hashable:
    # What would be mined now depends on the time as well.
    time = look.time if read.block == "pending" else None
    return read.to, read.data, read.sender, None if _is_newest(read.block, look) else read.block, time


def _is_newest(block: Block, look: Look) -> bool:
    return block in (None, "latest", look.number)
