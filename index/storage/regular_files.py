"""Reading files of a data directory that may be something else: a pipe, a device, a socket, a directory.

To open a pipe waits for a writer, and a device may have no end. Either would hold whoever starts the server, or checks
the directory, for good.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


class NotRegularFile(FileNotFoundError):
    """There is something at a path, and it is no file."""


def open_regular(path: Path) -> BufferedReader:
    """Opens a file to read. Raises OSError; NotRegularFile where it is no file, or a link to none."""
    return open(path, "rb", opener=_opened)


def read_regular(path: Path) -> bytes:
    """The content of a file. Raises as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def _opened(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK)
    except OSError as error:
        # A socket cannot be opened at all, and a link that leads to itself leads to no file.
        if error.errno == errno.ELOOP or (os.path.exists(path) and not os.path.isfile(path)):
            raise _refusal(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refusal(path)
    return descriptor


def _refusal(path: str) -> NotRegularFile:
    return NotRegularFile(f"{Path(path).name} is not a file")
