"""Changing records of a collection's database within one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from index.contract import Companion
from index.records.extensions.hook import Before, Extensions
from index.records.insert_statement import MOST_AT_ONCE, Stamp, insert
from index.records.queries import pack_region, read_existing, read_sequence, read_usage, read_with_digest
from index.speed.gil_yield import batches_yielding
from index.storage.sqlite import Connection
from index.types.attributes import attributes_to_json, canonical, canonical_to_json, check_attributes
from index.types.changes import Normalised, RowChange
from index.types.errors import DigestMoved, QuotaExceeded, RecordExists, RecordNotFound
from index.types.quota import Allowance, Usage
from index.types.record import Outcome, RecordPatch, RecordWrite, StoredRecord, Vector, WriteResult

W = TypeVar("W")
_ASKED_AT_ONCE = 256  # ids


class Transaction:
    """Implements `index.contract.RecordTransaction`.

    `changes` is what the index must take over once it is committed. `connection` and the methods behind `row_gone` are
    for the extensions.
    """

    def __init__(
        self,
        connection: Connection,
        encoder_fingerprint: str,
        extensions: Extensions,
        allowance: Allowance | None = None,
    ) -> None:
        self.connection, self._extensions = connection, extensions
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

    def upsert(self, writes: Sequence[Normalised | WriteResult], *, insert_only: bool) -> list[WriteResult]:
        """Inserts or replaces records, a result for each. Failures are in the results, and leave their records as they
        were; what is a result already stays as it is."""
        ids = [w.write.record_id for w in writes if isinstance(w, Normalised)]
        existing: set[str] = set()
        for some in batches_yielding(ids, _ASKED_AT_ONCE):
            existing |= read_existing(self.connection, some)

        def is_plainly_new(write: Normalised | WriteResult) -> bool:
            if isinstance(write, WriteResult) or write.write.record_id in existing:
                return False
            existing.add(write.write.record_id)
            return write.vector is not None and self._extensions.is_plain(write.write)

        results: list[WriteResult] = []
        for block in batches_yielding(writes, MOST_AT_ONCE):
            for new, run in groupby(block, is_plainly_new):
                if new:
                    results += self._insert([w for w in run if isinstance(w, Normalised)])
                else:
                    results += [
                        w if isinstance(w, WriteResult) else self._upsert(*w, insert_only=insert_only) for w in run
                    ]
        return results

    def _upsert(self, write: RecordWrite, given: Vector | None, *, insert_only: bool) -> WriteResult:
        found = read_with_digest(self.connection, write.record_id)
        if found is not None and insert_only:
            return _failed(write.record_id, RecordExists(f"record {write.record_id!r} exists"))
        if found is None:
            if given is None:
                return _failed(write.record_id, DigestMoved("the record was deleted meanwhile"))
            insert_it = partial(self._insert_one, Normalised(write, given))
            return self._extensions.storing(self, write, Before(0, same_vector=False), insert_it)
        old, old_digest = found
        same_input = write.digest is not None and write.digest == old_digest
        if given is None and not same_input:
            return _failed(write.record_id, DigestMoved("the record was changed meanwhile"))
        vector = old.vector if same_input or given is None else given
        assert vector is not None
        assert old.vector is not None
        new = old._replace(product_id=write.product_id, attributes=write.attributes, region=write.region, vector=vector)
        same_vector = same_input or (write.digest == old_digest and np.array_equal(vector, old.vector))
        self._set_columns(old.row_id, write)
        replace = partial(self._replace, old, new, write.digest, unchanged=same_vector)
        return self._extensions.storing(self, write, Before(old.row_id, same_vector), replace)

    def patch(self, patch: RecordPatch) -> WriteResult:
        """Changes product id and attributes of one record. Failures are in the result."""
        found = read_with_digest(self.connection, patch.record_id)
        if found is None:
            return _failed(patch.record_id, RecordNotFound(f"no record {patch.record_id!r}"))
        old, digest = found
        kept = {n: v for n, v in old.attributes.items() if n not in patch.remove_attributes}
        attributes = {**kept, **patch.set_attributes}
        check_attributes(attributes)
        product_id = old.product_id if patch.product_id is None else patch.product_id
        new = old._replace(attributes=attributes, product_id=product_id)
        done = self._replace(old, new, digest, unchanged=True)
        if done.outcome is Outcome.UPDATED:
            for extension in self._extensions:
                extension.patched(self, old.row_id)
        return done

    def delete_records(self, record_ids: Sequence[str]) -> int:
        """Deletes by id; ids that do not exist, or are given again, are passed over. Returns how many were deleted."""
        ids = list(dict.fromkeys(record_ids))
        rows = [r for i in ids if (r := self._one("SELECT row_id FROM records WHERE record_id = ?", i))]
        deleted = sum(self.delete_row(row[0]) for row in rows)
        return deleted + sum(extension.deleted(self, ids) for extension in self._extensions)

    def forget_product(self, product_id: str) -> int:
        """Erases records of a product that were taken out and could come back. Returns how many."""
        return sum(extension.product_deleted(self, product_id) for extension in self._extensions)

    def delete_rows(self, rows: Sequence[tuple[int, int]]) -> int:
        """Deletes (row id, sequence) pairs, passing over rows that were written since. Returns how many."""
        query = "SELECT row_id FROM records WHERE row_id = ? AND sequence = ?"
        return sum(self.delete_row(row_id) for row_id, sequence in rows if self._one(query, row_id, sequence))

    def _insert(self, block: Sequence[Normalised]) -> list[WriteResult]:
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
                return [_failed(block[0].write.record_id, refused)]
            return [result for one in block for result in self._insert([one])]
        self.growth = growth
        before, self.sequence = self.sequence, self.sequence + len(block)
        row_ids = insert(
            self.connection,
            Stamp(self._fingerprint, self._now_ms, before),
            zip(writes, texts, vectors, strict=True),
            self._extensions,
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

    def _insert_one(self, new: Normalised) -> WriteResult:
        return self._insert([new])[0]

    def _replace(self, old: StoredRecord, new: StoredRecord, digest: bytes | None, *, unchanged: bool) -> WriteResult:
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
            return _failed(old.record_id, refused)
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

    def _set_columns(self, row_id: int, write: RecordWrite) -> None:
        """Sets the columns of extensions. That is not a change of the record: it gets no sequence number."""
        columns = self._extensions.columns
        if columns:
            assignments = ", ".join(f"{column} = ?" for column in columns)
            statement = f"UPDATE records SET {assignments} WHERE row_id = ?"  # noqa: S608
            self.connection.execute(statement, (*self._extensions.values(write), row_id))

    def delete_row(self, row_id: int, *, for_good: bool = True) -> int:
        """Deletes the row of a record. Returns 1. for_good: it cannot come back, so backups lose it too, in time."""
        query = "SELECT record_id, product_id, attributes, vector FROM records WHERE row_id = ?"
        self.growth = self.growth.plus(Usage(-1, -record_size(*self._one(query, row_id))))  # type: ignore[misc]
        self.connection.execute("DELETE FROM records WHERE row_id = ?", (row_id,))
        self.bury(row_id)
        if for_good:
            self.row_gone(row_id)
        return 1

    def row_gone(self, row_id: int) -> None:
        """Tells the extensions that a row is gone for good."""
        for extension in self._extensions:
            extension.row_gone(self, row_id)

    def row_returned(self, former: int, row_id: int) -> None:
        """Tells the extensions that a record came back as another row. former: id of its row before."""
        for extension in self._extensions:
            extension.row_returned(self, former, row_id)

    def companion(self, companion: Companion[Any, W]) -> W:
        """The writes of what an extension keeps. Raises LookupError."""
        writes: W = self._extensions.named(companion).writes(self)  # type: ignore[assignment]
        return writes

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

    def _one(self, query: str, *values: object) -> tuple | None:  # type: ignore[type-arg]
        row: tuple | None = self.connection.execute(query, values).fetchone()  # type: ignore[type-arg]
        return row


def record_size(record_id: str, product_id: str, attributes: str, vector: Vector | bytes) -> int:
    """What a record counts towards a quota, bytes."""
    size = len(vector) if isinstance(vector, bytes) else vector.nbytes
    return len(record_id.encode()) + len(product_id.encode()) + len(attributes.encode()) + size


def _failed(record_id: str, error: Exception) -> WriteResult:
    return WriteResult(record_id, Outcome.FAILED, error=error)
