"""A collection that is in memory: its store, its vector index, and what keeps both in order."""

from __future__ import annotations

import logging
from dataclasses import replace

from index.collection.maintenance import Maintenance
from index.collection.reading import Reading
from index.collection.tally import SearchCounter
from index.contract import RecordStore, RecordStoreFactory, VectorIndexFactory
from index.manifest.location import Location
from index.storage.open_files import FreeFiles, none_freed
from index.types.collection import CollectionStats
from index.types.errors import AfterimageIndexError

_LOG = logging.getLogger(__name__)
OPEN_BYTES = 1_500_000  # about what connections and empty tables of one collection take
REPLAYED_SOON = 1000  # as many writes are replayed at a start in no time


class LoadedCollection:
    """Any number of threads may use the parts at once."""

    def __init__(
        self,
        place: Location,
        stores: RecordStoreFactory[Location],
        indexes: VectorIndexFactory,
        free_files: FreeFiles = none_freed,
    ) -> None:
        """Opens the collection; `free_files` makes room where no file can be opened. Raises DataFault,
        UnsupportedFormat, StoreDamaged or StoreUnavailable."""
        self.store: RecordStore = stores.open(place, free_files)
        try:
            with place.reporting(), self.store.paused():
                self.index = indexes.open(place.spec, self.store, place.site)
            self.commit = self.store.writer(self.index)
            self.kept = stores.backups(place)
            self.reading = Reading(self.store, self.index)
            self.maintenance = Maintenance(self.store, self.index, self.kept)
            self.searches = SearchCounter(self.store)
            self.kept.tidy()
        except BaseException:
            self.store.close()
            raise

    @property
    def is_current(self) -> bool:
        """Whether searches see every commit, of this process or another. Waits for nothing."""
        return True

    def catch_up(self) -> None:
        """Has searches see every commit. The writer of a collection sees its own, and there is no other."""

    @property
    def memory_bytes(self) -> int:
        """About how much memory this takes."""
        return self.index.memory_bytes + OPEN_BYTES

    @property
    def open_files(self) -> int:
        """How many files it has open."""
        return self.store.open_files

    @property
    def unsaved(self) -> int:
        """How many writes came after the last snapshot: an opening replays them."""
        stats = self.index.stats()
        return stats.sequence - stats.snapshot_sequence

    def stats(self) -> CollectionStats:
        """Counts, as searches see them."""
        return replace(self.index.stats(), created_ms=self.store.created_ms, memory_bytes=self.memory_bytes)

    def close(self, *, soon_again: bool = False) -> None:
        """Saves if anything changed, then closes; calls that still run are waited for, later ones fail.
        `soon_again`: leaves a few new rows to be replayed from the store at the next opening, but none that died."""
        unsaved, stats = self.unsaved, self.index.stats()
        replayed = soon_again and unsaved <= REPLAYED_SOON and not stats.tombstones
        try:
            if (unsaved > 0 and not replayed) or stats.ann_index_is_unsaved:
                self.maintenance.snapshot()
        except (OSError, AfterimageIndexError) as error:
            _LOG.warning("could not write a snapshot at closing; the next start reads the store: %s", error)
        self.note(closing=True)
        self.abandon()

    def note(self, *, closing: bool = False) -> None:
        """Writes the counts of searches where that is due, or the collection is about to be closed. Notes in the
        tenant's manifest how far the database has come."""
        self.searches.save(now=closing)
        self.store.note()

    def abandon(self) -> None:
        """Closes without a snapshot, for a collection whose files are about to be deleted."""
        self.index.close()
        self.store.close()
