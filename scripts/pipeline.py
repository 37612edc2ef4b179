"""What stations store and send while others train: a lane for each, each in its own order, few updates in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from queue import SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Generic, TypeVar

from chain.connection import Chain

T = TypeVar("T")

_WAITING = 2  # updates in memory, beside the one that is being trained: one of 10,000 devices is 250 MB
_FAREWELL = 2.0  # seconds that threads have to end after Ctrl-C
_LOOK = 0.2  # seconds between looks for Ctrl-C: a signal that comes just before a wait without end doesn't end it


class Pipeline(Generic[T]):
    """Lanes in which things are stored and sent: in one lane in the order given, in different ones at the same time.

    A station's update is sealed, pinned and recorded while the next one's devices train, and where a block takes a
    second, all wait for the same one. In a lane nothing follows on what has failed. The other lanes end what they were
    given before that is told: what a station has begun to record is recorded, and whoever runs it again finds it.
    """

    def __init__(self, chain: Chain, waiting: int = _WAITING) -> None:
        """Start nothing yet.

        Args:
            chain: that is sent to.
            waiting: how many things may wait in memory until they are stored.
        """
        self._chain = chain
        self._places = threading.Semaphore(waiting)
        self._lanes: dict[Hashable, _Lane[T]] = {}
        self._futures: list[Future[T]] = []

    def start(self, lane: Hashable, store: Callable[[], Callable[[], T]]) -> Future[T]:
        """Store something and send it, when there is a place for it in memory: until then this waits.

        Args:
            lane: in which.
            store: what it returns sends what it has stored, and must not hold that in memory.

        Returns:
            What the sending will return.

        Raises:
            ChainError, TwinsError: something that was started before has failed; this isn't started then.
        """
        while not self._places.acquire(timeout=_LOOK):
            pass
        try:
            return self._put(lane, store, self._places.release)
        except BaseException:
            self._places.release()
            raise

    def send(self, lane: Hashable, send: Callable[[], T]) -> Future[T]:
        """Send what is stored. A development node mines at once: there this waits, so that all happens in order.

        Raises:
            ChainError, TwinsError: as `start`; on a development node its own as well.
        """
        future = self._put(lane, lambda: send)
        if not self._chain.confirmations:
            wait_for([future])
            future.result()
        return future

    def results(self) -> list[T]:
        """Wait for all, and return what they returned, in the order in which they were started.

        Raises:
            ChainError, TwinsError: of the first one that failed.
        """
        wait_for(self._futures)
        return [future.result() for future in self._futures]

    def _put(
        self, lane: Hashable, store: Callable[[], Callable[[], T]], release: Callable[[], None] = lambda: None
    ) -> Future[T]:
        for future in self._futures:
            if future.done():
                future.result()
        if lane not in self._lanes:
            self._lanes[lane] = _Lane(f"lane {lane}")
        self._futures.append(self._lanes[lane].put(store, release))
        return self._futures[-1]

    def __enter__(self) -> Pipeline[T]:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Leave no thread behind: what was started is waited for, unless somebody interrupts."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._interrupt()
            return
        try:
            wait_for(self._futures)
        except KeyboardInterrupt:
            self._interrupt()
            raise
        for lane in self._lanes.values():
            lane.end()

    def _interrupt(self) -> None:
        for lane in self._lanes.values():
            lane.end(KeyboardInterrupt())
        self._chain.close()  # whoever turns to it next ends there
        until = monotonic() + _FAREWELL  # for a file that is being written; drafts that stay are swept up later
        for lane in self._lanes.values():
            lane.thread.join(max(0.0, until - monotonic()))


def wait_for(futures: Sequence[Future[T]]) -> None:
    """Wait until all are done, and hear Ctrl-C meanwhile."""
    while wait(futures, timeout=_LOOK).not_done:
        pass


def in_order(jobs: Iterable[Callable[[], T]], at_once: int) -> Generator[T, None, None]:
    """Do jobs, several at a time, and yield what they return in the order given.

    None is begun before the one ``at_once`` places ahead of it was yielded: few results wait in memory. What fails is
    raised in its turn; what runs beside it then ends by itself, on a thread that no program waits for.

    Args:
        jobs: begun in this order.
        at_once: how many run at a time; with 1 all run on this thread.
    """
    if at_once == 1:
        for job in jobs:
            yield job()
        return
    lanes = [_Lane[T](f"job {number} of {at_once}") for number in range(at_once)]
    running = deque[Future[T]]()
    try:
        for number, job in enumerate(jobs):
            running.append(lanes[number % at_once].put(partial(_later, job), lambda: None))
            if len(running) == at_once:
                yield _result(running.popleft())
        while running:
            yield _result(running.popleft())
    finally:
        for lane in lanes:
            lane.end()


def _later(job: Callable[[], T]) -> Callable[[], T]:
    result = job()
    return lambda: result


def _result(future: Future[T]) -> T:
    wait_for([future])
    return future.result()


class _Lane(Generic[T]):
    """One thread that does one thing after another.

    Attributes:
        thread: that does.
    """

    def __init__(self, name: str) -> None:
        self._things: SimpleQueue[tuple[Callable[[], Callable[[], T]], Callable[[], None], Future[T]] | None]
        self._things = SimpleQueue()
        self._failed: BaseException | None = None  # why nothing is done any more
        # A daemon: a program that ends must not hang on a chain that stalls.
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def put(self, store: Callable[[], Callable[[], T]], release: Callable[[], None]) -> Future[T]:
        """Store and send, in its turn; ``release`` is called when it is stored, or won't be."""
        future = Future[T]()
        self._things.put((store, release, future))
        return future

    def end(self, reason: BaseException | None = None) -> None:
        """End when all is done, or after what is being done if there is a reason for that."""
        self._failed = reason or self._failed
        self._things.put(None)

    def _run(self) -> None:
        while self._one():
            pass

    def _one(self) -> bool:
        """Do one thing; in a function of its own, for what a loop's names held would stay in memory."""
        thing = self._things.get()
        if thing is None:
            return False
        store, release, future = thing
        del thing
        try:
            if self._failed is not None:
                raise self._failed
            send = store()
        except BaseException as error:
            self._fail(future, error)
            return True
        finally:
            del store
            release()  # after a failure is told: whoever gets the place must see it
        try:
            future.set_result(send())
        except BaseException as error:
            self._fail(future, error)
        return True

    def _fail(self, future: Future[T], error: BaseException) -> None:
        self._failed = error
        future.set_exception(error)


def side_by_side(chain: Chain, sends: Sequence[Callable[[], T]]) -> list[T]:
    """Send all at the same time where that saves time; results in the order given."""
    with Pipeline[T](chain) as pipeline:
        for index, send in enumerate(sends):
            pipeline.send(index, send)
        return pipeline.results()
