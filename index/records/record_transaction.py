"""A transaction with all that the seam asks of it: records, and what synchronisations keep beside them."""

from __future__ import annotations

from collections.abc import Sequence

from index.records.extensions import source_batch
from index.records.transaction import Transaction
from index.types.record import WriteResult
from index.types.sources import SourceBatch


class SqliteTransaction(Transaction):
    """Implements `index.contract.RecordTransaction`; `connection` is for the extensions."""

    def claim_epoch(self, epoch: int) -> None:
        source_batch.claim_epoch(self, epoch)

    def apply_batch(self, batch: SourceBatch) -> list[WriteResult]:
        return source_batch.apply_batch(self, batch)

    def withdraw(self, batch: SourceBatch, record_ids: Sequence[str]) -> int:
        return source_batch.withdraw(self, batch, record_ids)

    def reinstate(self, source: str, record_ids: Sequence[str], epoch: int | None = None) -> list[str]:
        return source_batch.reinstate(self, source, record_ids, epoch)

    def purge(self, before_ms: int) -> int:
        return source_batch.purge(self, before_ms)

    def forget_failures(self, source: str, record_ids: Sequence[str] | None) -> int:
        return source_batch.forget_failures(self, source, record_ids)

    def release(self, source: str) -> int:
        return source_batch.release(self, source)

    def forget_counts(self, run: str) -> None:
        source_batch.forget_counts(self, run)
