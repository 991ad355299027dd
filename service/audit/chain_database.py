"""The database of an audit log: its chain of entries, the signed head, and commits that concurrent changes share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from index import DataFault, StoreUnavailable, open_listed
from index.storage import Connection, DatabaseError, DatabaseLock, file_error
from service.audit.chain import Details, Entry, Head, Signer, genesis
from service.audit.schema import GUARDS, MIGRATIONS
from service.runtime.clock import now_ms

_T = TypeVar("_T")


@dataclass
class _PendingChange:
    """A change that waits for its group commit."""

    work: Callable[[], Entry | None]
    entry: Entry | None = None
    error: Exception | None = None
    over: bool = False


class ChainDatabase:
    """`audit.db` of one tenant.

    - `connection`: for statements within the `work` of `commit`.
    - `newest_ms`: time of its newest entry, milliseconds since 1970; 0 if it is empty.
    """

    def __init__(self, path: Path, tenant_uid: str, data_key: bytes, signer: Signer) -> None:
        """Opens the database, or creates it if the tenant's manifest lists none. Raises DataFault or
        StoreUnavailable."""
        self._uid, self._signer, self._path = tenant_uid, signer, path
        self._listed = open_listed(path, data_key, "audit log", MIGRATIONS)
        self.connection = self._listed.connection
        self._lock, self._queue_lock = DatabaseLock(path), threading.Lock()
        with self._lock:
            for guard in GUARDS:
                self.connection.execute(guard)
        self._queue: list[_PendingChange] = []
        head = self.head()
        self.newest_ms = head.time_ms if head is not None else 0

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._listed.close()

    def note_progress(self) -> None:
        """Stores the current state of the log in the tenant's manifest. Raises StoreUnavailable."""
        with self._lock:
            self._listed.note()

    def head(self) -> Head | None:
        """The signed head; None if the log is empty."""
        rows = self.rows("SELECT number, digest, time_ms, signature FROM head")
        return Head(self._uid, *rows[0]) if rows else None

    def commit(self, work: Callable[[], Entry | None], *, may_be_over: bool = False) -> Any:
        """Executes `work` in the next commit. The first thread commits for all that wait."""
        mine = _PendingChange(work)
        with self._queue_lock:
            self._queue.append(mine)
        with self._lock:
            if not mine.over:
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                self._commit_all(batch)
        if mine.error is not None:
            raise _told(mine.error) from mine.error
        assert mine.entry is not None or may_be_over
        return mine.entry

    def _commit_all(self, batch: list[_PendingChange]) -> None:
        """Commits all waiting changes with one transaction, one signature and one fsync."""
        failure: Exception | None = None
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                for turn in batch:
                    turn.entry = turn.work()
                self._sign([t.entry for t in batch if t.entry is not None])
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # SQLite rolls back by itself if the disk is full
                    self.connection.execute("ROLLBACK")
                raise
        except DatabaseError as error:
            failure = file_error(error, self._path)
        except Exception as error:
            failure = error
            raise
        finally:
            for turn in batch:
                turn.error, turn.over = failure, True

    def append(self, actor: str, action: str, details: Details) -> Entry:
        """Adds an entry, within the `work` of a commit. Its head is signed by the commit."""
        row = self.connection.execute("SELECT number, digest FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = row or (0, genesis(self._uid))
        entry = Entry(number + 1, now_ms(), actor, action, dict(details), previous)
        self.connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?)", (entry.number, as_json(entry.to_dict()), entry.digest)
        )
        return entry

    def _sign(self, added: list[Entry]) -> None:
        if not added:
            return
        last = added[-1]
        head = Head(self._uid, last.number, last.digest, last.time_ms)
        self.connection.execute(
            "INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?, ?)",
            (head.number, head.digest, head.time_ms, self._signer.sign(head.to_dict())),
        )
        self.newest_ms = head.time_ms

    def change(self, statement: str, values: tuple[object, ...]) -> None:
        """Executes a statement that changes what is in progress, not the chain. Raises StoreUnavailable."""
        self.within(lambda database: database.execute(statement, values))

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        """The rows of a query. Raises StoreUnavailable."""
        return self.within(lambda database: list(database.execute(query, values).fetchall()))

    def within(self, work: Callable[[Connection], _T]) -> _T:
        """Executes `work` alone on the database, outside a shared commit. Raises DataFault or StoreUnavailable."""
        with self._lock:
            try:
                return work(self.connection)
            except DatabaseError as error:
                raise _told(file_error(error, self._path)) from error


def _told(error: Exception) -> Exception:
    """The exception for a caller. Each thread needs an object of its own."""
    if isinstance(error, DataFault):
        return DataFault(error.path, error.problem)
    return StoreUnavailable(f"the audit log: {error}")


def as_json(value: object) -> str:
    """JSON with sorted keys, as digests and rows need it."""
    return json.dumps(value if not isinstance(value, Mapping) else dict(value), sort_keys=True, ensure_ascii=False)
