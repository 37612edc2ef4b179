"""What of Flower 1.41's simulation, and of Ray 2.55, has no public way, and nothing else.

Of Flower: its pool of Ray actors. Its `run_simulation` draws the nodes' ids at random and tells a node nothing but its
partition; the pool underneath takes any message with any context. Of Ray: to listen on this machine's loopback alone.
A test fails loudly on another version of either. Importing this file imports Ray: only who starts it does.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil  # type: ignore[import-untyped]
import ray
from flwr.app import Context, Message
from flwr.simulation.ray_transport.ray_actor import BasicActorPool, ClientAppActor
from ray._private import ray_constants

Load = Callable[[], Callable[..., Message]]
"""Gives an actor what is called for a message: ``(message=..., context=...)``."""

_LONGEST = 25  # bytes of the system's folder for temporary files: the names of Ray's sockets must fit into 103
_PATIENCE = 5.0  # seconds for processes to end by themselves
_LOOK = 0.2  # seconds between looks for Ctrl-C


class LocalRay:
    """A Ray of this process's own, which listens on this machine's loopback alone."""

    def __init__(self, processors: int) -> None:
        """Start Ray; it takes seconds.

        Call it from a thread that lives on: Linux ends Ray's processes with the thread that has started them. Should
        this process be killed outright, the last of them go after two minutes, and the folder stays.

        Raises:
            RuntimeError: this process has a Ray already, and Ray can't be there twice.
            Exception: whatever Ray raises when it can't start; nothing of it is left.
        """
        if ray.is_initialized():
            raise RuntimeError("expected no Ray in this process, got one; a process can have one only, so share it")
        where = tempfile.gettempdir()
        self._folder = tempfile.TemporaryDirectory(
            prefix="ray-", dir=where if len(os.fsencode(where)) <= _LONGEST else "/tmp", ignore_cleanup_errors=True
        )
        self._processes: list[Any] = []
        try:
            _start(processors, self._folder.name)
            self._processes = _processes(self._folder.name)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End Ray, whatever it is doing, and wait until none of its processes and files is left."""
        left = list({*self._processes, *_processes(self._folder.name)})
        try:
            ray.shutdown()
            left = psutil.wait_procs(left, timeout=_PATIENCE)[1]
        finally:
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=_PATIENCE)
            self._folder.cleanup()


class Actors:
    """Flower's actors, one processor each, on a Ray of their own."""

    def __init__(self, count: int) -> None:
        """Start Ray and its actors.

        Raises:
            Exception: as `LocalRay`.
        """
        self._ray = LocalRay(count)
        self._jobs: dict[Any, int] = {}
        try:
            self._pool = BasicActorPool(ClientAppActor, {"num_cpus": 1, "num_gpus": 0.0}, {})
            self._pool.add_actors_to_pool(count)
        except BaseException:
            self.end()
            raise

    @property
    def idle(self) -> bool:
        """Tell whether an actor has nothing to do."""
        return self._pool.is_actor_available()

    def submit(self, job: int, load: Load, message: Message, context: Context) -> None:
        """Give an idle actor something to do."""
        future = self._pool.submit(
            lambda actor, *what: actor.run.remote(*what),
            (load, message, str(context.node_id), context),  # type: ignore[arg-type]
        )
        self._jobs[future] = job

    def done(self) -> list[tuple[int, Message, Context]]:
        """Wait a moment; return the jobs that are done, their replies, and the contexts as they are now.

        Raises:
            ray.exceptions.RayError: an actor has died, or could not load what it was to call.
        """
        ready, _ = ray.wait(list(self._jobs), num_returns=1, timeout=_LOOK)
        return [(self._jobs.pop(future), *self._pool.fetch_result_and_return_actor_to_pool(future)) for future in ready]

    def end(self) -> None:
        """End the actors and their Ray, whatever they are doing."""
        self._ray.end()


def _start(processors: int, folder: str) -> None:
    with _loopback(), _own_sigterm(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of Ray about its own future
        ray.init(
            address="local",  # never somebody's cluster
            num_cpus=processors,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            # As Flower does it: whatever can be imported here can be there.
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}},
            _temp_dir=folder,
            _system_config={"worker_niceness": 0},  # else its workers are nicer than all others
        )


@contextmanager
def _loopback() -> Iterator[None]:
    """Let Ray listen on loopback alone, as it does on macOS.

    Whoever reaches its ports runs programs here (CVE-2023-48022), and on Linux that is the whole network, even if it is
    told the address 127.0.0.1.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep this program's answer to SIGTERM: Ray puts its own in its place."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _processes(folder: str) -> list[Any]:
    """Return the processes of the Ray whose files are in ``folder``, also of one that was interrupted while it began.

    Those that this process has started name the folder; what they have started may have taken another name.
    """
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any(folder in word for word in child.cmdline()):
                found += [child, *child.children(recursive=True)]
    return found
