"""The admin side of a collection: counts, snapshots, upkeep, inspection, and its description."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from index.collection.collection_handle import CollectionHandle
from index.collection.tally import SearchTally
from index.collection.verification import collection_problems, stored_problems
from index.contract import BackupSet, ColdRecords
from index.types.backup import Backup
from index.types.collection import CollectionSpec, CollectionStats
from index.types.errors import StoreDamaged
from index.types.query import SearchNotes
from index.types.quota import Usage


class AdminSide:
    """Part of Collection. Any number of threads may call any method at once."""

    handle: CollectionHandle

    def take_over(self, spec: CollectionSpec) -> None:
        """Takes over a changed description, or whether to learn."""
        self.handle.place = replace(self.handle.place, spec=spec)
        if self.handle.loaded is not None:
            self.handle.loaded.index.set_learning(spec.learning)

    def stats(self) -> CollectionStats:
        """Counts, as searches see them; what is not known without loading is left out of a cold collection's."""
        loaded = self.handle.loaded
        if loaded is not None:
            return loaded.stats()
        return self.handle.cold(_cold_stats)

    def loaded_stats(self) -> CollectionStats:
        """As `stats`, with all that is known once the collection is in memory."""
        with self.handle as loaded:
            return loaded.stats()

    def usage(self) -> Usage:
        """How much is stored."""
        return self.handle.cold(lambda records: records.usage())

    @property
    def damaged(self) -> bool:
        """Whether a read met a damaged page since the collection was brought into memory, or when it should be."""
        loaded = self.handle.loaded
        return (self.handle.damage if loaded is None else loaded.store.damage) is not None

    @property
    def damaged_snapshots(self) -> builtins.list[Path]:
        """Snapshots that were set aside when the collection was loaded."""
        with self.handle as loaded:
            return loaded.index.damaged_files

    def snapshot(self) -> int:
        """Writes a snapshot of what searches see now; returns its sequence number. Raises OSError."""
        with self.handle.maintaining() as loaded:
            return loaded.maintenance.snapshot()

    def compact(self) -> None:
        """Frees the memory of deleted and replaced rows, and rewrites the snapshot without them; nobody waits for it.

        Raises OSError, or AnnIndexNotBuilt."""
        with self.handle.maintaining() as loaded:
            loaded.maintenance.compact()

    def build_ann_index(self, *, anew: bool = False) -> bool:
        """Makes searches fast that would compare every row; False where there are too few. Raises AnnIndexNotBuilt."""
        with self.handle as loaded:
            return loaded.index.optimise(anew=anew)

    def maintain(self) -> str | None:
        """Does, or begins, what is due while the collection is in memory; returns what. Call it every few seconds."""
        with self.handle.held_if_loaded() as loaded:
            if loaded is None:
                return None
            done = loaded.maintenance.maintain()
            self.handle.weigh()
            return done

    def keep_snapshot(self) -> Backup:
        """Copies the collection as it is now; reading and writing go on. Raises OSError."""
        with self.handle.maintaining() as loaded:
            return loaded.store.back_up()

    def clear_kept(self) -> None:
        """Erases what was deleted from the snapshots that were asked for, which upkeep does in time. Raises OSError."""
        with self.handle.maintaining() as loaded:
            loaded.maintenance.clear_kept()

    @property
    def kept(self) -> BackupSet:
        """The snapshots that were asked for."""
        return self.handle.backups

    def note(self, *, closing: bool = False) -> None:
        """Notes in the tenant's manifest how far the collection has come, where it is in memory and changed since the
        last note. Meant to be called every few seconds, and before it is abandoned (`closing`). Raises
        StoreUnavailable."""
        loaded = self.handle.loaded
        if loaded is not None:
            loaded.note(closing=closing)

    def take_in(self, notes: SearchNotes) -> None:
        """Takes in what a process that only reads noted of searches."""
        with self.handle as loaded:
            loaded.searches.add_many(notes.counted)
            loaded.index.note_queries(notes.queries)

    def search_tally(self) -> SearchTally:
        """How good searches were, by day."""
        with self.handle as loaded:
            return loaded.searches.seen()

    def enable_tally(self, enabled: bool) -> None:
        """Starts or stops counting searches, durably. Stopping deletes the counts. Raises StoreUnavailable."""
        with self.handle as loaded:
            loaded.searches.enable(enabled)

    def problems(self) -> Iterator[str]:
        """What is wrong with the store, the memory and the files, a line each; nothing where all is well.

        Of a store that is too damaged to be loaded, what is wrong with its pages, and with kept snapshots. Raises
        StoreDamaged where it cannot even be opened."""
        with ExitStack() as held:
            try:
                loaded = held.enter_context(self.handle)
            except StoreDamaged:
                yield from stored_problems(self.handle.cold(lambda records: list(records.problems())), self.kept)
                return
            yield from collection_problems(loaded)

    def close(self) -> None:
        """Snapshots if anything changed, then closes. Calls that still run are waited for; later ones fail."""
        self.handle.close(snapshot=True)

    def abandon(self) -> None:
        """Closes without a snapshot, for a collection whose files are about to be deleted."""
        self.handle.close(snapshot=False)


def _cold_stats(records: ColdRecords) -> CollectionStats:
    created_ms, last = records.created_ms, records.sequences().last
    return CollectionStats(records.usage().records, 0, last, created_ms, created_ms, 0)
