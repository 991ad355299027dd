"""Records in a collection's database: reading them."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from index.storage.sqlite import Connection
from index.types.attributes import attributes_from_json
from index.types.changes import RowChange, SequenceRange
from index.types.errors import AnswerTooLarge
from index.types.quota import Usage
from index.types.record import UNLIMITED_BYTES, RecordPage, Region, StoredRecord

_COLUMNS = "row_id, record_id, product_id, attributes, region, encoder_fingerprint, sequence, created_ms, updated_ms"
_READ_BLOCK = 500
_READ_AHEAD = 50  # rows, each with megabytes of attributes in the worst case
_VALUE_BYTES = 12  # what a number takes beyond its text


def read_sequence(connection: Connection) -> int:
    """The number of the last write."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'sequence'").fetchone()
    return int(row[0]) if row else 0


def read_range(connection: Connection) -> SequenceRange:
    """Which sequence numbers the database can bring rows up to date from."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'forgotten'").fetchone()
    return SequenceRange(read_sequence(connection), int(row[0]) if row else 0)


def read_usage(connection: Connection) -> Usage:
    """How much is stored."""
    found = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('records', 'bytes')").fetchall())
    return Usage(int(found.get("records", 0)), int(found.get("bytes", 0)))


def has_table(connection: Connection, name: str) -> bool:
    """Whether the database is of a format with this table."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None


