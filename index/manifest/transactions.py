"""How a database of the data directory is changed: alone, or together with its copies on other servers.

A copy has a note of how far it has followed. Without the setting that says where the others are, it is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from index.contract import DatabaseSharing, DatabaseTransactions, SharedDatabase
from index.storage.crypto import derive_key, keyed_digest
from index.storage.sqlite import Connection
from index.types.errors import StoreUnavailable

OWN_TABLES = ("manifest_number", "shared_copy")  # of every such database
_ID_BYTES = 16
_TABLE = (
    "CREATE TABLE IF NOT EXISTS shared_copy (one INTEGER PRIMARY KEY CHECK (one = 1), shared TEXT NOT NULL,"
    " version INTEGER NOT NULL, stamp TEXT NOT NULL)"
)


class CopyNote(NamedTuple):
    """Up to which commit a copy has followed; version 0: it is no copy yet. shared: of which database, in hex."""

    shared: str
    version: int
    stamp: str


def read_note(connection: Connection) -> CopyNote:
    """The note of a database."""
    if connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'shared_copy'").fetchone() is None:
        return CopyNote("", 0, "")
    row = connection.execute("SELECT shared, version, stamp FROM shared_copy").fetchone()
    return CopyNote(*row) if row else CopyNote("", 0, "")


def write_note(connection: Connection, note: CopyNote) -> None:
    """Writes it, in the transaction of what was followed."""
    connection.execute("INSERT OR REPLACE INTO shared_copy VALUES (1, ?, ?, ?)", note)


def begin_note(connection: Connection) -> None:
    """Makes room for the note."""
    connection.execute(_TABLE)


def forget_note(connection: Connection) -> None:
    """Makes the database no copy any more."""
    connection.execute("DELETE FROM shared_copy")


class SharedElsewhere(StoreUnavailable):
    """The truth is in PostgreSQL."""


class LocalTransactions:
    """Implements `DatabaseTransactions` for a database that no other server has."""

    version = 0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self) -> None:
        if read_note(self._connection).version:
            raise SharedElsewhere(
                "this data directory is a copy of what is in PostgreSQL: set store_url, or run"
                " `afterimage store copy --to directory`"
            )

    @contextmanager
    def changing(self) -> Iterator[None]:
        with self.committed():
            self.open()
            yield

    @contextmanager
    def committed(self) -> Iterator[None]:
        """A transaction about what each server has for itself."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def follow(self) -> bool:
        return False

    def detach(self) -> None:
        """Nothing: it is the truth."""

    def differences(self) -> list[str]:
        return []


def database_id(key: bytes, name: str) -> bytes:
    """What a database is known by where it is shared: 16 bytes that say nothing without the tenant's data key."""
    return keyed_digest(derive_key(key, "shared database"), name.encode())[:_ID_BYTES]


def transactions(
    sharing: DatabaseSharing | None, shared: SharedDatabase, connection: Connection,
    applied: Callable[[], object] | None = None,
) -> DatabaseTransactions:  # fmt: skip
    """How a database is changed that is shared where anything is."""
    if sharing is None:
        return LocalTransactions(connection)
    return sharing.transactions(shared, connection, applied or (lambda: None))
