"""A contract's events, kept as they come: a look at the chain asks only for those of the blocks since the last one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from chain.connection import Chain
from chain.errors import RpcError
from chain.event_classes import Event
from chain.events import decode_events
from chain.looks import Look
from chain.receipts import Log, parse_logs, position
from twins.types import Address

_DEPTH = 5  # times the confirmations: what lies deeper than that is kept, and the rest asked for each time
_MOST = 5_000  # blocks asked for at once; more go page by page
_PASSED = 8  # blocks that a look may be behind another thread's before all is asked again


@dataclass
class _Entry:
    log: Log
    event: Event | None = None  # decoded when somebody wants it


class EventLog:
    """The logs of one filter from one block on. Threads may share it."""

    def __init__(self, chain: Chain, address: Address, topics: Sequence[object], from_block: int) -> None:
        """Ask for nothing yet.

        Args:
            chain: where.
            address: of the contract.
            topics: filter, as `Chain.logs`.
            from_block: first block.
        """
        self._chain, self._address, self._topics, self._from = chain, address, topics, from_block
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._look: str | None = None  # hash of the block up to which everything is here
        self._kept_to, self._kept_hash = self._from - 1, ""  # the block up to which nothing is asked for again
        self._passed: deque[str] = deque(maxlen=_PASSED)  # hashes of blocks that this one came after
        self._kept: dict[bytes, list[_Entry]] = {}  # by what happened: a long history needn't be gone through
        self._fresh: list[_Entry] = []

    def events(self, look: Look, topics: Sequence[object], kinds: Sequence[type[Event]], to_block: int) -> list[Event]:
        """Return events in the order of the chain.

        Args:
            look: the one in which this thread is.
            topics: filter, narrower than the log's own; the first says which events.
            kinds: of the events that it lets through.
            to_block: last block, inclusive; not beyond the look's.

        Raises:
            EncodingError: a log that claims to be one of ours and isn't.
            ChainError: as `Chain.logs`.
        """
        first, *others = (_alternatives(topic) for topic in topics)
        wanted = [first, *others]
        with self._lock:
            self._renew(look)
            several = [entry for kind in first or () for entry in self._kept.get(kind, ())] + self._fresh
            found = [entry for entry in several if entry.log.block <= to_block and _fits(entry.log, wanted)]
            undecoded = [entry for entry in found if entry.event is None]
            for entry, event in zip(undecoded, decode_events([e.log for e in undecoded], kinds), strict=True):
                entry.event = event
        found.sort(key=lambda entry: position(entry.log))
        return [entry.event for entry in found if entry.event is not None]

    def _renew(self, look: Look) -> None:
        if look.hash == self._look or look.hash in self._passed:  # or a thread's look that is a moment older
            return
        self._look = None
        new = self._new(look) if self._from <= self._kept_to <= look.number <= self._kept_to + _MOST else None
        if new is None:  # the first time, after a reorganisation deeper than any, or on a network that was reset
            self._reset()
            new = self._chain.logs(self._address, self._topics, self._from, look.number)
        known = {entry.log: entry for entry in self._fresh}
        self._fresh = [known.get(log) or _Entry(log) for log in new]
        self._keep(look)
        self._look = look.hash

    def _new(self, look: Look) -> list[Log] | None:
        """Ask for what is new; None if what is kept isn't of this chain, or the node wants to be asked otherwise."""
        query = {
            "address": self._address,
            "topics": list(self._topics),
            "fromBlock": hex(self._kept_to + 1),
            "toBlock": hex(look.number),
        }
        try:
            block, found = self._chain.batch(
                [("eth_getBlockByNumber", (hex(self._kept_to), False)), ("eth_getLogs", (query,))]
            )
        except RpcError:
            return None
        if block is None or block["hash"] != self._kept_hash:
            return None
        return parse_logs(found)

    def _keep(self, look: Look) -> None:
        """Put aside what no reorganisation takes back, now and then: it costs a request where blocks come by time."""
        depth = _DEPTH * self._chain.confirmations
        to = look.number - depth
        if to - self._kept_to <= depth:
            return
        hash_ = look.hash if to == look.number else self._chain.block_hash(to)
        if hash_ is None:
            return
        if self._kept_hash:
            self._passed.append(self._kept_hash)
        for entry in self._fresh:
            if entry.log.block <= to:
                self._kept.setdefault(entry.log.topics[0], []).append(entry)
        self._fresh = [entry for entry in self._fresh if entry.log.block > to]
        self._kept_to, self._kept_hash = to, hash_


def _alternatives(topic: object) -> frozenset[bytes] | None:
    if topic is None:
        return None
    texts = topic if isinstance(topic, list) else [topic]
    return frozenset(bytes.fromhex(str(text)[2:]) for text in texts)


def _fits(log: Log, wanted: Sequence[frozenset[bytes] | None]) -> bool:
    return len(log.topics) >= len(wanted) and all(
        some is None or topic in some for topic, some in zip(log.topics, wanted, strict=False)
    )
