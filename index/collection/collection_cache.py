"""Which collections are in memory: those used last, within a budget of bytes and of open files. A cold one costs
an object and its files on disk.

The first use of a cold collection loads it, once, however many callers wait for it. Whoever uses a collection holds on
to it; what nobody uses and was used longest ago is closed when the budget is exceeded.
"""

from __future__ import annotations

import threading

from index.collection.collection_handle import CollectionHandle, ResourceUse
from index.collection.loaded import LoadedCollection
from index.contract import (
    RecordStoreFactory,
    VectorIndexFactory,
)
from index.manifest.location import Location
from index.records.extensions.registered import record_stores
from index.storage.open_files import with_room

UNLIMITED_BYTES = UNLIMITED_FILES = 1 << 62


class CollectionCache:
    """Those of one process. Any number of threads may call any method at once."""

    def __init__(
        self,
        indexes: VectorIndexFactory,
        budget_bytes: int = UNLIMITED_BYTES,
        budget_files: int = UNLIMITED_FILES,
        stores: RecordStoreFactory[Location] | None = None,
    ) -> None:
        """indexes: opens the vector index of each. stores: opens the record store of each; None: in SQLite."""
        self.indexes, self.budget_bytes, self.budget_files = indexes, budget_bytes, budget_files
        self.stores: RecordStoreFactory[Location] = record_stores() if stores is None else stores
        self._taken: dict[CollectionHandle, ResourceUse] = {}
        self._lock = threading.Lock()
        self._bytes = self._files = 0  # of all together
        self.loads = 0

    def load(self, place: Location) -> LoadedCollection:
        """Brings a collection into memory. Raises as LoadedCollection does."""
        return with_room(
            lambda: LoadedCollection(place, self.stores, self.indexes, self.free_files), self.free_files
        )  # fmt: skip

    def entered(self, handle: CollectionHandle, taken: ResourceUse) -> None:
        """Notes that a collection was loaded, and makes room for it."""
        with self._lock:
            self._note(handle, taken)
            self.loads += 1
            over = self._bytes > self.budget_bytes or self._files > self.budget_files
        if over:
            self.make_room()

    def left(self, handle: CollectionHandle) -> None:
        """Notes that a collection is not in memory any more."""
        with self._lock:
            self._note(handle, ResourceUse())
            self._taken.pop(handle, None)

    def grown(self, handle: CollectionHandle, taken: ResourceUse) -> None:
        """Notes how much a collection takes by now."""
        with self._lock:
            if handle in self._taken:
                self._note(handle, taken)

    def make_room(self) -> int:
        """Closes what was used longest ago until the budget is kept or all is in use; returns how many."""
        return self._close_oldest(self.budget_bytes, self.budget_files)

    def free_files(self) -> int:
        """Closes what was used longest ago until an eighth fewer files are open, or all is in use; returns how many.
        For when the process can open no more, whoever has opened them."""
        return self._close_oldest(UNLIMITED_BYTES, self._files - max(1, self._files // 8))

    def bytes(self) -> int:
        """About how much memory the collections in memory take."""
        return self._bytes

    def files(self) -> int:
        """How many files they have open."""
        return self._files

    def count(self) -> int:
        """How many are in memory."""
        with self._lock:
            return len(self._taken)

    def close(self) -> None:
        """Ends what is being built for any of them."""
        self.indexes.close()

    def _note(self, handle: CollectionHandle, taken: ResourceUse) -> None:
        before = self._taken.get(handle, ResourceUse())
        self._taken[handle] = taken
        self._bytes += taken.bytes - before.bytes
        self._files += taken.files - before.files

    def _close_oldest(self, most_bytes: int, most_files: int) -> int:
        with self._lock:
            taken = dict(self._taken)
        closed = 0
        for handle in sorted(taken, key=lambda h: h.used_at):
            if self._bytes <= most_bytes and self._files <= most_files:
                break
            closed += handle.cool()
        return closed
