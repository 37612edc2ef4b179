"""A short-lived folder with short paths for Unix sockets: 104 to 108 bytes are all that a socket's path may have."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from chain.errors import DevnetError

_LONGEST = 103  # bytes: macOS's limit, less than Linux's
_LONGEST_NAME = len("supervisord.sock.12345678")  # while it starts, the supervisor's has its number behind


def folder_for(root: Path) -> Path:
    """Return the path of a network's sockets folder, which depends on the network's own folder alone.

    Raises:
        DevnetError: the system's folder for temporary files has too long a path.
    """
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"twinledger-{name}"
    length = len(os.fsencode(folder)) + 1 + _LONGEST_NAME
    if length > _LONGEST:
        raise DevnetError(
            f"{folder}: expected at most {_LONGEST} bytes for a socket's path, got {length}; set a shorter TMPDIR"
        )
    return folder


def prepare(folder: Path) -> None:
    """Make a sockets folder, or make sure that the one there is this user's alone.

    Stops another user from planting the folder: whoever owns it can put a socket of his own in the validators' place.

    Raises:
        DevnetError: it is somebody else's, a link, or open to others.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()  # of the link itself, should it be one
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise DevnetError(
            f"{folder}: expected a folder of this user (id {os.getuid()}, mode 0700), got one of user {found.st_uid}, "
            f"{stat.filemode(found.st_mode)}; look at who made it, and remove it"
        )
