"""A holder's copies on its own Kubo node: read from that node alone, and never from its peers."""

from __future__ import annotations

from collections.abc import Callable

from twins.content import CHUNK, children_of, size_from_root
from twins.endpoint import Kind, KuboEndpoint, NodeError
from twins.errors import ArtifactCorruptError, ArtifactNotFoundError, FormatError, NodeUnreachableError, TwinsError
from twins.holding import Holding, Reader
from twins.ipfs import KuboStore
from twins.kubo_rpc import Node
from twins.replication import Deadline
from twins.types import Cid

_BUDGET = 120.0  # seconds for one artifact


class KuboHolding(Holding):
    """Copies on one node."""

    def __init__(self, endpoint: KuboEndpoint, *, timeout: float = 30.0) -> None:
        """Name the node; nothing is asked yet. ``timeout``: seconds that it may be silent."""
        self._store = KuboStore([endpoint], replicas=1, timeout=timeout)
        self._node = Node(endpoint, timeout)

    def keep(self, cid: Cid, fetch: Callable[[], bytes]) -> None:
        """Pin the artifact on the node, and replace what has rotted there."""
        try:
            if self._node.is_pinned(cid, Deadline.after(_BUDGET)):
                reader = _KuboReader(self._node, cid)
                for offset in range(0, reader.length, CHUNK):
                    reader.read(offset, CHUNK)
                return
        except (NodeError, TwinsError):
            pass  # not here, or not whole: it is put there again
        self._store.put(fetch())

    def open(self, cid: Cid) -> Reader:
        """Open the node's copy; each block that is read is held against its own CID."""
        return _KuboReader(self._node, cid)


class _KuboReader:
    """An artifact on a node, its leaves fetched when they are read; the newest stays in memory."""

    def __init__(self, node: Node, cid: Cid) -> None:
        self._node, self._cid = node, cid
        root = self._block(cid)
        try:
            self.length = size_from_root(cid, root)
            self._leaves = self._below([(cid, root)])
        except FormatError as error:
            raise ArtifactCorruptError(cid, f"what is no artifact ({error})", "correct the CID") from error
        self._newest: tuple[int, bytes] = (-1, b"")

    def _below(self, level: list[tuple[Cid, bytes]]) -> list[Cid]:
        """Return the leaves of a tree whose leaves are all at one depth, as `twins.content` makes them."""
        children = [children_of(cid, block) for cid, block in level]
        if all(found is None for found in children):
            return [cid for cid, _ in level]
        below = [cid for found in children for cid in found or ()]
        if None in children or len(below) > -(-self.length // CHUNK):
            raise FormatError("expected leaves of 1 MiB, all at one depth, got another tree")
        first = self._block(below[0])
        if children_of(below[0], first) is None:
            return below  # the leaves themselves, which are fetched when they are read
        return self._below([(below[0], first), *((cid, self._block(cid)) for cid in below[1:])])

    def read(self, offset: int, size: int) -> bytes:
        """Return a part of it."""
        parts = []
        end = min(offset + size, self.length)
        while offset < end:
            leaf, within = divmod(offset, CHUNK)
            part = self._leaf(leaf)[within : within + end - offset]
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _leaf(self, index: int) -> bytes:
        if self._newest[0] != index:
            self._newest = (index, self._block(self._leaves[index]))
        return self._newest[1]

    def _block(self, cid: Cid) -> bytes:
        try:
            return self._node.block(cid, Deadline.after(_BUDGET))
        except NodeError as failure:
            if not failure.answered:
                raise NodeUnreachableError(f"read {self._cid}", {self._node.name: str(failure)}) from failure
            if failure.kind is Kind.ROTTEN:
                raise ArtifactCorruptError(self._cid, str(failure), f"mend {self._node.name}") from failure
            raise ArtifactNotFoundError(self._cid, f"block {cid} is not on {self._node.name}: {failure}") from failure
