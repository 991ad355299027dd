"""The write side of a collection: every call returns once what it wrote is on disk and in the answers."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from index.collection.collection_handle import CollectionHandle
from index.contract import RecordTransaction
from index.records.prepare import prepare
from index.speed.gil_yield import free_gradually
from index.types.attributes import check_attribute_name, check_attributes, check_id
from index.types.changes import Normalised
from index.types.collection import Erasure
from index.types.errors import InvalidInput
from index.types.record import Deletion, Outcome, RecordPatch, RecordWrite, WriteResult


class WriteSide:
    """Part of Collection. Any number of threads may call any method at once."""

    def __init__(self, handle: CollectionHandle) -> None:
        self.handle = handle

    def digests(self, record_ids: Sequence[str]) -> dict[str, bytes]:
        """The stored content digests of those records that have one."""
        with self.handle as loaded:
            return loaded.store.digests(record_ids)

    def upsert(self, writes: Sequence[RecordWrite], *, insert_only: bool = False) -> list[WriteResult]:
        """Inserts or replaces records, one result each, in order. A bad record fails alone."""
        prepared = prepare(writes, self.handle.place.spec.dimension)
        if not any(isinstance(p, Normalised) for p in prepared):
            return [p for p in prepared if isinstance(p, WriteResult)]
        with self.handle as loaded:
            results = loaded.commit.run(lambda transaction: transaction.upsert(prepared, insert_only=insert_only))
        free_gradually(prepared)
        return results

    def upsert_together(
        self, writes: Sequence[RecordWrite], *, insert_only: bool = False, delete: Sequence[tuple[int, int]] = ()
    ) -> list[WriteResult]:
        """Inserts or replaces records, and deletes (row id, sequence) pairs: all or nothing. Rows that were written
        since are passed over. Returns one result each, in order. Raises the error of the first record that fails."""
        prepared = prepare(writes, self.handle.place.spec.dimension)
        _check_all([p for p in prepared if isinstance(p, WriteResult)])

        def change(transaction: RecordTransaction) -> list[WriteResult]:
            results = transaction.upsert(prepared, insert_only=insert_only)
            _check_all(results)
            transaction.delete_rows(delete)
            return results

        with self.handle as loaded:
            return loaded.commit.run(change)

    def patch(self, patches: Sequence[RecordPatch]) -> list[WriteResult]:
        """Changes product ids and attributes, one result each, in order; RecordNotFound for ids that do not exist."""
        with self.handle as loaded:
            return loaded.commit.run(lambda transaction: [_patch_one(transaction, p) for p in patches])

    def delete(self, record_ids: Sequence[str]) -> int:
        """Deletes by id; ids that do not exist are passed over. Returns how many were deleted."""
        with self.handle as loaded:
            return loaded.commit.run(lambda transaction: transaction.delete_records(record_ids))

    def delete_known(self, record_ids: Sequence[str]) -> Deletion:
        """The same, and tells of which ids there was nothing, at the moment of the deletion."""
        with self.handle as loaded:

            def delete(transaction: RecordTransaction) -> Deletion:
                known = transaction.known(record_ids)
                return Deletion(transaction.delete_records(record_ids), _others(record_ids, known))

            return loaded.commit.run(delete)

    def unknown_ids(self, record_ids: Sequence[str]) -> builtins.list[str]:
        """Those of the ids, in order and once each, that `delete` would find nothing of."""
        with self.handle as loaded:
            return _others(record_ids, loaded.store.known(record_ids))

    def delete_matching(self, filter_text: str) -> int:
        """Deletes all records that match when the call begins and are unchanged when it writes. Returns how many."""
        with self.handle as loaded:
            rows = loaded.index.select(filter_text).versions()
            return loaded.commit.run(lambda transaction: transaction.delete_rows(rows))

    def erase(self, record_ids: Sequence[str], product_ids: Sequence[str] = ()) -> Erasure:
        """Deletes records by id and by product, including those that were taken out and could come back. Returns once
        nothing of them is left in the store, its log, the memory and all snapshots. Raises OSError."""
        with self.handle as loaded:
            rows = loaded.index.rows_of_products(product_ids)

            def delete(transaction: RecordTransaction) -> int:
                gone = sum(transaction.forget_product(p) for p in product_ids)
                return gone + transaction.delete_rows(rows) + transaction.delete_records(record_ids)

            records = loaded.commit.run(delete)
            sequence = loaded.maintenance.erase()
            kept = (i for i in loaded.kept.ids() if i not in loaded.maintenance.damaged_kept)
            return Erasure(records, sequence, tuple(kept))


def _others(record_ids: Sequence[str], known: set[str]) -> builtins.list[str]:
    return [record_id for record_id in dict.fromkeys(record_ids) if record_id not in known]


def _check_all(results: Sequence[WriteResult]) -> None:
    for result in results:
        if result.error is not None:
            raise result.error


def _patch_one(transaction: RecordTransaction, patch: RecordPatch) -> WriteResult:
    try:
        check_attributes(patch.set_attributes)
        for name in patch.remove_attributes:
            check_attribute_name(name)
        if patch.product_id is not None:
            check_id("product_id", patch.product_id, empty_allowed=True)
        return transaction.patch(patch)
    except InvalidInput as error:
        return WriteResult(patch.record_id, Outcome.FAILED, error=error)
