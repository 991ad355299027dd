"""Group commit: concurrent writers share one transaction, and so one wait for the disk.

The first writer to arrive becomes the leader: it takes every write that waits, runs them in one transaction, commits,
and publishes. Writers that arrive meanwhile wait for the lock and are served by the next leader, which may be any of
them. There is no timer, and a thread beside it only where it has something to do while the disk is waited for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from index.contract import ChangeSink, StagedChanges
from index.records.extensions.hook import Extensions
from index.records.transaction import Transaction
from index.speed.gil_yield import free_gradually
from index.storage.sqlite import Connection, DatabaseError, is_disk_full, store_error
from index.storage.wal_checkpoints import Checkpoints
from index.types.changes import RowChange
from index.types.errors import OutcomeUnknown, StoreUnavailable
from index.types.quota import Allowance

T = TypeVar("T")
_LARGE = 128  # changes of a commit that are worth threads beside the writer


@dataclass
class Write(Generic[T]):
    """A write that waits for its turn, and what became of it."""

    body: Callable[[Transaction], T]
    done: bool = False
    result: T | None = None
    error: BaseException | None = None
    changes: list[RowChange] = field(default_factory=list)


@dataclass
class WriteSide:
    """What whoever writes to a database shares. lock: held by the one who writes, or must see a still database;
    failure: why nobody may write any more. fingerprint: of the collection's encoder;
    extensions: what is kept beside the records."""

    connection: Connection
    checkpoints: Checkpoints
    fingerprint: str
    extensions: Extensions
    lock: threading.Lock = field(default_factory=threading.Lock)
    failure: StoreUnavailable | None = None


class GroupCommit:
    """The single writer of a collection's database.

    vectors: takes over each commit under the write lock.
    """

    MAX_GROUP = 256

    def __init__(self, side: WriteSide, vectors: ChangeSink, allowance: Allowance | None = None) -> None:
        self._side, self._vectors, self._allowance = side, vectors, allowance
        self._connection, self._checkpoints = side.connection, side.checkpoints
        self._path = side.checkpoints.path
        self._waiting: deque[Write[Any]] = deque()
        self.lock = side.lock

    def run(self, body: Callable[[Transaction], T]) -> T:
        """Runs `body` in a transaction and returns what it returned, once that is on disk and published.

        Raises what `body` raised (none of its changes stay), StoreUnavailable where the disk refused, StoreDamaged
        where the database is damaged, or OutcomeUnknown where the disk failed at the commit.
        """
        write = Write(body)
        self._waiting.append(write)
        with self.lock:
            if not write.done:
                self._lead()
        if write.error is not None:
            raise write.error
        return write.result  # type: ignore[return-value]

    @property
    def closed(self) -> bool:
        """Whether writes are refused."""
        return self._side.failure is not None

    def close(self, why: StoreUnavailable) -> None:
        """Refuses all later writes with this error."""
        self._side.failure = why

    def _lead(self) -> None:
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self.MAX_GROUP))]
        try:
            if self._side.failure is not None:
                raise type(self._side.failure)(str(self._side.failure))
            self._commit(group)
        except StoreUnavailable as error:
            for write in group:
                write.error = error
        except BaseException as error:  # the rows in memory may be others than those of the store
            self._give_up(error)
            for write in group:
                write.error = OutcomeUnknown(f"the write failed at the commit: {error}")
        for write in group:
            write.done = True

    def _commit(self, group: Sequence[Write[Any]]) -> None:
        at_commit = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(self._connection, self._side.fingerprint, self._side.extensions, self._allowance)
            for write in group:
                self._run_one(transaction, write)
            transaction.finish()
            at_commit = True
            self._store([c for w in group for c in w.changes], transaction.sequence)
            if self._allowance is not None:
                self._allowance.add(transaction.growth)
            for write in group:
                free_gradually(write.changes)
        except StoreUnavailable:  # of the vector index, before the commit, or of whoever else has to store it
            self._connection.execute("ROLLBACK")
            raise
        except DatabaseError as error:
            self._give_up(error)
            if at_commit and not is_disk_full(error):
                raise OutcomeUnknown(
                    f"a disk error during the commit; the write may or may not be stored: {error}"
                ) from error
            raise store_error(error, self._path) from error

    def _store(self, changes: Sequence[RowChange], sequence: int) -> None:
        """Commits and publishes. Many changes are entered while the disk is at work, which takes it milliseconds and
        needs no interpreter; should the disk refuse, they are taken back before anybody has seen them."""
        large = len(changes) >= _LARGE
        self._checkpoints.before(large=large)
        staged = self._staged_beside(changes) if large else self._staged_before(changes)
        with _committed():
            staged.publish(sequence)
        self._checkpoints.after()

    def _staged_before(self, changes: Sequence[RowChange]) -> StagedChanges:
        """Stages, then commits. An index that refuses leaves nothing stored."""
        staged = self._vectors.stage(changes)
        try:
            self._make_durable()
        except BaseException:
            staged.discard()
            raise
        return staged

    def _staged_beside(self, changes: Sequence[RowChange]) -> StagedChanges:
        """Stages while the disk commits."""
        committing = _Committing(self._make_durable)
        try:
            with _committed():
                staged = self._vectors.stage(changes)
        finally:
            committing.join()
        if committing.refused is not None:
            staged.discard()
            raise committing.refused
        return staged

    def _make_durable(self) -> None:
        """Commits what the transaction did. May be called from a thread of its own. Raises DatabaseError, or
        StoreUnavailable where nothing was stored."""
        self._connection.execute("COMMIT")

    def _run_one(self, transaction: Transaction, write: Write[Any]) -> None:
        before, growth, transaction.changes = transaction.sequence, transaction.growth, []
        self._connection.execute("SAVEPOINT one_write")
        try:
            write.result = write.body(transaction)
        except DatabaseError:
            raise
        except Exception as error:
            write.error = error
            transaction.sequence, transaction.growth, transaction.changes = before, growth, []
            self._connection.execute("ROLLBACK TO one_write")
        self._connection.execute("RELEASE one_write")
        write.changes = transaction.changes

    def _give_up(self, error: BaseException) -> None:
        """After a failed transaction. A full disk is survivable; any other failure leaves the state of the file, or of
        the rows in memory, in doubt (a failed fsync must not be retried), so the collection takes no more writes until
        it is opened again."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except DatabaseError as refused:
            self._refuse_from_now_on(refused)
        if not is_disk_full(error):
            self._refuse_from_now_on(error)

    def _refuse_from_now_on(self, error: BaseException) -> None:
        failure = store_error(error, self._path)
        self._side.failure = type(failure)(f"an earlier write failed: {failure}")


@contextmanager
def _committed() -> Iterator[None]:
    """What an index raises once the commit may stand says nothing of what is stored: no StoreUnavailable."""
    try:
        yield
    except StoreUnavailable as error:
        raise RuntimeError(f"the vector index did not follow: {error}") from error


class _Committing(threading.Thread):
    """A commit that is under way; `refused` is what it raised, once the thread has ended. No executor: those
    take nothing more once a process's main thread has ended, while its other threads may still write."""

    def __init__(self, commit: Callable[[], None]) -> None:
        super().__init__(name="commit")
        self._commit = commit
        self.refused: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._commit()
        except BaseException as error:
            self.refused = error
