"""K of N nodes: who is asked to hold an artifact, who takes the place of one that fails, and for how long."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from twins.endpoint import Kind, NodeError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds


@dataclass(frozen=True)
class Deadline:
    """A moment until which something has to be done.

    Attributes:
        at: of ``time.monotonic()``.
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the moment ``seconds`` from now."""
        return cls(time.monotonic() + seconds)

    def left(self, at_most: float = float("inf")) -> float:
        """Return the seconds that are left, but not more than ``at_most``; 0 when it is over."""
        return max(0.0, min(self.at - time.monotonic(), at_most))


def rendezvous(names: Sequence[str], key: str) -> list[int]:
    """Return in which order nodes are to hold something: the first, one's own, then the others by their hashes with it.

    So copies spread evenly, and everyone who knows the names knows the places (highest random weight, Thaler and
    Ravishankar 1998). In the order given, the second of many nodes would hold every copy and the last none.
    """
    others = sorted(range(1, len(names)), key=lambda index: hashlib.sha256(f"{key} {names[index]}".encode()).digest())
    return [*range(min(1, len(names))), *others]


def place(
    names: Sequence[str], wanted: int, store: Callable[[int], None], deadline: Deadline
) -> tuple[set[int], dict[str, str]]:
    """Store something on ``wanted`` nodes, on several at once.

    The first nodes are asked first. When one fails, the next takes its place; when all have been asked, those that
    may do better later are asked again, after a pause that doubles each time.

    Args:
        names: the nodes', for the reasons.
        wanted: how many have to hold it.
        store: stores it on one node, by its index; called from several threads; raises NodeError.
        deadline: no node is asked after it.

    Returns:
        The indices of nodes that hold it, and by name why others don't.
    """
    held: set[int] = set()
    reasons: dict[int, str] = {}
    waiting = list(range(len(names)))
    again: list[int] = []
    pause = _FIRST_PAUSE

    def attempt(index: int) -> NodeError | None:
        try:
            store(index)
        except NodeError as failure:
            return failure
        return None

    with ThreadPoolExecutor(max_workers=max(wanted, 1)) as pool:
        while len(held) < wanted and deadline.left():
            if not waiting:
                if not again:
                    break
                time.sleep(deadline.left(pause))
                waiting, again, pause = sorted(again), [], min(2 * pause, _LONGEST_PAUSE)
                continue
            asked, waiting = waiting[: wanted - len(held)], waiting[wanted - len(held) :]
            for index, failure in zip(asked, pool.map(attempt, asked), strict=True):
                if failure is None:
                    held.add(index)
                    reasons.pop(index, None)
                else:
                    # Out of time is all that a node says in the end; what it said before tells why.
                    if deadline.left() or index not in reasons:
                        reasons[index] = str(failure)
                    if failure.kind is not Kind.REFUSED:
                        again.append(index)
    return held, {names[index]: reason for index, reason in sorted(reasons.items())}
