"""Records in a collection's database: reading them, and changing them within one transaction."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.attributes import attributes_from_json, attributes_to_json, check_attributes
from index.errors import DigestMoved, RecordExists, RecordNotFound
from index.model import Origin, Outcome, RecordPatch, RecordWrite, Region, StoredRecord, Vector, WriteResult
from index.sqlite import Connection

_COLUMNS = "row_id, record_id, product_id, attributes, region, encoder_fingerprint, sequence, created_ms, updated_ms"
_READ_BLOCK = 500


@dataclass(frozen=True)
class RowChange:
    """What a committed write means for the index. `record` is None for a deletion; its vector is set otherwise."""

    row_id: int
    record: StoredRecord | None


def read_sequence(connection: Connection) -> int:
    """The number of the last write."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'sequence'").fetchone()
    return int(row[0]) if row else 0


def creation_time_ms(connection: Connection) -> int:
    """When the collection was made, in milliseconds since 1970; noted at its first opening."""
    now_ms = str(time.time_ns() // 1_000_000)
    connection.execute("INSERT INTO meta VALUES ('created_ms', ?) ON CONFLICT (name) DO NOTHING", (now_ms,))
    return int(connection.execute("SELECT value FROM meta WHERE name = 'created_ms'").fetchone()[0])


def read_changes(connection: Connection, after: int) -> Iterator[RowChange]:
    """All rows written, and then all rows deleted, by writes numbered higher than `after`."""
    query = f"SELECT {_COLUMNS}, vector FROM records WHERE sequence > ? ORDER BY sequence"  # noqa: S608
    for row in connection.execute(query, (after,)):
        yield RowChange(row[0], _record(row))
    for (row_id,) in connection.execute("SELECT row_id FROM tombstones WHERE sequence > ?", (after,)):
        yield RowChange(row_id, None)


def read_rows(connection: Connection, row_ids: Sequence[int], *, vectors: bool = False) -> dict[int, StoredRecord]:
    """Records by row id; ids that are gone are left out."""
    return {r.row_id: r for r in _read_in(connection, "row_id", row_ids, vectors)}


def read_records(connection: Connection, record_ids: Sequence[str], *, vectors: bool) -> dict[str, StoredRecord]:
    """Records by record id; ids that do not exist are left out."""
    return {r.record_id: r for r in _read_in(connection, "record_id", record_ids, vectors)}


def read_digests(connection: Connection, record_ids: Sequence[str]) -> dict[str, bytes]:
    """Content digests by record id; records without one are left out."""
    found = {}
    for block in _blocks(record_ids):
        query = f"SELECT record_id, digest FROM records WHERE record_id IN ({_marks(block)})"  # noqa: S608
        found.update({r[0]: bytes(r[1]) for r in connection.execute(query, block) if r[1] is not None})
    return found


def read_origins(connection: Connection, record_ids: Sequence[str]) -> dict[str, Origin]:
    """Origins by record id; records whose picture was not fetched are left out."""
    found = {}
    for block in _blocks(record_ids):
        query = (
            "SELECT record_id, url_digest, etag, last_modified FROM records"  # noqa: S608
            f" WHERE url_digest IS NOT NULL AND record_id IN ({_marks(block)})"
        )
        found.update({r[0]: Origin(bytes(r[1]), r[2], r[3]) for r in connection.execute(query, block)})
    return found


def read_page(connection: Connection, after_row_id: int, limit: int, *, vectors: bool) -> list[StoredRecord]:
    """Up to `limit` records with a higher row id, in order of row id."""
    query = f"SELECT {_columns(vectors)} FROM records WHERE row_id > ? ORDER BY row_id LIMIT ?"  # noqa: S608
    return [_record(row) for row in connection.execute(query, (after_row_id, limit))]


def forget_tombstones(connection: Connection, up_to: int) -> None:
    """Drops tombstones that no kept snapshot needs any more."""
    connection.execute("DELETE FROM tombstones WHERE sequence <= ?", (up_to,))


class Transaction:
    """Changes within one open transaction. `changes` is what the index must take over once it is committed."""

    def __init__(self, connection: Connection, encoder_fingerprint: str) -> None:
        self._connection = connection
        self._fingerprint = encoder_fingerprint
        self._now_ms = time.time_ns() // 1_000_000
        self.sequence = read_sequence(connection)
        self.changes: list[RowChange] = []

    def finish(self) -> None:
        """Notes the last sequence number; the caller commits."""
        self._connection.execute(
            "INSERT INTO meta VALUES ('sequence', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(self.sequence),),
        )

    def upsert(self, write: RecordWrite, *, insert_only: bool) -> WriteResult:
        """Inserts or replaces one record. Failures are in the result, and leave the record as it was."""
        found = self._find(write.record_id)
        if found is not None and insert_only:
            return _failed(write.record_id, RecordExists(f"record {write.record_id!r} exists"))
        if found is None:
            if write.vector is None:
                return _failed(write.record_id, DigestMoved("the record was deleted meanwhile"))
            return self._insert(write, write.vector)
        old, old_digest = found
        same_picture = write.digest is not None and write.digest == old_digest
        if write.vector is None and not same_picture:
            return _failed(write.record_id, DigestMoved("the record was changed meanwhile"))
        vector = old.vector if same_picture or write.vector is None else write.vector
        assert vector is not None
        assert old.vector is not None
        new = replace(old, product_id=write.product_id, attributes=write.attributes, region=write.region, vector=vector)
        same_vector = same_picture or (write.digest == old_digest and np.array_equal(vector, old.vector))
        self._note_origin(old.row_id, write.origin)
        return self._replace(old, new, write.digest, unchanged=same_vector)

    def patch(self, patch: RecordPatch) -> WriteResult:
        """Changes product id and attributes of one record. Failures are in the result."""
        found = self._find(patch.record_id)
        if found is None:
            return _failed(patch.record_id, RecordNotFound(f"no record {patch.record_id!r}"))
        old, digest = found
        kept = {n: v for n, v in old.attributes.items() if n not in patch.remove_attributes}
        attributes = {**kept, **patch.set_attributes}
        check_attributes(attributes)
        product_id = old.product_id if patch.product_id is None else patch.product_id
        return self._replace(old, replace(old, attributes=attributes, product_id=product_id), digest, unchanged=True)

    def delete_records(self, record_ids: Sequence[str]) -> int:
        """Deletes by id; ids that do not exist are passed over. Returns how many were deleted."""
        rows = [r for i in record_ids if (r := self._one("SELECT row_id FROM records WHERE record_id = ?", i))]
        return sum(self._delete(row[0]) for row in rows)

    def delete_rows(self, rows: Sequence[tuple[int, int]]) -> int:
        """Deletes (row id, sequence) pairs, passing over rows that were written since. Returns how many."""
        query = "SELECT row_id FROM records WHERE row_id = ? AND sequence = ?"
        return sum(self._delete(row_id) for row_id, sequence in rows if self._one(query, row_id, sequence))

    def _insert(self, write: RecordWrite, vector: Vector) -> WriteResult:
        self.sequence += 1
        attributes = attributes_to_json(write.attributes)
        cursor = self._connection.execute(
            "INSERT INTO records (record_id, product_id, attributes, region, digest, encoder_fingerprint, sequence,"
            " created_ms, updated_ms, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                write.record_id, write.product_id, attributes, _pack_region(write.region), write.digest,
                self._fingerprint, self.sequence, self._now_ms, self._now_ms, vector.tobytes(),
            ),
        )  # fmt: skip
        record = StoredRecord(
            cursor.lastrowid, write.record_id, write.product_id, attributes_from_json(attributes), write.region,
            self._fingerprint, self.sequence, self._now_ms, self._now_ms, vector,
        )  # fmt: skip
        if write.origin is not None:
            self._note_origin(record.row_id, write.origin)
        self.changes.append(RowChange(record.row_id, record))
        return WriteResult(write.record_id, Outcome.CREATED, self.sequence)

    def _replace(self, old: StoredRecord, new: StoredRecord, digest: bytes | None, *, unchanged: bool) -> WriteResult:
        attributes = attributes_to_json(new.attributes)
        same_fields = (old.product_id, old.region, attributes_to_json(old.attributes)) == (
            new.product_id, new.region, attributes,
        )  # fmt: skip
        if unchanged and same_fields:
            return WriteResult(old.record_id, Outcome.UNCHANGED)
        self.sequence += 1
        assert new.vector is not None
        self._connection.execute(
            "UPDATE records SET product_id = ?, attributes = ?, region = ?, digest = ?, encoder_fingerprint = ?,"
            " sequence = ?, updated_ms = ?, vector = ? WHERE row_id = ?",
            (
                new.product_id, attributes, _pack_region(new.region), digest, self._fingerprint, self.sequence,
                self._now_ms, new.vector.tobytes(), old.row_id,
            ),
        )  # fmt: skip
        record = replace(
            new, attributes=attributes_from_json(attributes), sequence=self.sequence, updated_ms=self._now_ms,
            encoder_fingerprint=self._fingerprint,
        )  # fmt: skip
        self.changes.append(RowChange(old.row_id, record))
        return WriteResult(old.record_id, Outcome.UPDATED, self.sequence)

    def _note_origin(self, row_id: int, origin: Origin | None) -> None:
        """Not a change of the record: it gets no sequence number."""
        values = (None, None, None) if origin is None else (origin.url_digest, origin.etag, origin.last_modified)
        self._connection.execute(
            "UPDATE records SET url_digest = ?, etag = ?, last_modified = ? WHERE row_id = ?", (*values, row_id)
        )

    def _delete(self, row_id: int) -> int:
        self.sequence += 1
        self._connection.execute("DELETE FROM records WHERE row_id = ?", (row_id,))
        self._connection.execute("INSERT INTO tombstones VALUES (?, ?)", (self.sequence, row_id))
        self.changes.append(RowChange(row_id, None))
        return 1

    def _find(self, record_id: str) -> tuple[StoredRecord, bytes | None] | None:
        query = f"SELECT {_COLUMNS}, vector, digest FROM records WHERE record_id = ?"  # noqa: S608
        row = self._one(query, record_id)
        return None if row is None else (_record(row), row[-1])

    def _one(self, query: str, *values: object) -> tuple | None:  # type: ignore[type-arg]
        row: tuple | None = self._connection.execute(query, values).fetchone()  # type: ignore[type-arg]
        return row


