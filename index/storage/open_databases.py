"""How the databases begin that this process has open.

Closing any descriptor of a file drops all locks that the process holds on it (POSIX), those of its SQLite connections
too. Without them, another process takes itself for the last user of the database and may remove its write-ahead log.
So nobody reads a database's file while a connection is open: what can be asked of it then is remembered here.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlcipher3 import dbapi2

from index.storage.page_format import PageFormat, format_of
from index.storage.regular_files import open_regular

SALT_BYTES = 16
_Inode = tuple[int, int]


@dataclass(frozen=True)
class Beginning:
    """How a database begins. salt: 16 bytes in the clear; pages: how its pages lie."""

    salt: bytes
    pages: PageFormat


class OpenDatabases:
    """The beginnings of databases by file, as long as connections to them are open. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a connection may be collected, and let go of its file, inside
        self._beginnings: dict[_Inode, Beginning] = {}
        self._users: dict[_Inode, int] = {}

    def take(self, path: Path, key: bytes) -> tuple[_Inode, Beginning] | None:
        """Before a connection is opened. None where the file is missing or empty. key: 32 bytes. Raises OSError."""
        with self._lock:
            inode = _inode(path)
            if inode is None:
                return None
            if inode not in self._beginnings:
                self._beginnings[inode] = Beginning(_salt(path), format_of(path, key))
            self._users[inode] = self._users.get(inode, 0) + 1
            return inode, self._beginnings[inode]

    def take_new(self, path: Path, salt: bytes, pages: PageFormat) -> _Inode:
        """After a connection has made a database. Raises OSError."""
        with self._lock:
            found = os.stat(path)
            inode = (found.st_dev, found.st_ino)
            self._beginnings.setdefault(inode, Beginning(salt, pages))
            self._users[inode] = self._users.get(inode, 0) + 1
            return inode

    def give(self, inode: _Inode) -> None:
        """After a connection was closed."""
        with self._lock:
            self._users[inode] -= 1
            if not self._users[inode]:
                del self._users[inode], self._beginnings[inode]

    def salt_of(self, path: Path) -> bytes:
        """The first 16 bytes of a database, in the clear: random, and no page of it opens under another salt. Empty
        where there is no such file. Raises OSError."""
        with self._lock:
            inode = _inode(path)
            if inode is None:
                return b""
            known = self._beginnings.get(inode)
            return known.salt if known else _salt(path)


def _inode(path: Path) -> _Inode | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None


def _salt(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(SALT_BYTES)
    except FileNotFoundError:
        return b""


open_databases = OpenDatabases()


class TrackedConnection(dbapi2.Connection):  # type: ignore[misc]
    """One that tells `open_databases` what it has open."""

    _give: Callable[[], object] | None = None

    def take(self, path: Path, key: bytes) -> Beginning | None:
        """Before anything is read. None where the database is new. Raises OSError."""
        taken = open_databases.take(path, key)
        if taken is None:
            return None
        self._holds(taken[0])
        return taken[1]

    def take_new(self, path: Path, pages: PageFormat) -> None:
        """After the database was made."""
        salt = bytes.fromhex(self.execute("PRAGMA cipher_salt").fetchone()[0])
        self._holds(open_databases.take_new(path, salt, pages))

    def close(self) -> None:
        """Closes, and then lets go of the file."""
        super().close()
        if self._give is not None:
            self._give()  # does nothing the second time

    def _holds(self, inode: tuple[int, int]) -> None:
        self._give = give = weakref.finalize(self, open_databases.give, inode)
        give.atexit = False
