"""The sockets of this process, found among its open files. For sockets of libraries that do not give them away."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

_OPEN_FILES = "/proc/self/fd"


def internet_sockets() -> Iterator[socket.socket]:
    """Yields a duplicate of each TCP socket, new ones mostly first. It is closed when the next one is asked for.

    The descriptor of a duplicate stays that of the same socket if its owner closes and reuses its own meanwhile. Takes
    about two microseconds per open file. Yields nothing on systems without `/proc`.
    """
    if not os.path.isdir(_OPEN_FILES):
        return
    for descriptor in sorted(map(int, os.listdir(_OPEN_FILES)), reverse=True):
        with contextlib.suppress(OSError), _duplicate(descriptor) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
                yield found


def _duplicate(descriptor: int) -> socket.socket:
    """Duplicates the descriptor of a socket. Raises OSError for any other file."""
    duplicate = os.dup(descriptor)
    try:
        return socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise
