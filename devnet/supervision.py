"""The process that watches over a network's nodes: supervisord, configured and controlled from here.

It outlives the command that started it, starts a node anew when it dies (later and later: 1 s, 2 s, 3 s … after each
failure), keeps the logs short, and takes every node with it when it dies itself (`devnet.tied`).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

from chain.errors import DevnetError
from chain.processes import ProcessIdentity
from devnet import sockets
from devnet.network import write_text
from devnet.tied import tied

_READY = 10.0  # seconds that the supervisor may take to answer
_STOP = 20  # seconds that a node may take to end; geth writes its database
_RETRIES = 60  # with a second more after each: half an hour
_LOG_SIZE, _LOG_COPIES = "5MB", 2


@dataclass(frozen=True)
class Program:
    """A process to watch over.

    Attributes:
        name: of the node.
        command: words; the first is the program's path.
        environment: its whole environment.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class State:
    """What the supervisor says of a process.

    Attributes:
        name: of the node.
        state: supervisord's word: RUNNING, STARTING, BACKOFF (died, waits for its next start), STOPPED, FATAL …
        pid: 0 when there is none.
        seconds: since its last start.
    """

    name: str
    state: str
    pid: int
    seconds: int

    @property
    def up(self) -> bool:
        """Whether it has a process."""
        return self.state in ("RUNNING", "STARTING")


class Supervisor:
    """The supervisor of one network; it need not run.

    Attributes:
        root: ``HOME/consortium``.
        socket: its Unix socket.
    """

    def __init__(self, root: Path, sockets_folder: Path) -> None:
        """Name the places; nothing is started."""
        self.root = root
        self._sockets = sockets_folder
        self.socket = sockets_folder / "supervisord.sock"

    @property
    def _config(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def _pidfile(self) -> Path:
        return self.root / "supervisord.pid"

    def configure(self, programs: Iterable[Program]) -> None:
        """Write the configuration; a running supervisor reads it on `reread`."""
        write_text(self._config, configuration(self.root, self.socket, self._pidfile, programs))

    def start(self) -> ProcessIdentity:
        """Start the supervisor, without any node; it goes on when this process ends.

        Raises:
            DevnetError: it can't be started.
        """
        sockets.prepare(self._sockets)
        self.socket.unlink(missing_ok=True)
        # -I: nothing of this folder or the user's is imported in its place.
        words = [sys.executable, "-I", "-B", "-m", "supervisor.supervisord", "--nodaemon", "-c", str(self._config)]
        output = self.root / "logs" / "supervisord.start.log"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                words,
                cwd=self.root,
                env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in this terminal is none of its business
            )
        identity = ProcessIdentity.of(process.pid)
        try:
            deadline = time.monotonic() + _READY
            while identity is None or not self.answers():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise DevnetError(
                        f"supervisord: expected an answer within {_READY:g} s, got "
                        f"{'none' if process.poll() is None else f'exit code {process.returncode}'}:\n"
                        f"{output.read_text(encoding='utf-8', errors='replace')[-2000:]}"
                    )
                time.sleep(0.05)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = 0  # not to be waited for: it outlives us, and Popen would complain of that
        return identity

    def answers(self) -> bool:
        """Whether a supervisor listens."""
        with suppress(OSError, xmlrpc.client.Error), self._proxy() as proxy:
            state: Any = proxy.supervisor.getState()
            return bool(state["statename"] == "RUNNING")
        return False

    def states(self) -> dict[str, State]:
        """Return the state of every process, by name.

        Raises:
            DevnetError: no supervisor there.
        """
        found = (
            State(info["name"], info["statename"], info["pid"], info["now"] - info["start"] if info["pid"] else 0)
            for info in self._ask("getAllProcessInfo")
        )
        return {state.name: state for state in found}

    def start_program(self, name: str) -> None:
        """Start a node, if it isn't up; this doesn't wait until it answers."""
        if not self.states()[name].up:
            self._ask("startProcess", name, False)

    def stop_program(self, name: str) -> None:
        """End a node politely, after 20 s for good; it stays down until it is started by name."""
        deadline = time.monotonic() + _STOP
        while self.states()[name].state not in ("STOPPED", "FATAL"):
            try:
                self._ask("stopProcess", name, True)
            except DevnetError:
                # It has died a moment ago: it can be stopped once it is started again, which is about to happen.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop_all(self) -> None:
        """End all nodes at the same time; this waits until the last is gone."""
        self._ask("stopAllProcesses", True)

    def kill_program(self, name: str) -> None:
        """Send a node SIGKILL; it is started anew."""
        self._ask("signalProcess", name, "KILL")

    def reread(self) -> None:
        """Take over what `configure` wrote: new nodes are there (stopped), old ones are ended and gone."""
        ((added, changed, removed),) = self._ask("reloadConfig")
        for name in (*removed, *changed):
            self._ask("stopProcessGroup", name, True)
            self._ask("removeProcessGroup", name)
        for name in (*changed, *added):
            self._ask("addProcessGroup", name)

    def _proxy(self) -> xmlrpc.client.ServerProxy:
        # The address is the library's convention; the transport goes to the socket.
        return xmlrpc.client.ServerProxy(
            "http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{self.socket}")
        )

    def _ask(self, method: str, *arguments: object) -> Any:
        try:
            with self._proxy() as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, xmlrpc.client.Error) as error:
            raise DevnetError(f"supervisord {method}{arguments}: expected it done, got {error}") from error


