"""Rows of a collection's database within one transaction: their numbers, their sizes, their tombstones."""

from __future__ import annotations

import time
from collections.abc import Sequence

from index.records.extensions.hook import Extensions
from index.records.insert_statement import Stamp, insert
from index.records.queries import pack_region, read_sequence, read_usage
from index.storage.sqlite import Connection
from index.types.attributes import attributes_to_json, canonical, canonical_to_json
from index.types.changes import Normalised, RowChange
from index.types.errors import QuotaExceeded
from index.types.quota import Allowance, Usage
from index.types.record import Outcome, RecordWrite, StoredRecord, Vector, WriteResult


class RowChanges:
    """What every change of a row has to do. Decides nothing about records: that is `Transaction`.

    `changes` is what the index must take over once it is committed. `sequence`: number of the last write. `growth`: of
    the tenant's usage. `connection` and the methods behind `row_gone` are for the extensions.
    """

    def __init__(
        self,
        connection: Connection,
        encoder_fingerprint: str,
        extensions: Extensions,
        allowance: Allowance | None = None,
    ) -> None:
        self.connection, self.extensions = connection, extensions
        self._fingerprint = encoder_fingerprint
        self._allowance = allowance
        self._now_ms = time.time_ns() // 1_000_000
        self.sequence = read_sequence(connection)
        self.changes: list[RowChange] = []
        self.growth = Usage()

    def finish(self) -> None:
        """Notes the last sequence number and the counts; the caller commits."""
        usage = read_usage(self.connection).plus(self.growth)
        values = [("sequence", self.sequence), ("records", usage.records), ("bytes", usage.bytes)]
        self.connection.executemany(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [(name, str(value)) for name, value in values],
        )

    def insert(self, block: Sequence[Normalised]) -> list[WriteResult]:
        """Inserts new records with one statement, a result for each. Where there is not room for all, each alone."""
        writes, vectors = [w for w, _ in block], [v for _, v in block if v is not None]
        attributes = [canonical(w.attributes) for w in writes]
        texts = [canonical_to_json(a) for a in attributes]
        size = sum(
            record_size(w.record_id, w.product_id, text, v) for w, text, v in zip(writes, texts, vectors, strict=True)
        )
        growth = self.growth.plus(Usage(len(block), size))
        if (refused := self.refused(growth)) is not None:
            if len(block) == 1:
                return [failed(block[0].write.record_id, refused)]
            return [result for one in block for result in self.insert([one])]
        self.growth = growth
        before, self.sequence = self.sequence, self.sequence + len(block)
        row_ids = insert(
            self.connection,
            Stamp(self._fingerprint, self._now_ms, before),
            zip(writes, texts, vectors, strict=True),
            self.extensions,
        )
        results = []
        for place, row_id in enumerate(row_ids):
            write, sequence = writes[place], before + 1 + place
            record = StoredRecord(
                row_id, write.record_id, write.product_id, attributes[place], write.region, self._fingerprint, sequence,
                self._now_ms, self._now_ms, vectors[place],
            )  # fmt: skip
            self.changes.append(RowChange(row_id, record, texts[place]))
            results.append(WriteResult(write.record_id, Outcome.CREATED, sequence))
        return results

    def replace(self, old: StoredRecord, new: StoredRecord, digest: bytes | None, *, unchanged: bool) -> WriteResult:
        """Writes a row anew. unchanged: the vector is the same, so nothing is written where the fields are too."""
        kept, earlier = canonical(new.attributes), attributes_to_json(old.attributes)
        attributes = canonical_to_json(kept)
        same_fields = (old.product_id, old.region, earlier) == (new.product_id, new.region, attributes)
        if unchanged and same_fields:
            return WriteResult(old.record_id, Outcome.UNCHANGED)
        assert new.vector is not None
        before = record_size(old.record_id, old.product_id, earlier, new.vector)
        after = record_size(old.record_id, new.product_id, attributes, new.vector)
        growth = self.growth.plus(Usage(0, after - before))
        if after > before and (refused := self.refused(growth)) is not None:
            return failed(old.record_id, refused)
        self.growth = growth
        self.sequence += 1
        self.connection.execute(
            "UPDATE records SET product_id = ?, attributes = ?, region = ?, digest = ?, encoder_fingerprint = ?,"
            " sequence = ?, updated_ms = ?, vector = ? WHERE row_id = ?",
            (
                new.product_id, attributes, pack_region(new.region), digest, self._fingerprint, self.sequence,
                self._now_ms, new.vector.tobytes(), old.row_id,
            ),
        )  # fmt: skip
        record = new._replace(
            attributes=kept, sequence=self.sequence, updated_ms=self._now_ms,
            encoder_fingerprint=self._fingerprint,
        )  # fmt: skip
        self.changes.append(RowChange(old.row_id, record, attributes))
        return WriteResult(old.record_id, Outcome.UPDATED, self.sequence)

    def set_columns(self, row_id: int, write: RecordWrite) -> None:
        """Sets the columns of extensions. That is not a change of the record: it gets no sequence number."""
        columns = self.extensions.columns
        if columns:
            assignments = ", ".join(f"{column} = ?" for column in columns)
            statement = f"UPDATE records SET {assignments} WHERE row_id = ?"  # noqa: S608
            self.connection.execute(statement, (*self.extensions.values(write), row_id))

    def delete_row(self, row_id: int, *, for_good: bool = True) -> int:
        """Deletes the row of a record. Returns 1. for_good: it cannot come back, so backups lose it too, in time."""
        query = "SELECT record_id, product_id, attributes, vector FROM records WHERE row_id = ?"
        self.growth = self.growth.plus(Usage(-1, -record_size(*self.one(query, row_id))))  # type: ignore[misc]
        self.connection.execute("DELETE FROM records WHERE row_id = ?", (row_id,))
        self.bury(row_id)
        if for_good:
            self.row_gone(row_id)
        return 1

    def row_gone(self, row_id: int) -> None:
        """Tells the extensions that a row is gone for good."""
        for extension in self.extensions:
            extension.row_gone(self, row_id)

    def row_returned(self, former: int, row_id: int) -> None:
        """Tells the extensions that a record came back as another row. former: id of its row before."""
        for extension in self.extensions:
            extension.row_returned(self, former, row_id)

    def bury(self, row_id: int) -> None:
        """Notes the deletion of a row, under the next sequence number."""
        self.sequence += 1
        self.connection.execute("INSERT INTO tombstones VALUES (?, ?)", (self.sequence, row_id))
        self.changes.append(RowChange(row_id, None))

    def grow(self, by: Usage) -> None:
        """Counts what is about to be stored. Raises QuotaExceeded."""
        growth = self.growth.plus(by)
        if self._allowance is not None:
            self._allowance.check(growth)
        self.growth = growth

    def refused(self, growth: Usage) -> QuotaExceeded | None:
        """Why the tenant may not store this much more in the transaction; None: it may."""
        if self._allowance is None:
            return None
        try:
            self._allowance.check(growth)
        except QuotaExceeded as error:
            return error
        return None

    def one(self, query: str, *values: object) -> tuple | None:  # type: ignore[type-arg]
        """The first row of a query."""
        row: tuple | None = self.connection.execute(query, values).fetchone()  # type: ignore[type-arg]
        return row


def record_size(record_id: str, product_id: str, attributes: str, vector: Vector | bytes) -> int:
    """What a record counts towards a quota, bytes."""
    size = len(vector) if isinstance(vector, bytes) else vector.nbytes
    return len(record_id.encode()) + len(product_id.encode()) + len(attributes.encode()) + size


def failed(record_id: str, error: Exception) -> WriteResult:
    """The result of a write that was refused."""
    return WriteResult(record_id, Outcome.FAILED, error=error)
