"""A local chain: one Hardhat node with automine, as a child process.

Attached, the node dies with this process whatever kills it (Linux); detached, it goes on until it is stopped.
It always listens on the loopback interface only: its accounts' keys are public.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from chain.connection import Chain
from chain.errors import ChainError, CompilerError, DevnetError
from chain.nodejs import PROJECT, find_node, node_package
from chain.ports import HOST, free_ports
from chain.processes import ProcessIdentity

CHAIN_ID = 31337
"""Of every Hardhat node."""

_POLL = 0.05  # seconds
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class HardhatNode:
    """A running node.

    Attributes:
        url: of its JSON-RPC.
        port: TCP.
        log: file that has its output.
        identity: of its process.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        """Take over a process; use `start`."""
        self._process = process
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.log = log
        identity = ProcessIdentity.of(process.pid)
        self.identity = identity or ProcessIdentity(process.pid, "")

    @classmethod
    def start(
        cls,
        *,
        log: Path,
        port: int = 0,
        detached: bool = False,
        timeout: float = 60.0,
        project: Path = PROJECT,
        node: Path | None = None,
    ) -> HardhatNode:
        """Start a node and wait until it answers.

        Args:
            log: file for its output; replaced.
            port: TCP; 0 for a free one.
            detached: outlive this process. If not, call from the main thread: the kernel ties the child to
                the thread that started it.
            timeout: seconds until it must answer.
            project: root of the checkout.
            node: Node.js; the environment's own if None.

        Raises:
            DevnetError: the port is taken, Node.js or Hardhat is missing, or the node doesn't answer in time;
                the message has the end of its log.
        """
        if not detached and threading.current_thread() is not threading.main_thread():
            raise DevnetError(
                "attached node: expected a start from the main thread, got another; the node would die with that thread"
            )
        try:
            command = [
                str(node or find_node()),
                str(node_package("hardhat", project) / "dist" / "src" / "cli.js"),
            ]
        except CompilerError as error:
            raise DevnetError(str(error)) from error
        for attempt in range(3):
            chosen = port or free_ports(1)[0]
            require_free(chosen)
            started = cls._spawn(command, chosen, log, detached, project)
            try:
                started._await_answer(timeout)
            except BaseException as error:
                started.stop()
                # Another program can take a free port between our look and the node's bind.
                if port == 0 and attempt < 2 and isinstance(error, DevnetError) and "EADDRINUSE" in str(error):
                    continue
                raise
            return started
        raise AssertionError  # the third attempt returned or raised

    @classmethod
    def _spawn(cls, command: list[str], port: int, log: Path, detached: bool, project: Path) -> HardhatNode:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "node", "--hostname", HOST, "--port", str(port)],
                cwd=project,
                env=_environment(Path(command[0])),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Its own group: Ctrl-C in this terminal must not end it before we have finished with it.
                start_new_session=True,
                preexec_fn=None if detached else _die_with_parent(),
            )
        return cls(process, port, log)

    def _await_answer(self, timeout: float) -> None:
        chain = Chain(self.url, timeout=5.0)
        deadline = time.monotonic() + timeout
        while True:
            if self._process.poll() is not None:
                raise DevnetError(
                    f"Hardhat node: expected it to serve {self.url}, got exit code "
                    f"{self._process.returncode}; "
                    f"the end of {self.log}:\n{tail(self.log)}"
                )
            with contextlib.suppress(ChainError):
                chain_id, _ = chain.chain_id, chain.block_number()
                if chain_id != CHAIN_ID:
                    raise DevnetError(
                        f"{self.url}: expected chain id {CHAIN_ID}, got {chain_id}; another node is there"
                    )
                # It writes a paragraph for each request otherwise, which takes as long as answering it.
                chain.rpc("hardhat_setLoggingEnabled", (False,))
                return
            if time.monotonic() > deadline:
                raise DevnetError(
                    f"Hardhat node: expected an answer at {self.url} within {timeout:g} s, got none; "
                    f"the end of {self.log}:\n{tail(self.log)}"
                )
            time.sleep(_POLL)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the node with its process group; twice is fine."""
        if self._process.poll() is None:
            self.identity.stop()
        self._process.wait(timeout=10)

    def __enter__(self) -> HardhatNode:
        """Return the node."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def require_free(port: int) -> None:
    """Refuse a port that is in use.

    Raises:
        DevnetError: it is, or can't be used at all.
    """
    if not 1 <= port <= 65535:
        raise DevnetError(f"port: expected 1 to 65535, got {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Node.js does: TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
            return
        except PermissionError as error:
            raise DevnetError(
                f"port {port}: expected to be allowed to use it, got {error}; choose one above 1023"
            ) from error
        except OSError:
            pass
    try:
        user = f"a chain with id {Chain(f'http://{HOST}:{port}', timeout=0.5).chain_id}"
    except ChainError:
        user = "another program"
    raise DevnetError(f"port {port}: expected it free, got it in use by {user}; stop that, or choose another port")


def tail(log: Path, lines: int = 15) -> str:
    """Return the end of a log file."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


def _environment(node: Path) -> Mapping[str, str]:
    """Return the node's environment: the same for everyone, so that no user's setting changes the chain."""
    return {
        "PATH": os.pathsep.join((str(node.parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
        "NO_COLOR": "1",
    }


def _die_with_parent() -> Callable[[], None] | None:
    """Return what the child does before it becomes the node, or None where the system has no such thing.

    Stops orphans: a ``kill -9`` of this process leaves it no time to clean up.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork: afterwards only system calls are safe
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the call
            os._exit(1)

    return tie
