"""Artifacts on Kubo nodes, each artifact pinned on several.

No node is believed: a CID is computed here, every block that comes back is hashed here, and `put` reads back what the
nodes say they hold. That read is needed, because ``add`` over a block that rotted on the disk changes nothing (to
Kubo it "exists") and still answers with the right CID. Blocks are asked for one by one and offline: a bad one is known
by name, another node's good one takes its place, no answer is larger than a block, and nothing hangs on a block that
isn't there (online, Kubo looks for it until the caller gives up).

On two busy cores (Kubo 0.42 and this program share them) 100 kB, 1 MB and 20 MB take: ``add`` 8, 12 and 100 ms; the
read-back 2, 7 and 110 to 180 ms; a whole `put` on two nodes 20, 40 and 600 ms; `get` 2, 6 and 110 to 190 ms.

Bad blocks are replaced wherever good bytes are known: unpinned, removed, added again, pinned again.

::

    store = KuboStore([KuboEndpoint("http://127.0.0.1:5001", token), KuboEndpoint("http://127.0.0.1:5002", other)])
    cid = store.put(data)       # on two nodes, or ReplicationError
    assert store.get(cid) == data
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from twins.endpoint import Kind, KuboEndpoint, NodeError
from twins.errors import NodeUnreachableError, ReplicationError, StoreError
from twins.fetching import Fetch, bad_blocks
from twins.kubo_rpc import Node
from twins.outage import Outage
from twins.replication import Deadline, place, rendezvous
from twins.store import ArtifactStore
from twins.types import Cid

__all__ = ["KuboEndpoint", "KuboStore"]

_READERS = 2  # requests to one node at once


class KuboStore(ArtifactStore):
    """Artifacts on Kubo nodes. Several threads may share a store."""

    def __init__(
        self,
        endpoints: Sequence[KuboEndpoint],
        *,
        replicas: int = 2,
        timeout: float = 30.0,
        budget: float = 120.0,
        patience: float = 0.0,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """Name the nodes; none is asked anything yet.

        Args:
            endpoints: the nodes, one's own first.
            replicas: on how many of them `put` pins an artifact. Reading works whatever this is.
            timeout: seconds that a node may be silent.
            budget: seconds that one call may take in all, once a node answers.
            patience: seconds to wait for a node when none answers; `put` waits out its budget in any case.
            notice: told what was mended, or could not be, and of an outage, in a sentence; called from any thread.

        Raises:
            StoreError: no node, one twice, or a number that makes no sense.
        """
        urls = [endpoint.multiaddr for endpoint in endpoints]
        if not urls or len(set(urls)) < len(urls):
            raise StoreError(f"IPFS nodes: expected one at least and each once, got {[e.url for e in endpoints]}")
        if replicas < 1 or timeout <= 0 or budget <= 0:
            raise StoreError(
                f"IPFS: expected 1 replica or more and seconds above 0, got {replicas=}, {timeout=}, {budget=}"
            )
        self._nodes = [Node(endpoint, timeout) for endpoint in endpoints]
        self._replicas = replicas
        self._budget = budget
        self._notice = notice or (lambda _: None)
        self._outage = Outage(patience, self._notice)

    def replicas_of(self, cid: Cid) -> int:
        """Count the nodes that have pinned an artifact (recursively); those that don't answer don't count.

        Raises:
            NodeUnreachableError: none answers.
        """
        return sum(self._ask_all(f"replicas of {cid}", lambda node, deadline: node.is_pinned(cid, deadline)))

    def _put(self, cid: Cid, data: bytes) -> None:
        self._outage.outlast(partial(self._placed, cid, data))

    def _placed(self, cid: Cid, data: bytes) -> None:
        names = [node.name for node in self._nodes]
        if self._replicas > len(names):
            raise ReplicationError(cid, self._replicas, 0, {"nodes": f"only {len(names)} given: {', '.join(names)}"})
        deadline = Deadline.after(self._budget)
        nodes = [self._nodes[index] for index in rendezvous(names, cid)]

        def keep(index: int) -> None:
            self._keep(nodes[index], cid, data, deadline)

        held, reasons = place([node.name for node in nodes], self._replicas, keep, deadline)
        if len(held) < self._replicas:
            raise ReplicationError(cid, self._replicas, len(held), reasons)

    def _get(self, cid: Cid) -> bytes:
        return self._outage.outlast(partial(self._fetched, cid))

    def _fetched(self, cid: Cid) -> bytes:
        deadline = Deadline.after(self._budget)
        fetch = Fetch(self._nodes, cid, deadline, _READERS)
        data = fetch.run()
        for node, why in fetch.rotten():
            try:
                self._keep(node, cid, data, deadline)
            except NodeError as failure:
                self._notice(f"{node.name}: artifact {cid}: {why}; it could not be mended: {failure}")
        return data

    def _has(self, cid: Cid) -> bool:
        return any(self._ask_all(f"look for {cid}", lambda node, deadline: node.has(cid, deadline)))

    def _ask_all(self, what: str, question: Callable[[Node, Deadline], bool]) -> list[bool]:
        return self._outage.outlast(partial(self._answers, what, question))

    def _answers(self, what: str, question: Callable[[Node, Deadline], bool]) -> list[bool]:
        deadline = Deadline.after(self._budget)
        reasons: dict[str, str] = {}

        def ask(node: Node) -> bool | None:
            try:
                return question(node, deadline)
            except NodeError as failure:
                reasons[node.name] = str(failure)
                return None

        with ThreadPoolExecutor(max_workers=len(self._nodes)) as pool:
            answers = [answer for answer in pool.map(ask, self._nodes) if answer is not None]
        if not answers:
            raise NodeUnreachableError(what, reasons)
        return answers

    def _keep(self, node: Node, cid: Cid, data: bytes, deadline: Deadline) -> None:
        """Make a node hold good bytes of an artifact, pinned, whatever it holds now; or raise NodeError."""
        with node.changing:  # another thread may just have unpinned this to mend it
            try:
                node.add(cid, data, deadline)
            except NodeError as failure:
                if not failure.answered:  # else a block that Kubo believes to have is rotten or gone: see below
                    raise
            if not (bad := bad_blocks(node, data, deadline, _READERS)):
                return
            unpinned: list[Cid] = []
            try:
                node.drop(cid, bad, deadline, unpinned)
                node.add(cid, data, deadline)
            finally:
                self._pin_again(node, unpinned, deadline)
            if still_bad := bad_blocks(node, data, deadline, _READERS):
                raise NodeError(Kind.FAILED, f"{len(still_bad)} blocks rotted again, first {still_bad[0]}: its disk?")
        self._notice(f"{node.name}: artifact {cid}: replaced {len(bad)} bad blocks, the first {bad[0]}")

    def _pin_again(self, node: Node, unpinned: Sequence[Cid], deadline: Deadline) -> None:
        for cid in unpinned:
            try:
                node.pin(cid, deadline)
            except NodeError as failure:
                self._notice(f"{node.name}: artifact {cid} is no longer pinned, put it again: {failure}")
