"""Changes of records within one transaction: what is inserted, replaced, refused or deleted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from index.contract import Companion
from index.records.extensions.hook import Before
from index.records.insert_statement import MOST_AT_ONCE
from index.records.queries import read_existing, read_with_digest
from index.records.row_changes import RowChanges, failed
from index.speed.gil_yield import batches_yielding
from index.types.attributes import check_attributes
from index.types.changes import Normalised
from index.types.errors import DigestMoved, RecordExists, RecordNotFound
from index.types.record import Outcome, RecordPatch, RecordWrite, Vector, WriteResult

W = TypeVar("W")
_ASKED_AT_ONCE = 256  # ids


class Transaction(RowChanges):
    """Implements `index.contract.RecordTransaction`."""

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
            return write.vector is not None and self.extensions.is_plain(write.write)

        results: list[WriteResult] = []
        for block in batches_yielding(writes, MOST_AT_ONCE):
            for new, run in groupby(block, is_plainly_new):
                if new:
                    results += self.insert([w for w in run if isinstance(w, Normalised)])
                else:
                    results += [
                        w if isinstance(w, WriteResult) else self._upsert(*w, insert_only=insert_only) for w in run
                    ]
        return results

    def _upsert(self, write: RecordWrite, given: Vector | None, *, insert_only: bool) -> WriteResult:
        found = read_with_digest(self.connection, write.record_id)
        if found is not None and insert_only:
            return failed(write.record_id, RecordExists(f"record {write.record_id!r} exists"))
        if found is None:
            if given is None:
                return failed(write.record_id, DigestMoved("the record was deleted meanwhile"))
            insert_it = partial(self._insert_one, Normalised(write, given))
            return self.extensions.storing(self, write, Before(0, same_vector=False), insert_it)
        old, old_digest = found
        same_input = write.digest is not None and write.digest == old_digest
        if given is None and not same_input:
            return failed(write.record_id, DigestMoved("the record was changed meanwhile"))
        vector = old.vector if same_input or given is None else given
        assert vector is not None
        assert old.vector is not None
        new = old._replace(product_id=write.product_id, attributes=write.attributes, region=write.region, vector=vector)
        same_vector = same_input or (write.digest == old_digest and np.array_equal(vector, old.vector))
        self.set_columns(old.row_id, write)
        replace = partial(self.replace, old, new, write.digest, unchanged=same_vector)
        return self.extensions.storing(self, write, Before(old.row_id, same_vector), replace)

    def patch(self, patch: RecordPatch) -> WriteResult:
        """Changes product id and attributes of one record. Failures are in the result."""
        found = read_with_digest(self.connection, patch.record_id)
        if found is None:
            return failed(patch.record_id, RecordNotFound(f"no record {patch.record_id!r}"))
        old, digest = found
        kept = {n: v for n, v in old.attributes.items() if n not in patch.remove_attributes}
        attributes = {**kept, **patch.set_attributes}
        check_attributes(attributes)
        product_id = old.product_id if patch.product_id is None else patch.product_id
        new = old._replace(attributes=attributes, product_id=product_id)
        done = self.replace(old, new, digest, unchanged=True)
        if done.outcome is Outcome.UPDATED:
            for extension in self.extensions:
                extension.patched(self, old.row_id)
        return done

    def delete_records(self, record_ids: Sequence[str]) -> int:
        """Deletes by id; ids that do not exist, or are given again, are passed over. Returns how many were deleted."""
        ids = list(dict.fromkeys(record_ids))
        rows = [r for i in ids if (r := self.one("SELECT row_id FROM records WHERE record_id = ?", i))]
        deleted = sum(self.delete_row(row_id) for (row_id,) in rows)
        return deleted + sum(extension.deleted(self, ids) for extension in self.extensions)

    def known(self, record_ids: Sequence[str]) -> set[str]:
        """Those of the ids that exist, or were taken out and could come back."""
        tables = ("records", *self.extensions.returning)
        return set().union(*(read_existing(self.connection, record_ids, table) for table in tables))

    def forget_product(self, product_id: str) -> int:
        """Erases records of a product that were taken out and could come back. Returns how many."""
        return sum(extension.product_deleted(self, product_id) for extension in self.extensions)

    def delete_rows(self, rows: Sequence[tuple[int, int]]) -> int:
        """Deletes (row id, sequence) pairs, passing over rows that were written since. Returns how many."""
        query = "SELECT row_id FROM records WHERE row_id = ? AND sequence = ?"
        return sum(self.delete_row(row_id) for row_id, sequence in rows if self.one(query, row_id, sequence))

    def _insert_one(self, new: Normalised) -> WriteResult:
        return self.insert([new])[0]

    def companion(self, companion: Companion[Any, W]) -> W:
        """The writes of what an extension keeps. Raises LookupError."""
        writes: W = self.extensions.named(companion).writes(self)  # type: ignore[assignment]
        return writes
