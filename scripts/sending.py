"""Transactions under way while the next station trains."""

from __future__ import annotations

import threading
from types import TracebackType

from chain.connection import Chain
from chain.station import Due, Step

_LOOK = 0.2  # seconds between looks for Ctrl-C


class Sending:
    """Records what is due for several stations side by side.

    A chain with a block per second makes each transaction wait for seconds, so each waits in a thread of its own. On a
    development node, which mines at once, there is nothing to wait for: there everything happens in order.
    """

    def __init__(self, chain: Chain) -> None:
        """Send nothing yet."""
        self._chain = chain
        self._steps: list[Step] = []
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def start(self, due: Due) -> None:
        """Send it; a development node's errors come at once, others' from `steps`."""
        if not self._chain.confirmations:
            self._steps.append(due.record())
            return
        # A daemon: a program that ends must not hang on a chain that stalls.
        thread = threading.Thread(target=self._record, args=(due,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _record(self, due: Due) -> None:
        try:
            self._steps.append(due.record())
        except BaseException as error:
            self._errors.append(error)

    def steps(self) -> list[Step]:
        """Wait for all, and return what was recorded.

        Raises:
            ChainError: the first one's that failed.
        """
        self._join()
        if self._errors:
            raise self._errors[0]
        return self._steps

    def _join(self) -> None:
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_LOOK)

    def __enter__(self) -> Sending:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Leave no thread behind: what is sent is waited for, unless somebody interrupts."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._chain.close()
            return
        self._join()
