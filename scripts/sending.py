"""Transactions of several accounts under way at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

from chain.connection import Chain

T = TypeVar("T")

_LOOK = 0.2  # seconds between looks for Ctrl-C


class Sending(Generic[T]):
    """Records what is due for several stations side by side.

    A chain with a block per second makes each transaction wait for seconds, so each waits in a thread of its own. On a
    development node, which mines at once, there is nothing to wait for: there everything happens in order.
    """

    def __init__(self, chain: Chain) -> None:
        """Send nothing yet."""
        self._chain = chain
        self._results: list[T | None] = []
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def start(self, send: Callable[[], T]) -> None:
        """Send; a development node's errors come at once, others' from `results`."""
        if not self._chain.confirmations:
            self._results.append(send())
            return
        index = len(self._results)
        self._results.append(None)
        # A daemon: a program that ends must not hang on a chain that stalls.
        thread = threading.Thread(target=self._run, args=(index, send), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, index: int, send: Callable[[], T]) -> None:
        try:
            self._results[index] = send()
        except BaseException as error:
            self._errors.append(error)

    def results(self) -> list[T]:
        """Wait for all, and return what they returned, in the order in which they were started.

        Raises:
            ChainError: the first one's that failed.
        """
        self._join()
        if self._errors:
            raise self._errors[0]
        return self._results  # type: ignore[return-value]  # all are in

    def _join(self) -> None:
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_LOOK)

    def __enter__(self) -> Sending[T]:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Leave no thread behind: what is sent is waited for, unless somebody interrupts."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._chain.close()
            return
        self._join()


def side_by_side(chain: Chain, sends: Sequence[Callable[[], T]]) -> list[T]:
    """Do all at the same time where that saves time; results in the order given."""
    with Sending[T](chain) as sending:
        for send in sends:
            sending.start(send)
        return sending.results()
