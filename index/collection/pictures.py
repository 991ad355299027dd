"""What is kept of a collection's pictures, as those see it who put, hand out and delete the copies."""

from __future__ import annotations

import time
from collections.abc import Sequence

from index.collection.collection_cache import CollectionHandle
from index.records.extensions import kept_pictures
from index.records.extensions.kept_pictures import Copies, Dropped
from index.records.record_transaction import SqliteTransaction
from index.types.companions import KeptPicture, PicturePolicy
from index.types.quota import Usage

UPLOAD_S = 3600.0  # a copy that no record has got within this is given up


class PictureBook:
    """Any number of threads may call any method at once; all raise StoreUnavailable where the disk refuses."""

    def __init__(self, handle: CollectionHandle, home: str) -> None:
        """`home`: under which the copies lie in object storage; a collection that is restored in place inherits it."""
        self._handle, self.home = handle, home

    def announce(self, object_id: str) -> None:
        """To be called before a copy is put: until a record gets it, it is nobody's, and deleted after an hour."""
        self._handle.write(lambda t: kept_pictures.loosen(t.connection, [object_id], _now_ms()))

    def of(self, record_ids: Sequence[str]) -> dict[str, KeptPicture]:
        """What is kept of records' pictures, by id; those of which nothing is kept are left out."""
        return self._handle.read(lambda s: s.read(lambda c: kept_pictures.read_kept(c, record_ids)))

    def holds(self, object_id: str) -> bool:
        """Whether a copy belongs to a record now."""
        return self._handle.read(lambda s: s.read(lambda c: kept_pictures.is_kept(c, object_id)))

    def counts(self) -> Dropped:
        """What is kept now."""
        return self._handle.read(lambda s: s.read(kept_pictures.count_kept))

    def loose(self, limit: int = 1000) -> list[str]:
        """Copies that are nobody's and can be deleted. Leaves a cold collection cold."""
        before_ms = _now_ms() - int(UPLOAD_S * 1000)
        return self._handle.peek(lambda c: kept_pictures.read_loose(c, before_ms, limit))

    def forget_loose(self, object_ids: Sequence[str]) -> None:
        """Drops the note of copies that were deleted."""
        self._handle.write(lambda t: kept_pictures.forget_loose(t.connection, object_ids))

    def apply(self, policy: PicturePolicy) -> Dropped:
        """Stores no more than a policy allows from now on, and drops what it does not; kept snapshots included."""

        def change(transaction: SqliteTransaction) -> Dropped:
            dropped = kept_pictures.write_policy(transaction.connection, policy)
            transaction.growth = transaction.growth.plus(Usage(0, -dropped.bytes))
            return dropped

        dropped = self._handle.write(change)
        with self._handle as loaded:
            loaded.kept.forget_pictures(policy)
            if dropped != Dropped():
                loaded.maintenance.snapshot()  # empties the log of the database
        return dropped

    def settle(self, there: Copies) -> None:
        """Makes a collection that was copied some time ago agree with the copies that are there now."""

        def settle(transaction: SqliteTransaction) -> None:
            lost = kept_pictures.settle_copy(transaction.connection, there)
            transaction.growth = transaction.growth.plus(Usage(0, -lost))

        self._handle.write(settle)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
