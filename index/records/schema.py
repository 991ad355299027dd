"""The format of a collection's database, as numbered migrations. docs/formats/collection-database.md describes it.

A migration that has been released is never changed; a new format is a new entry at the end.
"""

from __future__ import annotations

import json

from index.manifest.change_number import begin_number
from index.manifest.entries import Entry, told_of
from index.manifest.location import Location
from index.storage.sqlite import Connection, migrate

MIGRATIONS = (
    """
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
    """
    ALTER TABLE records ADD COLUMN url_digest BLOB;
    ALTER TABLE records ADD COLUMN etag TEXT;
    ALTER TABLE records ADD COLUMN last_modified TEXT
    """,
    """
    INSERT INTO meta SELECT 'records', count(*) FROM records;
    INSERT INTO meta SELECT 'bytes', coalesce(sum(length(vector) + length(CAST(record_id AS BLOB))
      + length(CAST(product_id AS BLOB)) + length(CAST(attributes AS BLOB))), 0) FROM records;
    CREATE TABLE learnt (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
    """,
    """
    ALTER TABLE records ADD COLUMN source TEXT;
    ALTER TABLE records ADD COLUMN item_digest BLOB;
    CREATE INDEX records_by_source ON records (source, record_id, item_digest, url_digest) WHERE source IS NOT NULL;
    CREATE TABLE withdrawn (
      record_id TEXT PRIMARY KEY,
      row_id INTEGER NOT NULL UNIQUE,
      source TEXT NOT NULL,
      run TEXT NOT NULL,
      withdrawn_ms INTEGER NOT NULL,
      product_id TEXT NOT NULL,
      attributes TEXT NOT NULL,
      region BLOB,
      digest BLOB,
      encoder_fingerprint TEXT NOT NULL,
      created_ms INTEGER NOT NULL,
      url_digest BLOB,
      etag TEXT,
      last_modified TEXT,
      item_digest BLOB,
      vector BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX withdrawn_by_time ON withdrawn (withdrawn_ms);
    CREATE TABLE former_rows (former INTEGER PRIMARY KEY, row_id INTEGER NOT NULL);
    CREATE INDEX former_rows_by_row ON former_rows (row_id);
    CREATE TABLE failures (
      source TEXT NOT NULL,
      record_id TEXT NOT NULL,
      url_digest BLOB NOT NULL,
      reason TEXT NOT NULL,
      message TEXT NOT NULL,
      lasting INTEGER NOT NULL,
      tries INTEGER NOT NULL,
      first_ms INTEGER NOT NULL,
      last_ms INTEGER NOT NULL,
      line INTEGER NOT NULL,
      PRIMARY KEY (source, record_id)
    ) WITHOUT ROWID;
    CREATE TABLE run_counts (run TEXT PRIMARY KEY, counts TEXT NOT NULL) WITHOUT ROWID
    """,
    """
    CREATE TABLE pictures (
      row_id INTEGER PRIMARY KEY,
      object_id TEXT NOT NULL,
      bytes INTEGER NOT NULL,
      url TEXT NOT NULL
    );
    CREATE INDEX pictures_by_object ON pictures (object_id) WHERE object_id <> '';
    CREATE TABLE loose_pictures (object_id TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) WITHOUT ROWID
    """,
)


def prepare_database(connection: Connection, place: Location) -> None:
    """Brings the database to the newest format, and writes down whose it is, for the day that nobody else knows."""
    migrate(connection, MIGRATIONS, str(place.layout.records))
    told = json.dumps(told_of(Entry(place.layout.root.name, place.home, place.spec)), sort_keys=True)
    row = connection.execute("SELECT value FROM meta WHERE name = 'collection'").fetchone()
    if row is None or row[0] != told:
        connection.execute("BEGIN IMMEDIATE")
        begin_number(connection)
        connection.execute(
            "INSERT INTO meta VALUES ('collection', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (told,)
        )
        connection.execute("COMMIT")
