"""A collection that is in memory: its database, its rows, and what keeps both in order."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from index.collection.maintenance import Files, State, Stored, Upkeep, replay
from index.collection.reading import Reading
from index.manifest.change_number import begin_number
from index.manifest.entries import Entry, told_of
from index.manifest.listed_database import ListedDatabase
from index.manifest.location import Place
from index.records.backups import KeptSnapshots
from index.records.group_commit import GroupCommit
from index.records.queries import creation_time_ms, read_learnt, read_range
from index.records.schema import MIGRATIONS
from index.storage.open_files import READER_FILES, WRITER_FILES, FreeFiles, none_freed
from index.storage.read_connections import ReaderPool
from index.storage.sqlite import Connection, DatabaseError, migrate, store_errors
from index.storage.wal_checkpoints import Checkpoints
from index.types.errors import AfterimageIndexError, DataFault, StoreDamaged, StoreUnavailable
from index.types.model import CollectionStats
from index.vectors.ann.ann_build_job import Builders
from index.vectors.ann.centering import Frame, QueryMean
from index.vectors.segment.rows import Rows, memory_of
from index.vectors.segment.view import View
from index.vectors.snapshots.files import SnapshotFiles, new_lineage

_LOG = logging.getLogger(__name__)
OPEN_BYTES = 1_500_000  # about what connections and empty tables of one collection take
_REPLAYED_SOON = 1000  # as many writes are replayed at a start in no time


class LoadedCollection:
    """Any number of threads may use the parts at once. `damage`: what a read met; writes are refused since."""

    damage: StoreDamaged | None

    def __init__(self, place: Place, builders: Builders, free_files: FreeFiles = none_freed) -> None:
        """Opens the collection; `free_files` makes room where no file can be opened. Raises DataFault,
        UnsupportedFormat, StoreDamaged or StoreUnavailable."""
        self.damage = None
        self.connection = place.open()
        try:
            with place.reporting(), store_errors(place.layout.records):
                _prepare(self.connection, place)
                self._open(place, builders, free_files)
        except BaseException:
            self.connection.close()
            raise

    def _open(self, place: Place, builders: Builders, free_files: FreeFiles) -> None:
        spec, self._listing = place.spec, place.listing
        self.readers = ReaderPool(place.layout.records, place.store_key, self._note_damage, free_files)
        queries = QueryMean(spec.dimension, read_learnt(self.connection, "queries"))
        self.reading = Reading(self.readers, spec.encoder_fingerprint, queries)
        snapshots = SnapshotFiles(place)
        self._created_ms = creation_time_ms(self.connection)
        self.damaged_snapshots: list[Path] = []
        self.state = self._load(snapshots, spec.dimension)
        self._checkpoints = Checkpoints(self.connection, place.layout.records, place.store_key)
        self.commit = GroupCommit(
            self.connection, spec.encoder_fingerprint, lambda: self.state.rows, self._checkpoints, place.allowance
        )
        self.files = Files(snapshots, KeptSnapshots(place))
        stored = Stored(self.connection, self.commit, self.readers, self._checkpoints)
        self.upkeep = Upkeep(self.state, stored, self.files, builders, queries)
        self.upkeep.learning.allowed = queries.wanted = spec.learning
        self._database = ListedDatabase(self.connection, self._listing.manifest, self._listing.thing.name)
        self.files.kept.tidy()

    @property
    def view(self) -> View:
        """What searches see now."""
        return self.state.rows.view

    @property
    def memory_bytes(self) -> int:
        """About how much memory this takes."""
        return memory_of(self.view) + self.reading.copied_bytes + OPEN_BYTES

    @property
    def open_files(self) -> int:
        """How many files it has open."""
        return WRITER_FILES + READER_FILES * (self.readers.open_count + self._checkpoints.connected)

    def stats(self) -> CollectionStats:
        """Counts, as searches see them."""
        view, check = self.view, self.upkeep.recall
        effort = view.base.effort if view.base is not None else None
        built = effort.recall if effort is not None else None
        return CollectionStats(
            view.records, view.count - view.records, view.sequence, view.index_time_ms, self._created_ms,
            self.state.snapshot_sequence, view.base_rows, self.memory_bytes,
            check.measured if check.comparisons else built, check.comparisons,
            0 if effort is None else int(effort.candidates * check.effort), self.upkeep.learning.gain,
            view.frame is not None,
        )  # fmt: skip

    def close(self, *, soon_again: bool = False) -> None:
        """Snapshots if anything changed, then closes; calls that still run are waited for, later ones fail.
        `soon_again`: leaves a few new rows to be replayed from the store at the next opening, but none that died."""
        view = self.view
        unsaved = view.sequence - self.state.snapshot_sequence
        replayed = soon_again and unsaved <= _REPLAYED_SOON and view.count == view.records
        try:
            if unsaved > 0 and not replayed:
                self.upkeep.snapshot()
        except (OSError, AfterimageIndexError) as error:
            _LOG.warning("no snapshot at closing, the next start reads the store instead: %s", error)
        self.note()
        self.abandon()

    def note(self) -> None:
        """Notes in the tenant's manifest how far the database has come."""
        with self.commit.lock:
            if self.commit.closed:
                return
            try:
                self._database.note(flush=False, records=self.view.records, sequence=self.view.sequence)
            except (DatabaseError, StoreUnavailable, DataFault) as error:
                _LOG.warning("the manifest did not hear how far a collection has come: %s", error)

    def abandon(self) -> None:
        """Closes without a snapshot, for a collection whose files are about to be deleted."""
        with self.upkeep.lock, self.commit.lock:
            self.commit.close(StoreUnavailable("the collection is closed"))
            self._checkpoints.close()
            self.readers.close()
            self.connection.close()

    def _note_damage(self, damage: StoreDamaged) -> None:
        """Refuses writes from now on: what cannot be read must not be written over."""
        if self.damage is None:
            self.damage = damage
            _LOG.error("%s", damage)
            self.commit.close(damage)

    def _load(self, snapshots: SnapshotFiles, dimension: int) -> State:
        frame = Frame.from_bytes(read_learnt(self.connection, "frame"))
        loaded, self.damaged_snapshots = snapshots.load_newest(read_range(self.connection), frame)
        for path in self.damaged_snapshots:
            _LOG.warning("snapshot %s failed its checks; it is set aside and rebuilt from the store", path.name)
        if loaded is None:
            state = State(Rows(dimension, frame=frame), new_lineage(), 0)
        else:
            state = State(loaded.rows, loaded.lineage, loaded.sequence)
            if loaded.without_base:
                _LOG.warning("a snapshot's base cannot be used and is built anew: %s", loaded.without_base)
        replay(state.rows, self.connection, state.snapshot_sequence)
        return state


def _prepare(connection: Connection, place: Place) -> None:
    """Brings the database to the newest format, and writes down whose it is, for the day that nobody else knows."""
    migrate(connection, MIGRATIONS, str(place.layout.records))
    told = json.dumps(told_of(Entry(place.layout.root.name, place.home, place.spec)), sort_keys=True)
    row = connection.execute("SELECT value FROM meta WHERE name = 'collection'").fetchone()
    if row is None or row[0] != told:
        connection.execute("BEGIN IMMEDIATE")
        begin_number(connection)
        connection.execute(
            "INSERT INTO meta VALUES ('collection', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (told,)
        )
        connection.execute("COMMIT")
