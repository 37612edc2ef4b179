"""Waiting for a store's nodes that are all gone at once: a power cut, or a supervisor that died with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from twins.errors import ArtifactNotFoundError, NodeUnreachableError, ReplicationError, StoreError

_RETRY = 1.0  # seconds
_RETURN = 30.0  # seconds within which nodes that went together are all back, once the first is

_T = TypeVar("_T")


class Outage:
    """Repeats what no node answered to. Several threads may share it: one of them says that they wait."""

    def __init__(self, patience: float, notice: Callable[[str], None]) -> None:
        """Wait for nothing yet.

        Args:
            patience: seconds to wait for a node; 0 fails at once.
            notice: told that nodes are waited for, and when one is back.

        Raises:
            StoreError: a patience below 0.
        """
        if not patience >= 0:
            raise StoreError(f"IPFS: expected a patience of 0 s or more, got {patience}")
        self._patience, self._notice = patience, notice
        self._lock = threading.Lock()
        self._told = False
        self._last = float("-inf")  # when no node answered

    def outlast(self, ask: Callable[[], _T]) -> _T:
        """Ask nodes for something until one answers.

        After an outage the nodes come back one by one: what the first ones lack is waited for, too, as long as
        others are missing. At other times it isn't: a withheld artifact must not hold up whoever looks for it.

        Raises:
            NodeUnreachableError, ReplicationError: none answers, or takes it, within the patience.
            TwinsError: what ``ask`` raises else.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                answer = ask()
            except (NodeUnreachableError, ReplicationError) as error:
                if isinstance(error, ReplicationError) and error.got:
                    raise
                self._last = time.monotonic()
                if self._last + _RETRY > deadline:
                    raise
                self._tell(f"{error}. Waiting up to {self._patience:.0f} s for one to come back")
            except ArtifactNotFoundError as error:
                now = time.monotonic()
                if not error.unheard or now + _RETRY > min(deadline, self._last + _RETURN):
                    raise
            else:
                self._tell_over()
                return answer
            time.sleep(_RETRY)

    def _tell(self, text: str) -> None:
        with self._lock:
            if self._told:
                return
            self._told = True
        self._notice(text)

    def _tell_over(self) -> None:
        with self._lock:
            if not self._told:
                return
            self._told = False
        self._notice("IPFS nodes answer again")