def _failed(record_id: str, error: Exception) -> WriteResult:
    return WriteResult(record_id, Outcome.FAILED, error=error)


def _columns(vectors: bool) -> str:
    return f"{_COLUMNS}, vector" if vectors else _COLUMNS


def _read_in(
    connection: Connection, column: str, values: Sequence[int] | Sequence[str], vectors: bool
) -> Iterator[StoredRecord]:
    for block in _blocks(values):
        query = f"SELECT {_columns(vectors)} FROM records WHERE {column} IN ({_marks(block)})"  # noqa: S608
        for row in connection.execute(query, block):
            yield _record(row)


def _blocks(values: Sequence[int] | Sequence[str]) -> Iterator[Sequence[int] | Sequence[str]]:
    for start in range(0, len(values), _READ_BLOCK):
        yield values[start : start + _READ_BLOCK]


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _record(row: Sequence) -> StoredRecord:  # type: ignore[type-arg]
    return StoredRecord(
        row_id=row[0],
        record_id=row[1],
        product_id=row[2],
        attributes=attributes_from_json(row[3]),
        region=Region(*struct.unpack("<4f", row[4])) if row[4] is not None else None,
        encoder_fingerprint=row[5],
        sequence=row[6],
        created_ms=row[7],
        updated_ms=row[8],
        vector=np.frombuffer(row[9], np.float32) if len(row) > 9 else None,
    )


def _pack_region(region: Region | None) -> bytes | None:
    return None if region is None else struct.pack("<4f", region.left, region.top, region.right, region.bottom)
