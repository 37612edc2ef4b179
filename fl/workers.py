"""Worker processes of this machine that run devices' ClientApps: all cores, and the very bits of one process.

Each has one thread of torch and is handed whole messages, so that what a device does is the same code wherever it runs.
A model travels once per part of a round, not once per device.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing import get_context, parent_process
from pkgutil import resolve_name

from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp

from fl._flower_private import identify_server
from fl.collector import collect_rarely
from fl.engines import Call, Check, LocalEngine, Replied, check_of_caller
from fl.errors import EngineError
from fl.wire import Packed, pack_calls, pack_replies, unpack_calls, unpack_replies
from twins.canonical import Json

_PARTS = 3  # of a round for each worker: who is done early takes another
_AT_ONCE = 2  # stations; the update of each is in memory
_LOOK = 0.2  # seconds between looks for Ctrl-C


@dataclass
class WorkerEngine:
    """Runs everything in worker processes, which start with the first call and stay.

    Attributes:
        workers: how many.
        local: how each runs its part.
        app: where the workers find the ClientApp, ``module:attribute``: apps themselves don't travel.
    """

    workers: int
    local: LocalEngine = field(default_factory=LocalEngine)
    app: str = "fl.client_app:app"
    _pool: ProcessPoolExecutor | None = field(default=None, repr=False)
    _closed: bool = field(default=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # stations' threads share the processes

    @property
    def facts(self) -> dict[str, Json]:
        """See `Engine`: how many processes there are changes no bit."""
        return self.local.facts

    @property
    def at_once(self) -> int:
        """See `Engine`: while one station's messages are made, or its replies merged, the workers have another's."""
        return _AT_ONCE if self.workers > 1 else 1

    def start(self) -> None:
        """Start the processes now: each takes seconds to import torch, and this one can do something else meanwhile."""
        self._started()

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._closed:  # a thread that a run has left behind must not start processes that nobody ends
                raise EngineError("worker processes: expected them in use, got a call after they were closed")
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=_begin)
                for _ in range(self.workers):
                    self._pool.submit(os.getpid)
            return self._pool

    def run(self, app: ClientApp, calls: Sequence[Call], replied: Replied) -> list[Message]:
        """See `Engine`.

        Raises:
            EngineError: a worker has died, or the app is another than the workers'.
        """
        if resolve_name(self.app) is not app:
            raise EngineError(f"worker processes: expected the ClientApp {self.app}, got another; use the loop for it")
        pool = self._started()
        parts = _parts(calls, self.workers, self.local.cohort)
        futures: list[Future[list[Packed]]] = []
        check = check_of_caller()
        try:
            futures += [pool.submit(_run, self.local, self.app, pack_calls(part), check) for part in parts]
            results = _follow(futures, parts, replied)
        except RuntimeError as error:
            if self._closed:
                raise EngineError("worker processes: closed while they were at work") from error
            if not isinstance(error, BrokenProcessPool):
                raise
            self._end(pool)
            raise EngineError(
                f"a worker process ended: expected {self.workers} that stay (is there memory enough for so many? "
                f"--workers {max(1, self.workers - 1)} takes less); nothing is lost, run it again"
            ) from error
        finally:
            for future in futures:
                future.cancel()
        for (_, context), (_, state) in zip(calls, results, strict=True):
            context.state = state
        return [reply for reply, _ in results]

    def close(self) -> None:
        """End the processes, whatever they are doing, for good."""
        with self._lock:
            self._closed, pool = True, self._pool
        if pool is not None:
            self._end(pool)

    def _end(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _parts(calls: Sequence[Call], workers: int, cohort: int) -> list[Sequence[Call]]:
    """Cut a round into parts for the workers: as large as a cohort at most, and even."""
    wanted = workers if cohort > 1 else workers * _PARTS
    count = min(len(calls), max(wanted, -(-len(calls) // cohort) if cohort > 1 else 0))
    count += -count % workers if cohort > 1 and count > workers else 0
    bounds = [len(calls) * i // count for i in range(count + 1)] if count else [0]
    return [calls[a:b] for a, b in pairwise(bounds) if a < b]


def _follow(
    futures: Sequence[Future[list[Packed]]], parts: Sequence[Sequence[Call]], replied: Replied
) -> list[tuple[Message, RecordDict]]:
    """Wait for all, telling who has replied, and hear Ctrl-C; return replies and states in the order of the calls."""
    left, found = dict(zip(futures, parts, strict=True)), dict[Future[list[Packed]], list[tuple[Message, RecordDict]]]()
    while left:
        for future in wait(left, timeout=_LOOK, return_when=FIRST_COMPLETED).done:
            found[future] = unpack_replies(future.result())  # while the others still train
            for (message, _), (reply, _) in zip(left.pop(future), found[future], strict=True):
                if not reply.has_error():
                    replied(message.metadata.dst_node_id)
    return [one for future in futures for one in found[future]]


def _run(local: LocalEngine, app: str, packed: Sequence[Packed], check: Check | None) -> list[Packed]:
    part = unpack_calls(packed)
    return pack_replies(local.run(resolve_name(app), part, lambda node: None), part, check)


def _begin() -> None:
    """Make a new worker process one that ends when it is told to, and never outlives who started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's processes: the first decides
    identify_server(1)
    collect_rarely()
    gc.freeze()  # all of torch: it stays
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
