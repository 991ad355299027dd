"""A durable collection of vectors: the store is the truth, the rows in memory answer the searches."""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from index.attributes import check_attribute_name, check_attributes, check_id
from index.checks import check_record, normalised
from index.commit import GroupCommit
from index.crypto import derive_key, keyed_digest
from index.errors import AfterimageIndexError, InvalidInput
from index.layout import CollectionLayout
from index.model import (
    CollectionSpec,
    CollectionStats,
    DuplicateGroup,
    Origin,
    Outcome,
    RecordPatch,
    RecordWrite,
    Region,
    SearchAnswer,
    SearchQuery,
    StoredRecord,
    WriteResult,
)
from index.readers import ReaderPool
from index.reading import Reading
from index.rows import Rows
from index.schema import MIGRATIONS
from index.snapshot import SnapshotFiles
from index.sqlite import checkpoint, connect, migrate
from index.store import (
    RowChange,
    Transaction,
    creation_time_ms,
    forget_tombstones,
    read_changes,
    read_digests,
    read_origins,
    read_records,
    read_rows,
    read_sequence,
)

_LOG = logging.getLogger(__name__)
_OPTIMISTIC_TRIES = 3
_SNAPSHOT_WRITES = 1000
_COMPACT_ROWS = 1024
ERASE_AFTER_S = 600.0  # a deleted or replaced vector leaves memory, log and snapshot within this, and one upkeep