def creation_time_ms(connection: Connection) -> int:
    """When the collection was made, in milliseconds since 1970; noted at its first opening."""
    now_ms = str(time.time_ns() // 1_000_000)
    connection.execute("INSERT INTO meta VALUES ('created_ms', ?) ON CONFLICT (name) DO NOTHING", (now_ms,))
    return int(connection.execute("SELECT value FROM meta WHERE name = 'created_ms'").fetchone()[0])


def read_changes(connection: Connection, after: int) -> Iterator[RowChange]:
    """All rows written, and then all rows deleted, by writes numbered higher than `after`."""
    query = f"SELECT {_COLUMNS}, vector FROM records WHERE sequence > ? ORDER BY sequence"  # noqa: S608
    for row in connection.execute(query, (after,)):
        yield RowChange(row[0], _record(row), row[3])
    for (row_id,) in connection.execute("SELECT row_id FROM tombstones WHERE sequence > ?", (after,)):
        yield RowChange(row_id, None)


def read_change_block(connection: Connection, after: int, limit: int) -> list[RowChange]:
    """Up to `limit` rows written by writes numbered higher than `after`, in order of numbers."""
    query = f"SELECT {_COLUMNS}, vector FROM records WHERE sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608
    return [RowChange(row[0], _record(row), row[3]) for row in connection.execute(query, (after, limit))]


def read_deletions(connection: Connection, after: int) -> list[RowChange]:
    """All rows deleted by writes numbered higher than `after`, as far as they are remembered."""
    rows = connection.execute("SELECT row_id FROM tombstones WHERE sequence > ?", (after,))
    return [RowChange(row[0], None) for row in rows]


def noted_creation_ms(connection: Connection) -> int:
    """When the collection was made, in milliseconds since 1970; 0 where its first opening has yet to note it."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'created_ms'").fetchone()
    return int(row[0]) if row else 0


def note_meta(connection: Connection, name: str, value: str) -> None:
    """Sets a value of `meta`, within a transaction."""
    query = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    connection.execute(query, (name, value))


def read_rows(connection: Connection, row_ids: Sequence[int], *, vectors: bool = False) -> dict[int, StoredRecord]:
    """Records by row id; ids that are gone are left out."""
    return {r.row_id: r for r in _read_in(connection, "row_id", row_ids, vectors)}


def read_records(
    connection: Connection, record_ids: Sequence[str], *, vectors: bool, max_bytes: int = UNLIMITED_BYTES
) -> dict[str, StoredRecord]:
    """Records by record id; ids that do not exist are left out. Raises AnswerTooLarge."""
    found, total = {}, 0
    for block in blocks(record_ids):
        query = f"SELECT {_columns(vectors)} FROM records WHERE record_id IN ({marks(block)})"  # noqa: S608
        for row in connection.execute(query, block):
            total += sent_bytes(row)
            if total > max_bytes:
                raise AnswerTooLarge(f"the records take more than {max_bytes} bytes")
            found[row[1]] = _record(row)
    return found


def read_row_ids(connection: Connection, record_ids: Sequence[str]) -> frozenset[int]:
    """Row ids of those records that exist."""
    found: set[int] = set()
    for block in blocks(record_ids):
        query = f"SELECT row_id FROM records WHERE record_id IN ({marks(block)})"  # noqa: S608
        found.update(row[0] for row in connection.execute(query, block))
    return frozenset(found)


def read_existing(connection: Connection, record_ids: Sequence[str], table: str = "records") -> set[str]:
    """Those of the ids that exist in a table."""
    found: set[str] = set()
    for block in blocks(record_ids):
        query = f"SELECT record_id FROM {table} WHERE record_id IN ({marks(block)})"  # noqa: S608
        found.update(row[0] for row in connection.execute(query, block))
    return found


def read_with_digest(connection: Connection, record_id: str) -> tuple[StoredRecord, bytes | None] | None:
    """A record with its vector, and its content digest; None where there is no such record."""
    query = f"SELECT {_COLUMNS}, vector, digest FROM records WHERE record_id = ?"  # noqa: S608
    row = connection.execute(query, (record_id,)).fetchone()
    return None if row is None else (_record(row), row[-1])


def read_digests(connection: Connection, record_ids: Sequence[str]) -> dict[str, bytes]:
    """Content digests by record id; records without one are left out."""
    found = {}
    for block in blocks(record_ids):
        query = f"SELECT record_id, digest FROM records WHERE record_id IN ({marks(block)})"  # noqa: S608
        found.update({r[0]: bytes(r[1]) for r in connection.execute(query, block) if r[1] is not None})
    return found


def read_page(
    connection: Connection, after_row_id: int, limit: int, *, vectors: bool, max_bytes: int = UNLIMITED_BYTES
) -> RecordPage:
    """Up to `limit` records with a higher row id, in order of row id; at least one, but else not more than
    `max_bytes`."""
    query = f"SELECT {_columns(vectors)} FROM records WHERE row_id > ? ORDER BY row_id LIMIT ?"  # noqa: S608
    return cut_page(connection.execute(query, (after_row_id, limit + 1)), limit, max_bytes)


def cut_page(rows: Iterable[Sequence], limit: int, max_bytes: int) -> RecordPage:  # type: ignore[type-arg]
    """A page of rows of the store."""
    records: list[StoredRecord] = []
    total = 0
    for row in rows:
        size = sent_bytes(row)
        if records and (len(records) == limit or total + size > max_bytes):
            return RecordPage(records, True, total)
        records.append(_record(row))
        total += size
    return RecordPage(records, False, total)


def read_ordered(connection: Connection, row_ids: Sequence[int], *, vectors: bool) -> Iterator[Sequence]:  # type: ignore[type-arg]
    """Rows of the store by row id, in the order of the ids; those that are gone are left out. Few are read ahead."""
    for start in range(0, len(row_ids), _READ_AHEAD):
        block = row_ids[start : start + _READ_AHEAD]
        query = f"SELECT {_columns(vectors)} FROM records WHERE row_id IN ({marks(block)}) ORDER BY row_id"  # noqa: S608
        yield from connection.execute(query, block)


def sent_bytes(row: Sequence) -> int:  # type: ignore[type-arg]
    """About how many bytes a row takes as a message, rather too many: of its attributes the JSON is known, in which
    each number is shorter and each string longer."""
    attributes: str = row[3]
    text = len(attributes) if attributes.isascii() else len(attributes.encode())
    vector = len(row[9]) if len(row) > 9 else 0
    return 128 + len(row[1]) + len(row[2]) + text + _VALUE_BYTES * attributes.count(":") + vector


def read_tombstones(connection: Connection, up_to: int, spared: Sequence[str] = ()) -> list[int]:
    """Row ids of the deletions that are remembered up to a sequence number. spared: queries for row ids that are left
    out."""
    left_out = "".join(f" AND row_id NOT IN ({query})" for query in spared)
    rows = connection.execute(f"SELECT row_id FROM tombstones WHERE sequence <= ?{left_out}", (up_to,))  # noqa: S608
    return [row[0] for row in rows]


def read_learnt(connection: Connection, name: str) -> bytes:
    """What was learnt under a name; empty where nothing was."""
    row = connection.execute("SELECT value FROM learnt WHERE name = ?", (name,)).fetchone()
    return b"" if row is None else bytes(row[0])


def write_learnt(connection: Connection, name: str, value: bytes) -> None:
    """Notes what was learnt under a name."""
    connection.execute(
        "INSERT INTO learnt VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
    )


def forget_tombstones(connection: Connection, up_to: int) -> None:
    """Drops tombstones that no snapshot needs any more, and notes up to which."""
    connection.execute("BEGIN IMMEDIATE")
    dropped = connection.execute("DELETE FROM tombstones WHERE sequence <= ?", (up_to,)).rowcount
    if dropped:
        note_meta(connection, "forgotten", str(up_to))
    connection.execute("COMMIT")


def _columns(vectors: bool) -> str:
    return f"{_COLUMNS}, vector" if vectors else _COLUMNS


def _read_in(
    connection: Connection, column: str, values: Sequence[int] | Sequence[str], vectors: bool
) -> Iterator[StoredRecord]:
    for block in blocks(values):
        query = f"SELECT {_columns(vectors)} FROM records WHERE {column} IN ({marks(block)})"  # noqa: S608
        for row in connection.execute(query, block):
            yield _record(row)


def blocks(values: Sequence[int] | Sequence[str]) -> Iterator[Sequence[int] | Sequence[str]]:
    """The values, some at a time: SQLite limits the parameters of a statement."""
    for start in range(0, len(values), _READ_BLOCK):
        yield values[start : start + _READ_BLOCK]


def marks(values: Sequence[object]) -> str:
    """Placeholders of a statement, one for each value."""
    return ",".join("?" * len(values))


def _record(row: Sequence) -> StoredRecord:  # type: ignore[type-arg]
    return StoredRecord(
        row_id=row[0],
        record_id=row[1],
        product_id=row[2],
        attributes=attributes_from_json(row[3]),
        region=unpack_region(row[4]),
        encoder_fingerprint=row[5],
        sequence=row[6],
        created_ms=row[7],
        updated_ms=row[8],
        vector=np.frombuffer(row[9], np.float32) if len(row) > 9 else None,
    )


def pack_region(region: Region | None) -> bytes | None:
    """As a record's region is stored."""
    return None if region is None else struct.pack("<4f", region.left, region.top, region.right, region.bottom)


def unpack_region(stored: bytes | None) -> Region | None:
    """What `pack_region` packed."""
    return None if stored is None else Region(*struct.unpack("<4f", stored))
