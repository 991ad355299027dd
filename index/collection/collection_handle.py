"""One collection, in memory or cold: who uses it holds on to it, and its first use loads it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from index.collection.loaded import LoadedCollection
from index.contract import (
    BackupSet,
    ColdRecords,
    RecordStore,
    RecordTransaction,
)
from index.manifest.location import Location
from index.types.collection import CollectionSpec
from index.types.errors import AfterimageIndexError, StoreDamaged, StoreUnavailable

if TYPE_CHECKING:
    from index.collection.collection_cache import CollectionCache

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class ResourceUse(NamedTuple):
    """What one collection, or all that are in memory, take. bytes: of memory, about. files: that are open."""

    bytes: int = 0
    files: int = 0


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
        self.damage: StoreDamaged | None = None  # why it could not be loaded
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
            self._cache.entered(self, ResourceUse(loaded.memory_bytes, loaded.open_files))
        try:
            loaded.catch_up()
        except BaseException:
            with self.lock:
                self.users -= 1
            raise
        return loaded

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.lock:
            self.users -= 1

    def _load(self) -> LoadedCollection:
        try:
            loaded = self._cache.load(self.place)
        except StoreDamaged as error:
            self.damage = error
            raise
        self.damage = None
        return loaded

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

    @contextmanager
    def at_once(self) -> Iterator[LoadedCollection | None]:
        """The collection where it is in memory, knows every commit, and nobody has its lock, which the block then
        holds; else None. Waits for nothing, and the block must not either, nor use the handle."""
        if not self.lock.acquire(blocking=False):
            yield None
            return
        try:
            self.used_at = time.monotonic()
            loaded = self.loaded
            yield loaded if loaded is not None and loaded.is_current else None
        finally:
            self.lock.release()

    def weigh(self) -> None:
        """Notes how much memory and how many files it takes by now."""
        loaded = self.loaded
        if loaded is not None:
            self._cache.grown(self, ResourceUse(loaded.memory_bytes, loaded.open_files))

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
