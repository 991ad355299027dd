"""What is erased from the database of a backup: rows, and what was kept of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from index.records.extensions.kept_pictures import knows_pictures, write_policy
from index.storage.sqlite import Connection
from index.types.companions import PicturePolicy

_DELETED_AT_ONCE = 500


def has_pictures(connection: Connection) -> bool:
    if not knows_pictures(connection):
        return False
    query = "SELECT EXISTS (SELECT 1 FROM pictures) OR EXISTS (SELECT 1 FROM loose_pictures)"
    return bool(connection.execute(query).fetchone()[0])


def drop_pictures(connection: Connection, policy: PicturePolicy) -> None:
    connection.execute("BEGIN IMMEDIATE")
    write_policy(connection, policy)
    connection.execute("DELETE FROM loose_pictures")
    connection.execute("COMMIT")


def _blocks(row_ids: Sequence[int]) -> Iterator[tuple[Sequence[int], str]]:
    """Row ids, some at a time, and as many marks for them."""
    for start in range(0, len(row_ids), _DELETED_AT_ONCE):
        block = row_ids[start : start + _DELETED_AT_ONCE]
        yield block, ",".join("?" * len(block))


def has_rows(connection: Connection, row_ids: Sequence[int]) -> bool:
    for block, marks in _blocks(row_ids):
        if connection.execute(f"SELECT 1 FROM records WHERE row_id IN ({marks}) LIMIT 1", block).fetchone():  # noqa: S608
            return True
    return False


def delete_rows(connection: Connection, row_ids: Sequence[int]) -> None:
    """Deletes rows and corrects the counts."""
    pictures_too = knows_pictures(connection)
    connection.execute("BEGIN IMMEDIATE")
    for block, marks in _blocks(row_ids):
        connection.execute(f"DELETE FROM records WHERE row_id IN ({marks})", block)  # noqa: S608
        if pictures_too:
            connection.execute(f"DELETE FROM pictures WHERE row_id IN ({marks})", block)  # noqa: S608
    connection.execute("UPDATE meta SET value = (SELECT count(*) FROM records) WHERE name = 'records'")
    connection.execute("COMMIT")
