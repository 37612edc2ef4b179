"""TCP ports for nodes of this machine."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack

from chain.errors import DevnetError

__all__ = ["HOST", "free_ports"]

HOST = "127.0.0.1"
_FIRST, _LAST = 16_384, 32_767  # below those of outgoing connections (Linux: 32768 on)


def free_ports(count: int) -> list[int]:
    """Return different TCP ports that were free a moment ago.

    Not the system's choice: the ports that it hands out are those of everybody's outgoing connections, and a node
    that was down for a while would find its own taken.

    Raises:
        DevnetError: there aren't as many.
    """
    with ExitStack() as open_together:
        found: list[int] = []
        for _ in range(100 * count):
            port, probe = _FIRST + secrets.randbelow(_LAST - _FIRST + 1), socket.socket()
            try:
                probe.bind((HOST, port))
            except OSError:
                probe.close()
                continue
            open_together.enter_context(probe)
            found.append(port)
            if len(found) == count:
                return found
    raise DevnetError(f"ports: expected {count} free ones from {_FIRST} to {_LAST}, got {len(found)}")
