"""Flower's own simulation, on Ray, behind a station's grid: the same devices, the same messages, the very same bits.

Flower's Ray actors call the very ClientApp that the in-process grid calls, with our node ids and configurations; what a
device does is the same code wherever it runs. Ray is imported when it starts, and not before.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pkgutil import resolve_name
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fl._flower_private import identify_server
from fl.engines import Call, LocalEngine, Replied, call
from fl.errors import EngineError
from fl.grid import InProcessGrid, Progress
from twins.canonical import Json

if TYPE_CHECKING:
    from fl._flower_ray import Actors, Load

T = TypeVar("T")


@dataclass
class RayEngine:
    """Runs everything in Ray's actors, one thread of torch each; they start with the first call and stay.

    Ray can be in a process once: stations that share a process share the engine. Whatever interrupts a run (Ctrl-C, an
    actor that dies) ends Ray; the next run starts it again.

    Attributes:
        workers: how many actors.
        app: where actors find the ClientApp, ``module:attribute``. Another app travels with every message, if it can.
    """

    workers: int
    app: str = "fl.client_app:app"
    _actors: Actors | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)  # stations' threads take turns

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            EngineError: no workers.
        """
        if self.workers < 1:
            raise EngineError(f"engine ray: expected at least 1 worker, got {self.workers}")

    @property
    def facts(self) -> dict[str, Json]:
        """See `Engine`: Ray changes no bit."""
        return LocalEngine().facts

    @property
    def at_once(self) -> int:
        """See `Engine`."""
        return 1

    def start(self) -> None:
        """Start Ray, which takes seconds, from a thread that lives as long as it is to run.

        Raises:
            EngineError: it isn't installed, can't start, or is in this process already.
        """
        if self._actors is not None:
            return
        try:
            from fl._flower_ray import Actors
        except ImportError as error:
            raise EngineError(
                f"engine ray: expected Ray, got {error} (python3 scripts/setup.py installs it where there is one for "
                "this Python); --engine workers gives the same bits without"
            ) from error
        try:
            self._actors = Actors(self.workers)
        except Exception as error:
            raise EngineError(
                f"engine ray: Ray did not start: {_first_line(error)}; --engine workers gives the same bits without"
            ) from error

    def run(self, app: ClientApp, calls: Sequence[Call], replied: Replied) -> list[Message]:
        """See `Engine`.

        Raises:
            EngineError: Ray can't start, an actor has died, or it can't load the app.
        """
        if not calls:
            return []
        with self._lock:
            self.start()
            assert self._actors is not None
            try:
                return self._run(self._actors, self._load(app), calls, replied)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End Ray, whatever it is doing."""
        actors, self._actors = self._actors, None
        if actors is not None:
            actors.end()

    def _load(self, app: ClientApp) -> Load:
        return partial(_named, self.app) if resolve_name(self.app) is app else partial(_given, app)

    def _run(self, actors: Actors, load: Load, calls: Sequence[Call], replied: Replied) -> list[Message]:
        replies: list[Message | None] = [None] * len(calls)
        waiting, busy = deque(range(len(calls))), set[int]()
        while waiting or busy:
            while actors.idle and (job := _next(waiting, busy, calls)) is not None:
                message, context = calls[job]
                _asked(partial(actors.submit, job, load, message, context))
                busy.add(context.node_id)
            for job, given, after in _asked(actors.done):
                # A copy: what Ray gives lies in its shared memory, which is small, and goes when Ray does.
                reply, state = pickle.loads(pickle.dumps((given, after.state)))
                context = calls[job][1]
                replies[job], context.state = reply, state
                busy.discard(context.node_id)
                if not reply.has_error():
                    replied(context.node_id)
        return [reply for reply in replies if reply is not None]


class RayGrid(InProcessGrid):
    """Nodes of this machine in Ray's actors; a context manager at whose end nothing of Ray is left.

    For several grids in one process give each an `InProcessGrid` and all the same `RayEngine`.
    """

    def __init__(
        self,
        app: ClientApp,
        nodes: Mapping[int, Mapping[str, str | int | float | bool]],
        *,
        workers: int,
        run_id: int = 1,
        progress: Progress = lambda node: None,
    ) -> None:
        """Make a grid of ``nodes`` that all run ``app``; Ray starts with the first message.

        Args:
            app: the devices'.
            nodes: id to configuration.
            workers: actors, of one processor each.
            run_id: Flower's.
            progress: told the node id when a node has replied.
        """
        self._ray = RayEngine(workers)
        super().__init__(app, nodes, run_id=run_id, progress=progress, engine=self._ray)

    def __enter__(self) -> RayGrid:
        """Return the grid."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End Ray."""
        self.close()

    def close(self) -> None:
        """End Ray; the next message would start it again."""
        self._ray.close()


def _next(waiting: deque[int], busy: set[int], calls: Sequence[Call]) -> int | None:
    """Take the first job of a node that isn't at work: its next message is for the state that this one leaves."""
    for job in waiting:
        if calls[job][1].node_id not in busy:
            waiting.remove(job)
            return job
    return None


def _asked(ask: Callable[[], T]) -> T:
    """Ask Ray for something; whatever it raises is an `EngineError`."""
    try:
        return ask()
    except Exception as error:
        raise EngineError(
            f"engine ray: an actor did not answer: {_first_line(error)} (is there memory enough for so many? --workers "
            "with a smaller number takes less); nothing is lost, run it again"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _named(name: str) -> Callable[..., Message]:
    return _given(resolve_name(name))


def _given(app: ClientApp) -> Callable[..., Message]:
    """Return what an actor calls: the app as the in-process grid calls it, so that what it raises is its reply."""
    return partial(_call, app)


def _call(app: ClientApp, message: Message, context: Context) -> Message:
    identify_server(context.run_id)
    return call(app, message, context)
