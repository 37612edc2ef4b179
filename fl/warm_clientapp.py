"""Starts a device's ClientApps in a moment: forks them from a process that has torch and Flower imported already.

Flower starts a process ``flwr-clientapp`` for every message, which takes seconds of CPU for imports alone. SuperExec
looks for that program on its path, as a SuperNode does for SuperExec; there, `install` puts one that asks this server
for a process instead. What runs in it is Flower's own entry point, on the same words and in the same environment, so
that nothing of the protocol is another. It ends when the program that asked for it does. Nothing of this project is
imported before the fork: the app is the one in the run's bundle.

Run as a script, without the project's packages::

    python fl/warm_clientapp.py SOCKET
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from pkgutil import resolve_name

PROGRAMS = {
    "flwr-clientapp": "flwr.supernode.cli:flwr_clientapp",
    "flower-superexec": "flwr.supercore.cli:flower_superexec",
}
"""What can be asked for: name to Flower's entry point."""

_BEFORE = (
    *(entry.partition(":")[0] for entry in PROGRAMS.values()),
    "flwr.supercore.superexec.run_superexec",
    "flwr.supernode.runtime.run_clientapp",
    "flwr.clientapp.mod",
    "torch.nn.functional",
    "numpy",
    "coincurve",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "eth_abi.abi",
    "eth_utils.crypto",
    "rfc8785",
    "safetensors.numpy",
)
_PATIENCE = 120  # seconds that this server may take to import what it needs
_WORDS = 2**20  # bytes of a request at most

STUB = """#!{python} -IS
import ctypes, json, os, socket, sys, time
if sys.platform.startswith("linux"):
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
link = socket.socket(socket.AF_UNIX)
late = time.monotonic() + {patience}
while True:
    try:
        link.connect({path!r})
        break
    except (FileNotFoundError, ConnectionRefusedError):
        if time.monotonic() > late:
            raise
        time.sleep(0.1)
asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(link, [len(asked).to_bytes(4, "big")], [1, 2])
link.sendall(asked)
sys.exit(int(link.recv(16) or b"1"))
"""
"""The program in Flower's place: hands over its words, its environment and its output, and waits. It is killed
with the program that started it (``PR_SET_PDEATHSIG``), and the server ends with it what it has asked for: Flower's own
look for its parent's number finds one that nobody has buried yet."""


def install(folder: str, path: str) -> None:
    """Write the programs that ask the server at a socket."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for name in PROGRAMS:
        draft = os.path.join(folder, f"{name}.part")
        with open(draft, "w", encoding="utf-8") as stream:
            stream.write(STUB.format(python=sys.executable, path=path, patience=_PATIENCE))
        os.chmod(draft, 0o700)
        os.replace(draft, os.path.join(folder, name))


def serve(path: str) -> None:
    """Import, then fork for whoever asks; never returns."""
    for name in _BEFORE:
        with suppress(ImportError):  # then the app itself takes the time
            import_module(name)
    with suppress(FileNotFoundError):
        os.unlink(path)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # only this user may have it start programs
    listening.bind(path)
    os.umask(before)
    listening.listen(256)
    while True:
        link, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _supervise(link)
        link.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _supervise(link: socket.socket) -> None:
    """Fork once more for the app, and tell its exit code; never returns."""
    code = 1
    try:
        size, handles, _, _ = socket.recv_fds(link, 4, 2)
        asked = b""
        length = min(int.from_bytes(size, "big"), _WORDS)
        while len(asked) < length:
            more = link.recv(length - len(asked))
            if not more:
                os._exit(1)
            asked += more
        words, folder, environment = json.loads(asked)
        process = os.fork()
        if process == 0:
            link.close()
            _become(words, folder, environment, handles)
        threading.Thread(target=_end_with, args=(link, process), daemon=True).start()
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        link.sendall(str(code if code >= 0 else 128 - code).encode())
    finally:
        os._exit(0)


def _end_with(link: socket.socket, process: int) -> None:
    """Kill the app when the program that asked for it is gone: it says nothing more, so all that comes is its end."""
    with suppress(OSError):
        link.recv(1)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _become(words: list[str], folder: str, environment: dict[str, str], handles: list[int]) -> None:
    """Be ``flwr-clientapp``; never returns."""
    code = 1
    try:
        for number, handle in enumerate(handles, 1):
            os.dup2(handle, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = words
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = resolve_name(PROGRAMS[os.path.basename(words[0])])() or 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
