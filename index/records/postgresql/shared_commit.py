"""Commits of a collection whose truth is in PostgreSQL: the copy is written, and the commit is that of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from index.contract import ChangeSink
from index.records.group_commit import GroupCommit, Write, WriteSide
from index.records.postgresql.database import PgConnection, reached
from index.records.postgresql.shared_copy import SharedCopy
from index.records.postgresql.shared_rows import State
from index.records.queries import read_sequence, read_usage
from index.storage.sqlite import DatabaseError, store_errors
from index.types.quota import Allowance, Usage


class _Open(NamedTuple):
    """The transaction in PostgreSQL, which has locked the collection. state: how far that is."""

    remote: PgConnection
    state: State


class SharedCommit(GroupCommit):
    """The single writer of this server. Those of other servers wait while it has the collection locked."""

    def __init__(self, side: WriteSide, vectors: ChangeSink, allowance: Allowance | None, copy: SharedCopy) -> None:
        super().__init__(side, vectors, allowance)
        self._copy = copy
        self._open: _Open | None = None

    def follow(self) -> None:
        """Applies what other servers have committed, and publishes it. Raises StoreUnavailable or StoreDamaged."""
        with self.lock:
            if self._side.failure is not None:
                return
            with self._copy.database.transaction(one_state=True) as remote:
                state = self._copy.current(remote)
                if self._copy.behind(remote, state):
                    self._follow(remote, state)

    def _commit(self, group: Sequence[Write[Any]]) -> None:
        with self._copy.database.transaction() as remote:
            state = self._copy.current(remote, locked=True)
            if self._copy.behind(remote, state):
                self._follow(remote, state)
            self._open = _Open(remote, state)
            try:
                super()._commit(group)
            finally:
                self._open = None

    def _follow(self, remote: PgConnection, state: State) -> None:
        with store_errors(self._path), self._copied() as before:
            changes = self._copy.catch_up(remote, state)
            staged = self._vectors.stage(changes)
            try:
                self._connection.execute("COMMIT")
            except BaseException:
                staged.discard()
                raise
            staged.publish(read_sequence(self._connection))
            if self._allowance is not None:
                after = read_usage(self._connection)
                self._allowance.add(Usage(after.records - before.records, after.bytes - before.bytes))

    @contextmanager
    def _copied(self) -> Iterator[Usage]:
        """A transaction of the copy, which the block commits. Gives what is stored before it."""
        before = read_usage(self._connection)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield before
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._copy.settle()

    def _make_durable(self) -> None:
        assert self._open is not None
        remote, state = self._open
        with reached():
            stamp = self._copy.push(remote, state)
        if stamp is not None:
            self._copy.commit(remote, state, stamp)
        try:
            self._connection.execute("COMMIT")
        except DatabaseError as error:
            raise RuntimeError(f"PostgreSQL has the write, the copy of this server has not: {error}") from error
        self._copy.settle()
