"""A few read connections to one database, handed out one at a time.

In the write-ahead log's terms each read sees one committed state; readers never wait for the writer.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from index.storage.open_files import FreeFiles, none_freed, with_room
from index.storage.sqlite import Connection, DatabaseError, connect, store_error
from index.types.errors import StoreDamaged, StoreUnavailable

MAX_READERS = 4


class ReaderPool:
    """Opens up to MAX_READERS connections as they are needed; a caller waits where all are in use."""

    def __init__(
        self, path: Path, key: bytes, on_damage: Callable[[StoreDamaged], None], free_files: FreeFiles = none_freed,
        *, read_only: bool = False,
    ) -> None:  # fmt: skip
        """on_damage: told of each read that met a damaged page. free_files: has files closed where there are none.
        read_only: the connections cannot write, whatever they are asked to."""
        self._read_only = read_only
        self._path, self._key, self._on_damage, self._free_files = path, key, on_damage, free_files
        self.open_count = 0
        self._idle: list[Connection] = []
        self._permits = threading.BoundedSemaphore(MAX_READERS)
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection within one read transaction. Raises StoreUnavailable once the pool is closed or where the disk
        refuses, StoreDamaged where a page that is read is damaged."""
        with self._permits:
            self.check_open()
            connection = self._idle.pop() if self._idle else self._opened()
            try:
                connection.execute("BEGIN")
                yield connection
            except DatabaseError as error:
                failed = store_error(error, self._path)
                if isinstance(failed, StoreDamaged):
                    self._on_damage(failed)
                raise failed from error
            finally:
                self._take_back(connection)

    def _opened(self) -> Connection:
        connection = with_room(lambda: self._connected(), self._free_files)
        self.open_count += 1
        return connection

    def _connected(self) -> Connection:
        return connect(self._path, self._key, create=False, read_only=self._read_only)

    def _take_back(self, connection: Connection) -> None:
        """Keeps a connection for the next reader, unless it met an error: SQLCipher refuses it from then on."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except DatabaseError:
            self.open_count -= 1
            connection.close()
            return
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def drop_idle(self) -> None:
        """Closes the connections that nobody uses now, and with them the pages that they have read."""
        while self._idle:
            with contextlib.suppress(IndexError):  # a reader was faster
                connection = self._idle.pop()
                self.open_count -= 1
                connection.close()

    def check_open(self) -> None:
        """Raises StoreUnavailable once the pool is closed."""
        if self._closed:
            raise StoreUnavailable("the collection is closed")

    def close(self) -> None:
        """Waits for readers to finish and closes their connections."""
        self._closed = True
        for _ in range(MAX_READERS):
            self._permits.acquire()
        while self._idle:
            self._idle.pop().close()
        for _ in range(MAX_READERS):
            self._permits.release()
