"""One Kubo node's RPC, by ipfshttpclient: what a store of several asks of each."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ipfshttpclient
from ipfshttpclient import exceptions as client_errors

from twins.content import CHUNK, FANOUT, is_block
from twins.endpoint import Kind, KuboEndpoint, NodeError, RottenError, judge
from twins.replication import Deadline
from twins.types import Cid

# What ipfshttpclient 0.7 does with urllib3 2 is nothing that a user could mend.
warnings.filterwarnings("ignore", "The 'strict' parameter is no longer needed", FutureWarning, r"urllib3\.")

_LARGEST_BLOCK = 2 * CHUNK  # bytes; what peers exchange

_T = TypeVar("_T")


class Node:
    """One Kubo node's RPC: what a store asks of it. Every method but the first raises NodeError.

    Attributes:
        name: its URL.
        changing: held while pins are being changed.
    """

    def __init__(self, endpoint: KuboEndpoint, timeout: float) -> None:
        """Take note of where it is; nothing is sent. ``timeout``: seconds that it may be silent."""
        self.name = endpoint.url
        self.changing = threading.Lock()
        self._timeout = timeout
        headers = {} if endpoint.token is None else {"Authorization": f"Bearer {endpoint.token}"}
        # Not ipfshttpclient.connect: that asks for the version, and refuses every one since 2021.
        self._client = ipfshttpclient.Client(endpoint.multiaddr, "api/v0", headers=headers, chunk_size=CHUNK)
        # No proxy and no .netrc: the first would see tokens and artifacts, the second would replace the token.
        self._client._client._session_props["trust_env"] = False
        # Made now, since ipfshttpclient makes them at first use, and two threads at once get a KeyError.
        self._blocks, self._pins, self._raw = self._client.block, self._client.pin, self._client._client

    def block(self, cid: Cid, deadline: Deadline, *, search: bool = False) -> bytes:
        """Return a block, its bytes checked; ``search``: also look for it among the node's peers."""
        parts: list[bytes] = []
        size = 0
        with (
            self._judged(deadline) as timeout,
            self._blocks.get(cid, offline=not search, stream=True, timeout=timeout) as stream,
        ):
            for part in stream:
                parts.append(part)
                size += len(part)
                # Stops a node that answers without end, or a byte at a time.
                if size > _LARGEST_BLOCK:
                    raise RottenError(f"block {cid}: expected at most {_LARGEST_BLOCK} bytes, got more")
                if not deadline.left():
                    raise NodeError(Kind.FAILED, "too slow")
        block = b"".join(parts)
        if not is_block(cid, block):
            raise RottenError(f"block {cid}: got {len(block)} bytes of another hash")
        return block

    def has(self, cid: Cid, deadline: Deadline) -> bool:
        """Tell whether the node says that it has a block."""
        try:
            self._call(deadline, bool, self._blocks.stat, cid, offline=True)
        except NodeError as failure:
            if failure.answered:
                return failure.kind is Kind.ROTTEN
            raise
        return True

    def is_pinned(self, cid: Cid, deadline: Deadline) -> bool:
        """Tell whether an artifact is pinned recursively."""
        try:
            options = {"type": "recursive", "offline": True}
            return self._call(deadline, lambda said: cid in said["Keys"], self._pins.ls, cid, **options)
        except NodeError as failure:
            if "not pinned" in str(failure):
                return False
            raise

    def add(self, cid: Cid, data: bytes, deadline: Deadline) -> None:
        """Store an artifact and pin it; blocks that the node believes to have are left as they are."""
        options = {"cid_version": 1, "raw_leaves": True, "chunker": f"size-{CHUNK}"}
        # offline: for a block that is gone from its disk, Kubo would look without end while it pins.
        options |= {"pin": True, "offline": True, "opts": {"max-file-links": str(FANOUT)}}
        stored = self._call(deadline, lambda said: str(said["Hash"]), self._client.add, io.BytesIO(data), **options)
        # Another tree than ours would be pinned, and ours would go at the next collection.
        if stored != cid:
            raise NodeError(Kind.REFUSED, f"expected it to store {cid}, got {stored:.100}; is it Kubo 0.42?")

    def pin(self, cid: Cid, deadline: Deadline) -> None:
        """Pin an artifact that the node has."""
        self._call(deadline, bool, self._pins.add, cid, offline=True)

    def drop(self, cid: Cid, blocks: Sequence[Cid], deadline: Deadline, unpinned: list[Cid]) -> None:
        """Unpin an artifact and remove blocks of it; ``unpinned`` gets what else had to be unpinned."""
        self._unpin(cid, deadline)
        for block in blocks:
            # ipfshttpclient has no block.rm. Kubo says one of the pins that keep a block.
            while refused := _PINNED.search(
                self._call(deadline, str, self._raw.request, "/block/rm", (block,), decoder="json")
            ):
                owner = Cid(refused[1] or block)
                if owner in (cid, *unpinned):
                    raise NodeError(Kind.FAILED, f"block {block}: expected to remove it, got {refused[0]!r}")
                self._unpin(owner, deadline)
                unpinned.append(owner)

    def _unpin(self, cid: Cid, deadline: Deadline) -> None:
        try:
            self._call(deadline, bool, self._pins.rm, cid, offline=True)
        except NodeError as failure:
            if "not pinned" not in str(failure):
                raise

    def _call(
        self, deadline: Deadline, read: Callable[[Any], _T], ask: Callable[..., Any], *words: Any, **rest: Any
    ) -> _T:
        with self._judged(deadline) as timeout:
            return read(ask(*words, timeout=timeout, **rest))  # an answer may be of any form: read under judgement

    @contextlib.contextmanager
    def _judged(self, deadline: Deadline) -> Iterator[float]:
        """Give the timeout of a request, and turn whatever goes wrong in it into NodeError."""
        timeout = deadline.left(self._timeout)
        if not timeout:
            raise NodeError(Kind.FAILED, "the time for it was over")
        try:
            yield timeout
        except client_errors.StatusError as error:
            raise _judge(error) from error
        except client_errors.TimeoutError as error:
            raise NodeError(Kind.FAILED, f"no answer within {timeout:.3g} s") from error
        except (client_errors.CommunicationError, OSError) as error:  # requests' own errors are OSErrors
            found = re.search(r"\[Errno -?\d+\] [^')\"]*", str(error))
            raise NodeError(Kind.FAILED, found[0] if found else str(error)[:_LONGEST_REASON]) from error
        except (client_errors.Error, AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
            # What ipfshttpclient does with an answer that isn't Kubo's.
            raise NodeError(Kind.REFUSED, f"expected Kubo's answer, got another ({error!r:.200})") from error


_PINNED = re.compile(r"pinned(?: via (\w+))?")
_LONGEST_REASON = 600  # characters


def _judge(error: client_errors.StatusError) -> NodeError:
    response = getattr(error.original, "response", None)  # none when the error came after the headers
    return judge(getattr(response, "status_code", 500), str(error)[:_LONGEST_REASON])
