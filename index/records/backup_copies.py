"""Making the database of a collection from that of a backup."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from index.manifest.location import Location
from index.records.backup_rows import recount
from index.records.extensions.hook import Extensions
from index.records.schema import migrations
from index.storage.crypto import derive_key
from index.storage.durable_files import sync_directory
from index.storage.sqlite import Connection, DatabaseError, backup, checkpoint, connect, migrate
from index.types.errors import AfterimageIndexError

_LOG = logging.getLogger(__name__)


def copy_database(file: Path, file_key: bytes, place: Location, extensions: Extensions) -> None:
    """Copies a database to where a collection is to lie. file_key: data key of the tenant that the database is of, 32
    bytes. Content digests are keyed: for another tenant they are left out, so that each record is encoded once more
    when it is sent again; extensions drop what only the first tenant could explain. Raises WrongKey or OSError."""
    connection, target = connect(file, derive_key(file_key, "collection store")), place.layout.records
    try:
        key = place.store_key
        if file_key == place.key:
            backup(connection, target, key).close()
        else:
            with contextlib.closing(connect(target, key)) as copy:
                _copy_rows(connection, copy, extensions)
                checkpoint(copy)
    finally:
        connection.close()
    sync_directory(target.parent)


def number_rows_after(records: Path, key: bytes, others: Sequence[Path]) -> None:
    """Lets a database begin its next rows after those of others. What is deleted from a collection is erased from its
    snapshots by row id: a row that was made after a restore must not have the id of another one in a snapshot that is
    newer than what was restored."""
    last: list[tuple[int]] = []
    for path in others:
        try:
            with contextlib.closing(connect(path, key, create=False)) as connection:
                last += connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchall()
        except (AfterimageIndexError, DatabaseError, OSError) as error:
            _LOG.warning("could not read the row ids of %s: %s", path.parent.name, error)
    with contextlib.closing(connect(records, key)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO sqlite_sequence SELECT 'records', 0 WHERE NOT EXISTS"
                           " (SELECT * FROM sqlite_sequence WHERE name = 'records')")  # fmt: skip
        connection.executemany("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'records'", last)
        connection.execute("COMMIT")
        checkpoint(connection)


def _copy_rows(source: Connection, target: Connection, extensions: Extensions) -> None:
    migrate(source, migrations(extensions), "the snapshot")
    migrate(target, migrations(extensions), "the collection database")
    target.execute("BEGIN IMMEDIATE")
    for table in ("meta", "records", "tombstones", "learnt", *extensions.carried):
        target.execute(f"DELETE FROM {table}")  # noqa: S608
        rows = source.execute(f"SELECT * FROM {table}")  # noqa: S608
        marks = ",".join("?" * len(rows.description))
        target.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608
    target.execute("UPDATE records SET digest = NULL")
    target.execute("DELETE FROM learnt WHERE name = 'searches'")  # how the other tenant searched is not this one's
    for extension in extensions:
        extension.unkeyed(target)
    recount(target, extensions)
    target.execute("COMMIT")
