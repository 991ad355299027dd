"""A few read connections to one database, handed out one at a time.

In the write-ahead log's terms each read sees one committed state; readers never wait for the writer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.errors import StoreUnavailable
from index.sqlite import Connection, connect

MAX_READERS = 4


class ReaderPool:
    """Opens up to MAX_READERS connections as they are needed; a caller waits where all are in use."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path, self._key = path, key
        self._idle: list[Connection] = []
        self._permits = threading.BoundedSemaphore(MAX_READERS)
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection within one read transaction. Raises StoreUnavailable once the pool is closed."""
        with self._permits:
            self.check_open()
            connection = self._idle.pop() if self._idle else connect(self._path, self._key)
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if self._closed:
                    connection.close()
                else:
                    self._idle.append(connection)

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
