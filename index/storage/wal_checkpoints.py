"""Moving what is committed from the write-ahead log into the database, beside the writer.

SQLite does it within the commit that finds the log long: for a thousand records half as long again as the commit
itself. After such a commit a thread does it, over a connection of its own, while the writer prepares what comes next.
The log begins anew only once all of it is moved, which a thread does not reach between small commits: a log that goes
on growing makes each of them half as slow again. So after these SQLite does it, and after large ones in its turn where
the log has become twice as long.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from index.storage.sqlite import Connection, DatabaseError, checkpoint, connect
from index.types.errors import AfterimageIndexError

_LOG = logging.getLogger(__name__)
_LONG_LOG, _LONGEST_LOG = 1000, 2000  # pages, for a commit to move them itself; the first is SQLite's own measure


class Checkpoints:
    """Of one database. No two threads may call its methods at once: whoever does holds the write lock."""

    def __init__(self, writer: Connection, path: Path, key: bytes) -> None:
        """`writer`: the connection that writes to the database at `path`."""
        self._writer, self.path, self._key = writer, path, key
        self._connection: Connection | None = None
        self._running: threading.Thread | None = None
        self._large = False

    @property
    def connected(self) -> bool:
        """Whether it has a connection of its own."""
        return self._connection is not None

    def before(self, *, large: bool) -> None:
        """Says how long the log may be for the next commit, a large one or not, to leave it as it is."""
        if large is not self._large:
            self._large = large
            pages = _LONGEST_LOG if large else _LONG_LOG
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {pages}").fetchall()

    def after(self) -> None:
        """Begins to move what that commit left in the log, where it was a large one."""
        if not self._large or (self._running is not None and self._running.is_alive()):
            return
        thread = threading.Thread(target=self._move, name="checkpoint")
        try:
            thread.start()
        except RuntimeError:  # no thread to be had; the log grows meanwhile
            return
        self._running = thread

    def truncate(self) -> None:
        """Moves the whole log and empties it, so that overwritten rows leave the disk."""
        self.close()  # SQLite refuses a checkpoint beside another one, and does not wait for it
        checkpoint(self._writer)

    def close(self) -> None:
        """Waits for what is being moved, and gives the connection back; the next large commit opens another."""
        if self._running is not None:
            self._running.join()
            self._running = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _move(self) -> None:
        try:
            if self._connection is None:
                self._connection = connect(self.path, self._key, create=False)
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (DatabaseError, AfterimageIndexError) as error:  # all is still in the log, and moved the next time
            _LOG.warning("could not checkpoint a collection: %s", error)
