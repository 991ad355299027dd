"""The number of a database: it grows with what is changed in it, so that an older copy is known by a lower one.

The table `manifest_number` also tells that the database was listed in a manifest, and which generation that had.
"""

from __future__ import annotations

from pathlib import Path

from index.storage.sqlite import Connection
from index.types.errors import DataFault

_TABLE = (
    "CREATE TABLE IF NOT EXISTS manifest_number (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL,"
    " manifest INTEGER NOT NULL)"
)


def is_numbered(connection: Connection) -> bool:
    """Whether the database was listed in a manifest at any time."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'manifest_number'"
    return connection.execute(query).fetchone() is not None


def begin_number(connection: Connection) -> None:
    """Gives the database a number, where it has none."""
    connection.execute(_TABLE)
    connection.execute("INSERT OR IGNORE INTO manifest_number VALUES (1, 0, 0)")


def number_of(connection: Connection) -> int:
    """The database's number; 0 where it was never listed."""
    row = connection.execute("SELECT number FROM manifest_number").fetchone() if is_numbered(connection) else None
    return int(row[0]) if row else 0


def noted_generation(connection: Connection) -> int:
    """The generation that the manifest had when the database was last changed with one; 0: none was noted."""
    row = connection.execute("SELECT manifest FROM manifest_number").fetchone() if is_numbered(connection) else None
    return int(row[0]) if row else 0


def raise_number(connection: Connection, manifest: int | None = None, *, to: int = 0) -> int:
    """Raises the database's number, at least to `to`, and returns it. manifest: the generation that the manifest had,
    to be noted in the database; None leaves what was noted."""
    begin_number(connection)
    found = connection.execute(
        "UPDATE manifest_number SET number = max(number + 1, ?2), manifest = coalesce(?1, manifest) RETURNING number",
        (manifest, to),
    )
    return int(found.fetchall()[0][0])


def check_number(connection: Connection, path: Path, lowest: int) -> None:
    """Raises DataFault where the database is older than the manifest."""
    number = number_of(connection)
    if number < lowest:
        raise DataFault(path, f"is an older copy: its number is {number}, the manifest has {lowest}")