def configuration(root: Path, socket: Path, pidfile: Path, programs: Iterable[Program]) -> str:
    """Return supervisord's configuration.

    Raises:
        DevnetError: a word that its format can't hold.
    """
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "umask=077",
        f"pidfile={_value(str(pidfile))}",
        f"logfile={_value(str(root / 'logs' / 'supervisord.log'))}",
        f"logfile_maxbytes={_LOG_SIZE}",
        f"logfile_backups={_LOG_COPIES}",
        f"childlogdir={_value(str(root / 'logs'))}",
        "minfds=256",
        "minprocs=32",
        *(["user=root"] if os.getuid() == 0 else []),  # or it warns that it runs as root
        "[unix_http_server]",
        f"file={_value(str(socket))}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        words = tied(pidfile, program.command)
        environment = ",".join(f'{key}="{_quotable(value)}"' for key, value in sorted(program.environment.items()))
        lines += [
            f"[program:{program.name}]",
            f"command={_value(shlex.join(words))}",
            f"environment={environment}",
            f"directory={_value(str(root))}",
            "autostart=false",
            "autorestart=true",
            "startsecs=2",
            f"startretries={_RETRIES}",
            f"stopwaitsecs={_STOP}",
            "redirect_stderr=true",
            f"stdout_logfile={_value(str(root / 'logs' / f'{program.name}.log'))}",
            f"stdout_logfile_maxbytes={_LOG_SIZE}",
            f"stdout_logfile_backups={_LOG_COPIES}",
        ]
    return "\n".join(lines) + "\n"


def _value(text: str) -> str:
    """Return a value that supervisord's format can hold.

    There ``" ;"`` begins a comment and a per cent sign an expansion, for a log's name even two: no escape does for all.
    """
    if any(sign in text for sign in ("\n", "\r", " ;", "%")):
        raise DevnetError(
            f"supervisord.conf: expected no line break, per cent sign or semicolon after a space, got {text!r}; "
            f"choose another --home"
        )
    return text


def _quotable(text: str) -> str:
    """Return a value of the environment, which stands between quotation marks."""
    if '"' in text or text.strip("'") != text:  # the latter it strips off, also inside quotation marks
        raise DevnetError(f"supervisord.conf: expected no quotation mark, got {text!r}; choose another --home")
    return _value(text)
