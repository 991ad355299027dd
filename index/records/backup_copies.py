"""Making the database of a collection from that of a backup."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from index.records.schema import MIGRATIONS
from index.storage.crypto import derive_key
from index.storage.durable_files import sync_directory
from index.storage.sqlite import Connection, DatabaseError, backup, checkpoint, connect, migrate
from index.types.errors import AfterimageIndexError

_LOG = logging.getLogger(__name__)


def copy_database(source: Path, source_key: bytes, target: Path, target_key: bytes) -> None:
    """Copies a collection's database, under the data key of another tenant where that is another one. The digests of
    pictures and URLs are keyed: under another key they are left out, and each picture is encoded once more when it is
    sent again. Raises WrongKey or OSError."""
    connection = connect(source, derive_key(source_key, "collection store"))
    try:
        key = derive_key(target_key, "collection store")
        if source_key == target_key:
            backup(connection, target, key).close()
        else:
            with contextlib.closing(connect(target, key)) as copy:
                _copy_rows(connection, copy)
                checkpoint(copy)
    finally:
        connection.close()
    sync_directory(target.parent)


def number_rows_after(records: Path, key: bytes, others: Sequence[Path]) -> None:
    """Lets a database begin its next rows after those of others. What is deleted from a collection is erased from its
    snapshots by row id: a row that was made after a restore must not have the id of another one in a snapshot that is
    newer than what was restored."""
    highest = 0
    for path in others:
        try:
            with contextlib.closing(connect(path, key, create=False)) as connection:
                row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
        except (AfterimageIndexError, DatabaseError, OSError) as error:
            _LOG.warning("could not read the row ids of %s: %s", path.parent.name, error)
            continue
        highest = max(highest, int(row[0]) if row else 0)
    with contextlib.closing(connect(records, key)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO sqlite_sequence SELECT 'records', 0 WHERE NOT EXISTS"
                           " (SELECT * FROM sqlite_sequence WHERE name = 'records')")  # fmt: skip
        connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'records'", (highest,))
        connection.execute("COMMIT")
        checkpoint(connection)


def _copy_rows(source: Connection, target: Connection) -> None:
    migrate(source, MIGRATIONS, "the snapshot")
    migrate(target, MIGRATIONS, "the collection database")
    target.execute("BEGIN IMMEDIATE")
    for table in ("meta", "records", "tombstones", "learnt"):  # what sources withdrew or failed at stays where it is
        target.execute(f"DELETE FROM {table}")  # noqa: S608
        rows = source.execute(f"SELECT * FROM {table}")  # noqa: S608
        marks = ",".join("?" * len(rows.description))
        target.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608
    target.execute("DELETE FROM meta WHERE name = 'picture_policy'")
    target.execute(
        "UPDATE records SET digest = NULL, url_digest = NULL, etag = NULL, last_modified = NULL, source = NULL,"
        " item_digest = NULL"
    )
    target.execute("COMMIT")
