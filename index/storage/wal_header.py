"""Notices each commit to a database without a query: the header of its WAL index.

SQLite keeps the index of a write-ahead log in a file that all processes map (`-shm`). The first 48 bytes count the
commits and hold the length of the log and checksums. Each commit of any process rewrites them before it returns.
Reading them takes no lock and no system call, so the thread keeps the interpreter.
"""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

HEADER_BYTES = 48
_Inode = tuple[int, int]


class WalHeader:
    """The header of one open database. Thread-safe, except that nothing may be read after `close`."""

    def __init__(self, database: Path) -> None:
        """`database`: in WAL mode, with a connection of this process that has read it. Raises OSError."""
        self._inode, self._mapped = _files.take(database.with_name(f"{database.name}-shm"))

    def read(self) -> bytes:
        """48 bytes that differ from those read before any later commit. May differ without one. Raises ValueError
        after `close`."""
        return self._mapped[:HEADER_BYTES]

    def close(self) -> None:
        """Lets go of the file. Call it after the connection was closed."""
        _files.give(self._inode)


class _MappedFiles:
    """The mapped files of this process.

    Closing any descriptor of a file drops all locks that the process holds on it. SQLite's lock on this file keeps
    other processes from truncating what is mapped. So a file is let go only with the last of its users here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[_Inode, tuple[int, mmap.mmap]] = {}
        self._users: dict[_Inode, int] = {}

    def take(self, path: Path) -> tuple[_Inode, mmap.mmap]:
        with self._lock:
            found = os.stat(path)
            inode = (found.st_dev, found.st_ino)
            if inode not in self._opened:
                descriptor = os.open(path, os.O_RDONLY)
                self._opened[inode] = descriptor, mmap.mmap(descriptor, HEADER_BYTES, access=mmap.ACCESS_READ)
            self._users[inode] = self._users.get(inode, 0) + 1
            return inode, self._opened[inode][1]

    def give(self, inode: _Inode) -> None:
        with self._lock:
            self._users[inode] -= 1
            if self._users[inode]:
                return
            del self._users[inode]
            descriptor, mapped = self._opened.pop(inode)
            mapped.close()
            os.close(descriptor)


_files = _MappedFiles()
