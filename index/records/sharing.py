"""The note in a collection's database that its truth is in PostgreSQL, and how far this copy has followed that."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any, NamedTuple

from index.manifest.location import Location
from index.manifest.transactions import SharedElsewhere
from index.records.queries import note_meta
from index.storage.crypto import derive_key, keyed_digest
from index.storage.sqlite import Connection, connect

NAME = "shared"  # in `meta`
_ID_BYTES = 16


class Position(NamedTuple):
    """Up to which commit a copy has followed; version 0: it is no copy, or, where it has a stamp, it has nothing yet
    that could be entered in PostgreSQL."""

    version: int
    stamp: str


def shared_id(place: Location) -> bytes:
    """What PostgreSQL knows a collection by: 16 bytes that say nothing without the tenant's key."""
    uid = place.layout.root.name.encode()
    return keyed_digest(derive_key(place.key, "shared collection"), uid)[:_ID_BYTES]


def read_position(connection: Connection, collection: bytes) -> Position:
    """What a database notes about the collection with this id. What it notes about another one, of whose database it
    was copied, does not count."""
    noted = _read(connection)
    if noted.get("collection") != collection.hex():
        return Position(0, "")
    return Position(noted["version"], noted["stamp"])


def note_position(connection: Connection, collection: bytes, position: Position) -> None:
    """Notes it, within a transaction."""
    noted = json.dumps({"collection": collection.hex(), "version": position.version, "stamp": position.stamp})
    note_meta(connection, NAME, noted)


def forget_position(connection: Connection) -> None:
    """Makes the database no copy any more."""
    connection.execute("DELETE FROM meta WHERE name = ?", (NAME,))


EXPECTED = Position(0, "expected")


def expect_records(place: Location) -> None:
    """Notes in an empty database that another server has made the collection."""
    with closing(connect(place.layout.records, place.store_key, create=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        note_position(connection, shared_id(place), EXPECTED)
        connection.execute("COMMIT")


def _read(connection: Connection) -> dict[str, Any]:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (NAME,)).fetchone()
    return json.loads(row[0]) if row else {}


def check_unshared(connection: Connection, place: Location) -> None:
    """Raises SharedElsewhere where the database is a copy: what is written to it alone would be lost."""
    noted = _read(connection)  # of thousands of collections that are opened, few have a note
    if noted and any(read_position(connection, shared_id(place))):
        raise SharedElsewhere(
            "the records of this collection are in PostgreSQL: set store_url, or run"
            " `afterimage store copy --to directory`"
        )
