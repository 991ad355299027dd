"""Which collections are in memory: those used last, within a budget of bytes and of open files. A cold one costs
an object and its files on disk.

The first use of a cold collection loads it, once, however many callers wait for it. Whoever uses a collection holds on
to it; what nobody uses and was used longest ago is closed when the budget is exceeded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, TypeVar

from index.collection.loaded import LoadedCollection
from index.contract import (
    BackupSet,
    ColdRecords,
    RecordStore,
    RecordStoreFactory,
    RecordTransaction,
    VectorIndexFactory,
)
from index.manifest.location import Location
from index.records.extensions.registered import record_stores
from index.storage.open_files import with_room
from index.types.collection import CollectionSpec
from index.types.errors import AfterimageIndexError, StoreUnavailable

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
UNLIMITED_BYTES = UNLIMITED_FILES = 1 << 62


class CollectionHandle:
    """One collection, in memory or cold: `with handle as loaded:` loads it where it must, and holds it.

    Raises StoreUnavailable once it is closed, and what LoadedCollection raises.
    """

    def __init__(self, place: Location, cache: CollectionCache) -> None:
        self.place, self._cache = place, cache
        self.lock = threading.Lock()  # held while it is loaded or closed
        self._maintained = threading.Condition(self.lock)
        self._maintainers = 0
        self.loaded: LoadedCollection | None = None
        self.users = 0
        self.used_at = 0.0
        self._closed = False

    def __enter__(self) -> LoadedCollection:
        fresh = False
        with self.lock:
            if self._closed:
                raise StoreUnavailable("the collection is closed")
            if self.loaded is None:
                self.loaded, fresh = self._load(), True
            self.users += 1
            self.used_at = time.monotonic()
            loaded = self.loaded
        if fresh:
            self._cache.entered(self, Taken(loaded.memory_bytes, loaded.open_files))
        return loaded

    def _load(self) -> LoadedCollection:
        cache = self._cache
        return with_room(
            lambda: LoadedCollection(self.place, cache.stores, cache.indexes, cache.free_files), cache.free_files
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.lock:
            self.users -= 1

    @contextmanager
    def maintaining(self) -> Iterator[LoadedCollection]:
        """As `with handle`, for work on the files beside the calls. `close` waits for its end, so that no file is
        written or removed by two at a time."""
        with self.lock:
            self._maintainers += 1
        try:
            with self as loaded:
                yield loaded
        finally:
            with self._maintained:
                self._maintainers -= 1
                self._maintained.notify_all()

    def read(self, body: Callable[[RecordStore], T]) -> T:
        """What a look into the store gives."""
        with self as loaded:
            return body(loaded.store)

    def peek(self, body: Callable[[ColdRecords], T]) -> T:
        """What a look into the store gives. A cold collection stays cold."""
        if self.loaded is not None:
            return self.read(body)
        return self.cold(body)

    def cold(self, body: Callable[[ColdRecords], T]) -> T:
        """What a look into the files of the store gives, whether or not the collection is in memory. Takes no lock."""
        with self._cache.stores.cold(self.place) as records:
            return body(records)

    def replaced(self, body: Callable[[ColdRecords], T]) -> T:
        """What a look into the store gives of a closed collection whose place another one takes."""
        with self._cache.stores.replaced(self.place) as records:
            return body(records)

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is now."""
        return self.place.spec

    @property
    def home(self) -> str:
        """What its backups are listed by, and where its files outside of its directory lie."""
        return self.place.home

    @property
    def backups(self) -> BackupSet:
        """Its backups."""
        return self._cache.stores.backups(self.place)

    def narrow_backups(self) -> None:
        """Drops from the backups what the collection may no longer keep."""
        with self.maintaining() as loaded:
            loaded.kept.narrow(self.spec)

    def empty_log(self) -> None:
        """Removes what deleted rows left in the store's log. Raises OSError."""
        with self.maintaining() as loaded:
            loaded.maintenance.snapshot()

    def write(self, body: Callable[[RecordTransaction], T]) -> T:
        """What a change of the database gives, once it is on disk."""
        with self as loaded:
            return loaded.commit.run(body)

    @contextmanager
    def held_if_loaded(self) -> Iterator[LoadedCollection | None]:
        """Holds the collection while it is in memory, and is None while it is cold. Does not count as a use.

        For maintenance: it must neither load what was closed nor keep in memory what nobody uses. `close` waits for
        its end, as with `maintaining`.
        """
        with self.lock:
            loaded = self.loaded
            self.users += loaded is not None
            self._maintainers += loaded is not None
        try:
            yield loaded
        finally:
            if loaded is not None:
                with self._maintained:
                    self.users -= 1
                    self._maintainers -= 1
                    self._maintained.notify_all()

    def weigh(self) -> None:
        """Notes how much memory and how many files it takes by now."""
        loaded = self.loaded
        if loaded is not None:
            self._cache.grown(self, Taken(loaded.memory_bytes, loaded.open_files))

    def close(self, *, snapshot: bool) -> None:
        """Closes it for good. Calls that come later fail; maintenance that works on its files is waited for."""
        self._cache.left(self)
        with self._maintained:
            self._closed = True
            self._maintained.wait_for(lambda: not self._maintainers)
            loaded, self.loaded = self.loaded, None
            if loaded is not None:
                loaded.close() if snapshot else loaded.abandon()

    def cool(self) -> bool:
        """Closes it until it is next used; False where it is in use."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self.users or self.loaded is None:
                return False
            self.loaded.close(soon_again=True)
            self.loaded = None
            self._cache.left(self)
            return True
        except (OSError, AfterimageIndexError) as error:
            _LOG.warning("could not close an unused collection: %s", error)
            return False
        finally:
            self.lock.release()


class Taken(NamedTuple):
    """What one collection, or all that are in memory, take. bytes: of memory, about. files: that are open."""

    bytes: int = 0
    files: int = 0


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
        self._taken: dict[CollectionHandle, Taken] = {}
        self._lock = threading.Lock()
        self._bytes = self._files = 0  # of all together
        self.loads = 0

    def entered(self, handle: CollectionHandle, taken: Taken) -> None:
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
            self._note(handle, Taken())
            self._taken.pop(handle, None)

    def grown(self, handle: CollectionHandle, taken: Taken) -> None:
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

    def _note(self, handle: CollectionHandle, taken: Taken) -> None:
        before = self._taken.get(handle, Taken())
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
