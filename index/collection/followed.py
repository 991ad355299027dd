"""A collection in the memory of a process that only reads: another process writes it, and this one follows."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import TypeVar, cast

from index.collection.collection_cache import UNLIMITED_BYTES, UNLIMITED_FILES, CollectionCache
from index.collection.loaded import LoadedCollection
from index.collection.maintenance import Maintenance
from index.collection.reading import Reading
from index.collection.tally import SearchCounter
from index.contract import FollowingIndex, FollowingIndexFactory, RecordTransaction
from index.manifest.location import Location
from index.records.following.stores import ReadOnlyRecordStores
from index.storage.open_files import FreeFiles, none_freed, with_room
from index.types.errors import StoreUnavailable, WrittenElsewhere
from index.types.query import SearchNotes

T = TypeVar("T")


class RefusedWrites:
    """Implements `index.contract.RecordWriter`."""

    closed = True

    def run(self, body: Callable[[RecordTransaction], T]) -> T:
        """Raises WrittenElsewhere."""
        raise WrittenElsewhere

    def close(self, why: StoreUnavailable) -> None:
        """Nothing: writes are refused anyway."""


class CountedElsewhere(SearchCounter):
    """Counts searches until the process that writes the counts takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: Counter[tuple[int, int | None]] = Counter()

    def add(self, day: int, bin_number: int | None) -> None:
        """Counts a search, as `SearchCounter.add` does."""
        with self._lock:
            self._new[day, bin_number] += 1

    def take(self) -> dict[tuple[int, int | None], int]:
        """The searches since the last call."""
        with self._lock:
            taken, self._new = self._new, Counter()
        return dict(taken)

    def save(self, *, now: bool = False) -> None:
        """Nothing: the process that writes saves."""


class FollowedMaintenance(Maintenance):
    """What a process that only reads does beside the calls."""

    def __init__(self, index: FollowingIndex) -> None:
        self._following = index
        self.damaged_kept = []

    def maintain(self) -> str | None:
        """Follows, and overwrites what died."""
        return self._following.maintain()


class FollowedCollection(LoadedCollection):
    """What would write raises StoreUnavailable."""

    def __init__(
        self, place: Location, stores: ReadOnlyRecordStores, indexes: FollowingIndexFactory,
        free_files: FreeFiles = none_freed,
    ) -> None:  # fmt: skip
        """Opens the collection. Raises DataFault, StoreDamaged or StoreUnavailable."""
        store = stores.open(place, free_files)
        self.store = store
        try:
            self._following = indexes.follow(place.spec, store, place.site)
        except BaseException:
            store.close()
            raise
        self.index, self.kept = self._following, stores.backups(place)
        self.commit = RefusedWrites()
        self.reading = Reading(store, self._following)
        self.maintenance = FollowedMaintenance(self._following)
        self.searches = self._counted = CountedElsewhere()

    @property
    def is_current(self) -> bool:
        """Whether searches see every commit of the process that writes. Waits for nothing."""
        return self._following.is_current

    def catch_up(self) -> None:
        """Has searches see every commit. Raises DataFault, StoreDamaged or StoreUnavailable."""
        self._following.follow()

    def forget(self) -> bool:
        """A turn of overwriting what died, as `FollowingIndex.forget`; returns whether another one is due."""
        return self._following.forget()

    def take_notes(self) -> SearchNotes:
        """What was noted of searches since the last call."""
        return SearchNotes(self._following.take_queries(), self._counted.take())

    @property
    def unsaved(self) -> int:
        """None: the process that writes saves."""
        return 0

    def close(self, *, soon_again: bool = False) -> None:
        """Closes; saves nothing."""
        self.abandon()

    def note(self, *, closing: bool = False) -> None:
        """Nothing: the process that writes does."""


class FollowedCache(CollectionCache):
    """The collections that a process follows."""

    def __init__(
        self, indexes: FollowingIndexFactory, budget_bytes: int = UNLIMITED_BYTES, budget_files: int = UNLIMITED_FILES
    ) -> None:
        super().__init__(indexes, budget_bytes, budget_files, ReadOnlyRecordStores())
        self._indexes = indexes

    def load(self, place: Location) -> LoadedCollection:
        stores = cast(ReadOnlyRecordStores, self.stores)
        return with_room(
            lambda: FollowedCollection(place, stores, self._indexes, self.free_files), self.free_files
        )  # fmt: skip
