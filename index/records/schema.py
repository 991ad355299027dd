"""The format of a collection's database, as numbered migrations. docs/formats/collection-database.md describes it.

A migration that has been released is never changed. A new format gets the next number, here or in an extension.
"""

from __future__ import annotations

import json

from index.manifest.change_number import begin_number
from index.manifest.entries import Entry, details_of
from index.manifest.location import Location
from index.records.extensions.hook import Extensions
from index.records.queries import note_meta
from index.storage.sqlite import Connection, migrate

_OWN = {
    1: """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE records (
      row_id INTEGER PRIMARY KEY AUTOINCREMENT,
      record_id TEXT NOT NULL UNIQUE,
      product_id TEXT NOT NULL,
      attributes TEXT NOT NULL,
      region BLOB,
      digest BLOB,
      encoder_fingerprint TEXT NOT NULL,
      sequence INTEGER NOT NULL,
      created_ms INTEGER NOT NULL,
      updated_ms INTEGER NOT NULL,
      vector BLOB NOT NULL
    );
    CREATE UNIQUE INDEX records_by_sequence ON records (sequence);
    CREATE TABLE tombstones (sequence INTEGER PRIMARY KEY, row_id INTEGER NOT NULL)
""",
    3: """
    INSERT INTO meta SELECT 'records', count(*) FROM records;
    INSERT INTO meta SELECT 'bytes', coalesce(sum(length(vector) + length(CAST(record_id AS BLOB))
      + length(CAST(product_id AS BLOB)) + length(CAST(attributes AS BLOB))), 0) FROM records;
    CREATE TABLE learnt (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
""",
}


def migrations(extensions: Extensions) -> tuple[str, ...]:
    """All migrations, in order, those of the extensions among them."""
    by_number = _OWN | {number: sql for extension in extensions for number, sql in extension.migrations.items()}
    return tuple(by_number[number] for number in range(1, len(by_number) + 1))


def prepare_database(connection: Connection, place: Location, extensions: Extensions) -> None:
    """Brings the database to the newest format, and writes down whose it is, for the day that nobody else knows."""
    migrate(connection, migrations(extensions), str(place.layout.records))
    details = json.dumps(details_of(Entry(place.layout.root.name, place.home, place.spec)), sort_keys=True)
    row = connection.execute("SELECT value FROM meta WHERE name = 'collection'").fetchone()
    if row is None or row[0] != details:
        connection.execute("BEGIN IMMEDIATE")
        begin_number(connection)
        note_meta(connection, "collection", details)
        connection.execute("COMMIT")
