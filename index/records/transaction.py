"""Changing records of a collection's database within one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

import numpy as np

from index.records.extensions import kept_pictures
from index.records.insert_statement import MOST_AT_ONCE, Stamp, insert, whence
from index.records.queries import pack_region, read_existing, read_sequence, read_usage, read_with_digest
from index.speed.gil_yield import batches_yielding
from index.storage.sqlite import Connection
from index.types.attributes import attributes_to_json, canonical, canonical_to_json, check_attributes
from index.types.changes import Normalised, RowChange
from index.types.companions import KeptPicture
from index.types.errors import DigestMoved, QuotaExceeded, RecordExists, RecordNotFound
from index.types.quota import Allowance, Usage
from index.types.record import Outcome, RecordPatch, RecordWrite, StoredRecord, Vector, WriteResult

_ASKED_AT_ONCE = 256  # ids


class Transaction:
    """Changes within one open transaction. `changes` is what the index must take over once it is committed."""

    def __init__(self, connection: Connection, encoder_fingerprint: str, allowance: Allowance | None = None) -> None:
        self.connection = connection
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
            return write.vector is not None and write.write.kept is None

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
            return self._keeping(0, write, lambda: self._insert([Normalised(write, given)])[0])
        old, old_digest = found
        same_picture = write.digest is not None and write.digest == old_digest
        if given is None and not same_picture:
            return _failed(write.record_id, DigestMoved("the record was changed meanwhile"))
        vector = old.vector if same_picture or given is None else given
        assert vector is not None
        assert old.vector is not None
        new = old._replace(product_id=write.product_id, attributes=write.attributes, region=write.region, vector=vector)
        same_vector = same_picture or (write.digest == old_digest and np.array_equal(vector, old.vector))
        self._note_whence(old.row_id, write)
        replace = partial(self._replace, old, new, write.digest, unchanged=same_vector)
        if write.kept is None and same_vector:
            return replace()
        return self._keeping(old.row_id, write, replace)

    def _keeping(self, row_id: int, write: RecordWrite, store: Callable[[], WriteResult]) -> WriteResult:
        """Stores a record, and what is to be kept of its picture instead of what was; 0: the record is new."""
        wanted = KeptPicture() if write.kept is None else kept_pictures.allowed(self.connection, write.kept)
        held, growth = kept_pictures.kept_of_row(self.connection, row_id) if row_id else KeptPicture(), self.growth
        if wanted == held:
            return store()
        new_copy = wanted.object_id not in ("", held.object_id)
        if new_copy and not kept_pictures.is_loose(self.connection, wanted.object_id):
            return _failed(write.record_id, DigestMoved("storing the copy of the picture took too long"))
        larger = Usage(0, wanted.bytes - held.bytes)
        if larger.bytes > 0 and (refused := self._refused(growth.plus(larger))) is not None:
            return _failed(write.record_id, refused)
        self.growth = growth.plus(larger)
        done = store()
        if done.outcome is Outcome.FAILED:
            self.growth = growth
            return done
        row = self._one("SELECT row_id FROM records WHERE record_id = ?", write.record_id)
        kept_pictures.keep(self.connection, row[0], wanted)  # type: ignore[index]
        return done

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
        if done.outcome is Outcome.UPDATED:  # no longer what its source says: the next sync sets it right
            self.connection.execute("UPDATE records SET item_digest = NULL WHERE row_id = ?", (old.row_id,))
        return done

    def delete_records(self, record_ids: Sequence[str]) -> int:
        """Deletes by id; ids that do not exist, or are given again, are passed over. Returns how many were deleted."""
        ids = list(dict.fromkeys(record_ids))
        rows = [r for i in ids if (r := self._one("SELECT row_id FROM records WHERE record_id = ?", i))]
        deleted = sum(self.delete_row(row[0]) for row in rows)
        self.connection.executemany("DELETE FROM failures WHERE record_id = ?", [(i,) for i in ids])
        return deleted + sum(self.forget_withdrawn(i) for i in ids)

    def delete_rows(self, rows: Sequence[tuple[int, int]]) -> int:
        """Deletes (row id, sequence) pairs, passing over rows that were written since. Returns how many."""
        query = "SELECT row_id FROM records WHERE row_id = ? AND sequence = ?"
        return sum(self.delete_row(row_id) for row_id, sequence in rows if self._one(query, row_id, sequence))

    def forget_product(self, product_id: str) -> int:
        """Erases withdrawn records of a product, kept snapshots included; returns how many."""
        query = "SELECT record_id FROM withdrawn WHERE product_id = ?"
        ids = [row[0] for row in self.connection.execute(query, (product_id,)).fetchall()]
        return sum(self.forget_withdrawn(i) for i in ids)

    def _insert(self, block: Sequence[Normalised]) -> list[WriteResult]:
        """Inserts new records with one statement, a result for each. Where there is not room for all, each alone."""
        writes, vectors = [w for w, _ in block], [v for _, v in block if v is not None]
        attributes = [canonical(w.attributes) for w in writes]
        texts = [canonical_to_json(a) for a in attributes]
        size = sum(
            record_size(w.record_id, w.product_id, text, v) for w, text, v in zip(writes, texts, vectors, strict=True)
        )
        growth = self.growth.plus(Usage(len(block), size))
        if (refused := self._refused(growth)) is not None:
            if len(block) == 1:
                return [_failed(block[0].write.record_id, refused)]
            return [result for one in block for result in self._insert([one])]
        self.growth = growth
        before, self.sequence = self.sequence, self.sequence + len(block)
        row_ids = insert(self.connection, Stamp(self._fingerprint, self._now_ms, before), writes, texts, vectors)
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
        if after > before and (refused := self._refused(growth)) is not None:
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

    def _note_whence(self, row_id: int, write: RecordWrite) -> None:
        """Not a change of the record: it gets no sequence number."""
        self.connection.execute(
            "UPDATE records SET url_digest = ?, etag = ?, last_modified = ?, source = ?, item_digest = ?"
            " WHERE row_id = ?",
            (*whence(write), row_id),
        )

    def delete_row(self, row_id: int, *, kept_snapshots_too: bool = True) -> int:
        """Deletes the row of a record. `kept_snapshots_too`: its copies in kept snapshots as well, in time."""
        query = "SELECT record_id, product_id, attributes, vector FROM records WHERE row_id = ?"
        self.growth = self.growth.plus(Usage(-1, -record_size(*self._one(query, row_id))))  # type: ignore[misc]
        self.connection.execute("DELETE FROM records WHERE row_id = ?", (row_id,))
        self._bury(row_id)
        if kept_snapshots_too:
            self._bury_former(row_id)
            self._drop_picture(row_id)
        return 1

    def forget_withdrawn(self, record_id: str) -> int:
        """Erases a withdrawn record, kept snapshots included; returns whether there was one."""
        row = self._one("SELECT row_id FROM withdrawn WHERE record_id = ?", record_id)
        if row is None:
            return 0
        self.connection.execute("DELETE FROM withdrawn WHERE record_id = ?", (record_id,))
        self._bury(row[0])
        self._bury_former(row[0])
        self._drop_picture(row[0])
        return 1

    def _drop_picture(self, row_id: int) -> None:
        self.growth = self.growth.plus(Usage(0, -kept_pictures.drop(self.connection, row_id)))

    def _bury(self, row_id: int) -> None:
        self.sequence += 1
        self.connection.execute("INSERT INTO tombstones VALUES (?, ?)", (self.sequence, row_id))
        self.changes.append(RowChange(row_id, None))

    def _bury_former(self, row_id: int) -> None:
        """Rows that the record had before it was withdrawn and came back may still be in kept snapshots."""
        rows = self.connection.execute("SELECT former FROM former_rows WHERE row_id = ?", (row_id,)).fetchall()
        for (former,) in rows:
            self._bury(former)
        if rows:
            self.connection.execute("DELETE FROM former_rows WHERE row_id = ?", (row_id,))

    def grow(self, by: Usage) -> None:
        """Counts what is about to be stored. Raises QuotaExceeded."""
        growth = self.growth.plus(by)
        if self._allowance is not None:
            self._allowance.check(growth)
        self.growth = growth

    def _refused(self, growth: Usage) -> QuotaExceeded | None:
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
