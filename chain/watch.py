"""Watching a chain while something is waited for: has it gone on, does it stall, is the time up?"""

from __future__ import annotations

import time

from chain.nodes import Nodes

_FIRST_POLL = 0.005  # seconds: a node with automine has the receipt at once
_SLOWEST_POLL = 0.2  # seconds: a chain with a period of seconds needs no more


class Watch:
    """One wait.

    Attributes:
        number: newest block seen.
        moved: blocks that came since the wait began.
    """

    def __init__(self, chain: Nodes, seconds: float) -> None:
        """Begin to wait for at most ``seconds``."""
        self._chain = chain
        self._began = self._last_block = time.monotonic()
        self._deadline = self._began + seconds
        self._pause = _FIRST_POLL
        self._asked = 0.0
        self.number = self._first = chain.block_number()

    @property
    def moved(self) -> int:
        """Blocks that came since the wait began."""
        return self.number - self._first

    @property
    def seconds(self) -> float:
        """Since the wait began."""
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        """Whether the time would be up after the next pause."""
        return time.monotonic() + self._pause > self._deadline

    def pause(self) -> bool:
        """Wait a little, look at the chain, raise or clear the alarm.

        Returns:
            Whether another node is asked from now on: what was sent to the former may be unknown there.

        Raises:
            ChainUnreachableError: no answer.
            InterruptedWaitError: the chain was closed.
        """
        self._chain.sleep(self._pause)
        self._pause = min(self._pause * 2, _SLOWEST_POLL)
        used, now = self._chain.url, time.monotonic()
        number = self._chain.block_number()
        if number > self.number:
            self.number = number
            self._chain.tell_over("stall", f"the chain goes on: block {number} after {now - self._last_block:.0f} s")
            self._last_block = now
        elif self._chain.confirmations and now - max(self._last_block, self._asked) > self._chain.stall_after:
            self._asked = now
            if not self._chain.use_highest():
                self._alarm(now)
        return self._chain.url != used

    def _alarm(self, now: float) -> None:
        self._chain.tell(
            "stall",
            f"ALARM: the chain stalls: {self._chain.url} has had no block since {self.number}, "
            f"{now - self._last_block:.0f} s ago. A proof-of-authority chain goes on only while more than half of "
            f"its validators run and are connected: look at them (scripts/devnet.py status). Waiting up to "
            f"{self._deadline - now:.0f} s more; nothing is lost, an interrupted run continues where it was",
        )
