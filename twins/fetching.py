"""One artifact's blocks, brought together from whichever nodes have them good."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from twins.content import CHUNK, blocks_of, children_of, size_from_root
from twins.endpoint import Kind, NodeError
from twins.errors import ArtifactCorruptError, ArtifactNotFoundError, FormatError, NodeUnreachableError
from twins.replication import Deadline
from twins.types import Cid

LARGEST = 1 << 32
"""Bytes of an artifact. A tree of a few blocks can name one leaf a billion times, and would fill the memory."""

SWARM_TIMEOUT = 3.0
"""Seconds that nodes may look among their peers, in all, for blocks that none of them has."""


class BlockSource(Protocol):
    """A node, as far as reading goes."""

    name: str

    def block(self, cid: Cid, deadline: Deadline, *, search: bool = False) -> bytes:
        """Return a block with its bytes checked, or raise NodeError."""


_Node = TypeVar("_Node", bound=BlockSource)

_DEEPEST = 3  # levels of links; enough for LARGEST (174 leaves below one node)


class Fetch(Generic[_Node]):
    """One reading of one artifact: block by block, each from the first node that has it good.

    First every node is asked for what it has itself; what none has, they look for among their peers.
    """

    def __init__(self, nodes: Sequence[_Node], cid: Cid, deadline: Deadline, readers: int) -> None:
        """Take note of what to fetch.

        Args:
            nodes: to ask, in this order.
            cid: of the artifact.
            deadline: of it all.
            readers: blocks to ask for at once.
        """
        self._nodes = tuple(nodes)
        self._cid = cid
        self._deadline = deadline
        self._readers = readers
        self._lock = threading.Lock()
        self._down: dict[int, str] = {}  # nodes that failed: asking again for each block would take a timeout each
        self._lacking: set[int] = set()  # nodes without some block: asked after the others
        self._rotten: dict[int, str] = {}
        self._search: Deadline | None = None
        self._error: Exception | None = None

    def rotten(self) -> list[tuple[_Node, str]]:
        """Return the nodes that gave, or have, bytes of another hash, with the first such block."""
        return [(self._nodes[index], why) for index, why in sorted(self._rotten.items())]

    def run(self) -> bytes:
        """Return the artifact's bytes, each block's hash checked.

        Raises:
            ArtifactNotFoundError: nodes answer, and none has it, or a part of it.
            ArtifactCorruptError: a block is nowhere good, or the CID names something that is no artifact, or one
                larger than `LARGEST`.
            NodeUnreachableError: no node answers.
        """
        root = self._block(self._cid)
        try:
            size = size_from_root(self._cid, root)
            if size > LARGEST:
                # Never the store's fault, or a station's huge artifact would look like an outage and not be accused.
                raise ArtifactCorruptError(
                    self._cid, f"{size} bytes in all", f"an artifact has at most {LARGEST}; correct the CID"
                )
            level = [(self._cid, root)]
            for _ in range(_DEEPEST + 1):
                children = [children_of(cid, block) for cid, block in level]
                if all(found is None for found in children):
                    return b"".join(block for _, block in level)
                below = [cid for found in children for cid in found or ()]
                if None in children or len(below) > -(-size // CHUNK):
                    raise FormatError("expected leaves of 1 MiB, all at one depth, got another tree")
                with ThreadPoolExecutor(max_workers=self._readers) as pool:
                    level = list(zip(below, pool.map(self._block, below), strict=True))
            raise FormatError(f"expected at most {_DEEPEST} levels of links, got more")
        except FormatError as error:
            raise ArtifactCorruptError(self._cid, f"what is no artifact ({error})", "correct the CID") from error

    def _block(self, cid: Cid) -> bytes:
        if self._error is not None:  # another thread's block is nowhere: this one is of no use any more
            raise self._error
        reasons: dict[int, NodeError] = {}
        for search in (False, True):
            for index in self._order():
                deadline = self._deadline if not search else self._search_share(index)
                try:
                    block = self._nodes[index].block(cid, deadline, search=search)
                except NodeError as failure:
                    self._note(index, failure, search)
                    if not search or failure.answered:
                        reasons[index] = failure
                    continue
                if search:
                    with self._lock:
                        self._search = None  # one was found: the clock starts anew for the next
                return block
        error = self._error_of(cid, reasons)
        self._error = error
        raise error

    def _order(self) -> list[int]:
        with self._lock:
            alive = [index for index in range(len(self._nodes)) if index not in self._down]
            return sorted(alive, key=lambda index: index in self._lacking)

    def _search_share(self, index: int) -> Deadline:
        """Return until when a node may search: those that come after it need their part of the time."""
        order = self._order()
        with self._lock:
            if self._search is None:
                self._search = Deadline.after(self._deadline.left(SWARM_TIMEOUT))
            after = len(order) - order.index(index) if index in order else 1
            return Deadline.after(self._search.left() / after)

    def _note(self, index: int, failure: NodeError, search: bool) -> None:
        with self._lock:
            if failure.kind is Kind.ROTTEN:
                self._rotten.setdefault(index, str(failure))
            elif failure.kind is Kind.ABSENT:
                self._lacking.add(index)
            elif not search:  # a search that finds nothing ends as a timeout
                self._down.setdefault(index, str(failure))

    def _error_of(self, cid: Cid, reasons: dict[int, NodeError]) -> Exception:
        told = self._down | {index: str(failure) for index, failure in reasons.items()}
        by_name = {self._nodes[index].name: told[index] for index in sorted(told)}
        kinds = {failure.kind for failure in reasons.values()}
        listed = "; ".join(f"{name}: {reason}" for name, reason in by_name.items())
        if Kind.ROTTEN in kinds:
            return ArtifactCorruptError(
                self._cid,
                f"no good block {cid} ({listed})",
                "put the artifact again, or run `ipfs repo verify --heal` on a node whose peers have it",
            )
        if Kind.ABSENT in kinds:
            return ArtifactNotFoundError(
                self._cid,
                f"expected block {cid} on a node, got none ({listed}), nor had their peers; "
                "start the nodes that hold it, or put it again",
                unheard=bool(self._down),
            )
        return NodeUnreachableError(f"fetch {self._cid}", by_name)


def bad_blocks(node: BlockSource, data: bytes, deadline: Deadline, readers: int) -> list[Cid]:
    """Return the blocks of an artifact that a node itself lacks, or holds with other bytes.

    Raises:
        NodeError: it doesn't answer.
    """

    def is_bad(block: tuple[Cid, bytes]) -> bool:
        try:
            return node.block(block[0], deadline) != block[1]
        except NodeError as failure:
            if failure.answered:
                return True
            raise

    blocks = dict(blocks_of(data))
    with ThreadPoolExecutor(max_workers=readers) as pool:
        return [cid for cid, bad in zip(blocks, pool.map(is_bad, blocks.items()), strict=True) if bad]