class Collection:
    """Records of one collection. Any number of threads may call any method at once.

    Open one with TenantDirectory; close it when done. Every write returns after it is on disk.
    """

    def __init__(self, layout: CollectionLayout, key: bytes, spec: CollectionSpec) -> None:
        """Opens, or makes, the collection in `layout` with the tenant's data key (32 bytes).

        Raises WrongKey, UnsupportedFormat or StoreUnavailable.
        """
        self.spec = spec
        store_key = derive_key(key, "collection store")
        self._digest_key = derive_key(key, "content digest")
        self._connection = connect(layout.records, store_key)
        migrate(self._connection, MIGRATIONS, "the collection database")
        self._readers = ReaderPool(layout.records, store_key)
        self._reading = Reading(self._readers)
        self._snapshots = SnapshotFiles(layout, key, spec)
        self._rows = Rows(spec.dimension)
        self._upkeep = threading.Lock()  # one snapshot or compaction at a time
        self._commit = GroupCommit(self._connection, spec.encoder_fingerprint, self._publish)
        self._created_ms = creation_time_ms(self._connection)
        self.damaged_snapshots: list[Path] = []
        self._snapshot_sequence = self._load()

    # ---- writing

    def content_digest(self, picture: bytes, region: Region | None) -> bytes:
        """A keyed digest of a picture and its region: equal for equal input, meaningless without the tenant's key."""
        crop = b"" if region is None else struct.pack("<4f", region.left, region.top, region.right, region.bottom)
        return keyed_digest(self._digest_key, picture, crop, self.spec.encoder_fingerprint.encode())

    def digests(self, record_ids: Sequence[str]) -> dict[str, bytes]:
        """The stored content digests of those records that have one."""
        with self._readers.connection() as connection:
            return read_digests(connection, record_ids)

    def origins(self, record_ids: Sequence[str]) -> dict[str, Origin]:
        """Where the pictures of those records that were fetched came from."""
        with self._readers.connection() as connection:
            return read_origins(connection, record_ids)

    def upsert(self, writes: Sequence[RecordWrite], *, insert_only: bool = False) -> list[WriteResult]:
        """Inserts or replaces records, one result each, in order. A bad record fails alone.

        Raises StoreUnavailable where nothing could be stored.
        """
        prepared = [self._attempt(w) for w in writes]

        def body(transaction: Transaction) -> list[WriteResult]:
            return [
                p if isinstance(p, WriteResult) else transaction.upsert(p, insert_only=insert_only) for p in prepared
            ]

        return self._commit.run(body) if any(isinstance(p, RecordWrite) for p in prepared) else _results(prepared)

    def patch(self, patches: Sequence[RecordPatch]) -> list[WriteResult]:
        """Changes product ids and attributes, one result each, in order; RecordNotFound for ids that do not exist."""

        def body(transaction: Transaction) -> list[WriteResult]:
            return [_patch_one(transaction, p) for p in patches]

        return self._commit.run(body)

    def delete(self, record_ids: Sequence[str]) -> int:
        """Deletes by id; ids that do not exist are passed over. Returns how many were deleted."""
        return self._commit.run(lambda transaction: transaction.delete_records(record_ids))

    def delete_matching(self, filter_text: str) -> int:
        """Deletes all records that match when the call begins and are unchanged when it writes. Returns how many."""
        view = self._rows.view
        slots = np.array(self._reading.allowed(view, filter_text), np.int64)
        rows = list(zip(view.row_ids[slots].tolist(), view.sequences[slots].tolist(), strict=True))
        return self._commit.run(lambda transaction: transaction.delete_rows(rows))

    # ---- reading

    def search(self, query: SearchQuery) -> SearchAnswer:
        """The nearest records. Raises InvalidInput or FilterSyntaxError."""
        vector = normalised("query", query.vector, self.spec.dimension)
        for _ in range(_OPTIMISTIC_TRIES):
            answer = self._reading.search(self._rows.view, query, vector)
            if answer is not None:
                return answer
        with self._commit.lock:  # writers are so busy that view and store keep drifting apart: hold them for one search
            answer = self._reading.search(self._rows.view, query, vector)
        assert answer is not None
        return answer

    def get(self, record_ids: Sequence[str], *, vectors: bool = False) -> dict[str, StoredRecord]:
        """Records by id; ids that do not exist are left out."""
        with self._readers.connection() as connection:
            return read_records(connection, record_ids, vectors=vectors)

    def list(
        self, after_row_id: int, limit: int, filter_text: str = "", *, vectors: bool = False
    ) -> list[StoredRecord]:
        """Up to `limit` matching records whose row id is higher than `after_row_id`, in order of row id."""
        return self._reading.page(self._rows.view, after_row_id, limit, filter_text, vectors=vectors)

    def count(self, filter_text: str = "") -> int:
        """How many records match."""
        view = self._rows.view
        return len(self._reading.allowed(view, filter_text))

    def stats(self) -> CollectionStats:
        """Counts, as searches see them."""
        view = self._rows.view
        return CollectionStats(
            len(view.live), view.count - len(view.live), view.sequence, view.index_time_ms, self._created_ms,
            self._snapshot_sequence,
        )  # fmt: skip

    def duplicates(self, filter_text: str, max_distance: float) -> Iterator[DuplicateGroup]:
        """Groups of matching records within a cosine distance of their first. Raises InvalidInput."""
        return self._reading.duplicates(self._rows.view, filter_text, max_distance)

    # ---- upkeep

    def snapshot(self) -> int:
        """Writes a snapshot of what searches see now; returns its sequence number. Raises OSError."""
        with self._upkeep:
            view = self._rows.view
            with self._readers.connection() as connection:
                self._snapshots.write(view, lambda row_ids: read_rows(connection, row_ids))
            self._snapshot_sequence = view.sequence
            with self._commit.lock:
                forget_tombstones(self._connection, view.sequence)
                checkpoint(self._connection)
            return view.sequence

    def compact(self) -> None:
        """Frees the memory of deleted and replaced rows, and rewrites the snapshot without them. Writers wait."""
        with self._upkeep, self._commit.lock:
            view = self._rows.view
            path = self._snapshots.write(view, lambda row_ids: read_rows(self._connection, row_ids))
            self._take_over(path)

    def _take_over(self, path: Path) -> None:
        loaded = self._snapshots.load(path)
        rows = Rows(self.spec.dimension)
        rows.load(loaded.block, loaded.rows)
        rows.apply([], loaded.sequence)
        self._rows, self._snapshot_sequence = rows, loaded.sequence
        forget_tombstones(self._connection, loaded.sequence)
        checkpoint(self._connection)

    def maintain(self) -> str | None:
        """Compacts or snapshots where it is due; returns which it did. Meant to be called every few seconds."""
        stats = self.stats()
        overdue = self._rows.dead_since is not None and time.monotonic() - self._rows.dead_since > ERASE_AFTER_S
        if overdue or stats.tombstones > max(_COMPACT_ROWS, stats.records // 4):
            self.compact()
            return "compact"
        if stats.sequence - self._snapshot_sequence > max(_SNAPSHOT_WRITES, stats.records // 10):
            self.snapshot()
            return "snapshot"
        return None

    def close(self) -> None:
        """Snapshots if anything changed, then closes. Calls that still run are waited for; later ones fail."""
        try:
            if self._rows.view.sequence > self._snapshot_sequence:
                self.snapshot()
        except (OSError, AfterimageIndexError) as error:
            _LOG.warning("no snapshot at closing, the next start reads the store instead: %s", error)
        self.abandon()

    def abandon(self) -> None:
        """Closes without a snapshot, for a collection whose files are about to be deleted."""
        with self._upkeep, self._commit.lock:
            self._commit.close("the collection is closed")
            self._readers.close()
            self._connection.close()

    # ---- within

    def _load(self) -> int:
        sequence = read_sequence(self._connection)
        loaded, self.damaged_snapshots = self._snapshots.load_newest(sequence)
        for path in self.damaged_snapshots:
            _LOG.warning("snapshot %s failed its checks; it is set aside and rebuilt from the store", path.name)
        if loaded is not None:
            self._rows.load(loaded.block, loaded.rows)
        covered = loaded.sequence if loaded else 0
        self._rows.apply(list(read_changes(self._connection, covered)), sequence)
        return covered

    def _publish(self, changes: Sequence[RowChange], sequence: int) -> None:
        self._rows.apply(changes, sequence)

    def _attempt(self, write: RecordWrite) -> RecordWrite | WriteResult:
        try:
            return self._checked(write)
        except InvalidInput as error:
            return WriteResult(write.record_id, Outcome.FAILED, error=error)

    def _checked(self, write: RecordWrite) -> RecordWrite:
        check_record(write)
        if write.vector is None:
            return write
        vector = normalised("vector", write.vector, self.spec.dimension)
        return replace(write, vector=vector)


def _results(prepared: Sequence[RecordWrite | WriteResult]) -> list[WriteResult]:
    return [p for p in prepared if isinstance(p, WriteResult)]


def _patch_one(transaction: Transaction, patch: RecordPatch) -> WriteResult:
    try:
        check_attributes(patch.set_attributes)
        for name in patch.remove_attributes:
            check_attribute_name(name)
        if patch.product_id is not None:
            check_id("product_id", patch.product_id, empty_allowed=True)
        return transaction.patch(patch)
    except InvalidInput as error:
        return WriteResult(patch.record_id, Outcome.FAILED, error=error)
