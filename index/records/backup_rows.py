"""What is erased from the database of a backup: rows, and what its collection may no longer keep beside them."""

from __future__ import annotations

from collections.abc import Sequence

from index.records.extensions.hook import Extensions
from index.records.queries import blocks, marks
from index.storage.sqlite import Connection
from index.types.collection import CollectionSpec

# What `record_size` of `index.records.row_changes` counts.
_BYTES = (
    "SELECT coalesce(sum(length(CAST(record_id AS BLOB)) + length(CAST(product_id AS BLOB))"
    " + length(CAST(attributes AS BLOB)) + length(vector)), 0) FROM records"
)


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
    recount(connection, extensions)
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
    recount(connection, extensions)
    connection.execute("COMMIT")


def recount(connection: Connection, extensions: Extensions) -> None:
    """Corrects the counts of records and bytes: a collection that is restored from the copy goes on with them."""
    connection.execute("UPDATE meta SET value = CAST((SELECT count(*) FROM records) AS TEXT) WHERE name = 'records'")
    beside = sum(extension.stored_bytes(connection) for extension in extensions)
    connection.execute(f"UPDATE meta SET value = CAST(({_BYTES}) + ? AS TEXT) WHERE name = 'bytes'", (beside,))  # noqa: S608
