"""What is erased from the database of a backup: rows, and what its collection may no longer keep beside them."""

from __future__ import annotations

from collections.abc import Sequence

from index.records.extensions.hook import Extensions
from index.records.queries import blocks, marks
from index.storage.sqlite import Connection
from index.types.collection import CollectionSpec


def has_rows(connection: Connection, row_ids: Sequence[int]) -> bool:
    """Whether any of the rows is there."""
    for block in blocks(row_ids):
        query = f"SELECT 1 FROM records WHERE row_id IN ({marks(block)}) LIMIT 1"  # noqa: S608
        if connection.execute(query, block).fetchone():
            return True
    return False


def delete_rows(connection: Connection, row_ids: Sequence[int], extensions: Extensions) -> None:
    """Deletes rows, what extensions keep of them, and corrects the counts."""
    connection.execute("BEGIN IMMEDIATE")
    for block in blocks(row_ids):
        connection.execute(f"DELETE FROM records WHERE row_id IN ({marks(block)})", block)  # noqa: S608
    for extension in extensions:
        extension.rows_erased(connection, row_ids)
    connection.execute("UPDATE meta SET value = (SELECT count(*) FROM records) WHERE name = 'records'")
    connection.execute("COMMIT")


def has_excess(connection: Connection, extensions: Extensions) -> bool:
    """Whether an extension may find something to drop."""
    return any(extension.has_excess(connection) for extension in extensions)


def narrow(connection: Connection, spec: CollectionSpec, extensions: Extensions) -> None:
    """Drops what a collection like this may not keep beside its records."""
    connection.execute("BEGIN IMMEDIATE")
    for extension in extensions:
        if extension.has_excess(connection):
            extension.narrow(connection, spec)
    connection.execute("COMMIT")
