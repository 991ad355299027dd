"""A vector index in the memory of a process that only reads: it follows what another process commits.

A commit is noticed by the version of the store, which a search compares before it begins. What the commit changed is
then replayed, and published as one view, so that a search sees whole commits. Snapshots come from the writer's process:
they are read, never written, and an index is loaded anew where that saves it a graph, a compaction or a learned
transform. Records that died are overwritten within seconds.
"""

from __future__ import annotations

import logging
import threading
import time

from index.contract import FollowedStore, IndexSite, RecordStore
from index.speed.malloc_trim import trim_heap
from index.types.changes import RowChange, SequenceRange
from index.types.collection import CollectionSpec
from index.types.errors import DataFault, SnapshotDamaged, StoreUnavailable, WrittenElsewhere
from index.types.query import QuerySum
from index.vectors.ann.centering import CenteringTransform, QueryTap
from index.vectors.local.answering import Answering
from index.vectors.local.centering_policy import CenteringPolicy
from index.vectors.local.local_index import LocalVectorIndex
from index.vectors.local.state import State
from index.vectors.query.recall import RecallCheck
from index.vectors.segment.rows import Rows
from index.vectors.snapshots.files import Loaded, SnapshotFiles
from index.vectors.snapshots.manifest import new_lineage, transform_uid

_LOG = logging.getLogger(__name__)
_BLOCK = 4096  # changes that are read in one transaction
_MOST_REPLAYED = 65_536  # more writes than this are loaded, rather than held until they can be published together
_TRIES = 4
_ERASE_TURN_S = 1.0  # a row that died is overwritten at the second turn: no search looks at it for longer
_COMPACT_ROWS, _DELTA_ROWS, _DELTA_SHARE = 1024, 8192, 16  # as for the writer, see `rebuilding`


class FollowerIndexes:
    """Implements `index.contract.FollowingIndexFactory`."""

    def follow(self, spec: CollectionSpec, store: FollowedStore, site: IndexSite) -> FollowerIndex:
        return FollowerIndex(spec, store, site)

    def open(self, spec: CollectionSpec, store: RecordStore, site: IndexSite) -> FollowerIndex:
        raise WrittenElsewhere

    def close(self) -> None:
        """Nothing runs for any of them."""


class FollowerIndex(LocalVectorIndex):
    """Implements `index.contract.FollowingIndex`. Saves, builds and compacts nothing by itself."""

    def __init__(self, spec: CollectionSpec, store: FollowedStore, site: IndexSite) -> None:
        """Raises DataFault, StoreDamaged or StoreUnavailable."""
        self._spec, self._store = spec, store
        self._snapshots = SnapshotFiles(spec, site)
        self._lock = threading.Lock()  # one thread at a time changes the rows
        self._recall, self._queries = RecallCheck(), QueryTap(spec.dimension, store.learnt("queries"))
        self._centering = CenteringPolicy(self._queries)
        self.answering = Answering(spec.encoder_fingerprint, self._queries)
        self.damaged_files = []
        self._seen, self._broken = store.version(), False
        self.state = self._loaded()
        self.set_learning(spec.learning)

    # ---- following

    @property
    def is_current(self) -> bool:
        """Whether a search that begins now sees every commit. Waits for nothing."""
        return self._store.version() == self._seen

    def follow(self) -> None:
        """Has searches see every commit. Raises StoreUnavailable, StoreDamaged or DataFault."""
        if self.is_current:
            return
        with self._lock:
            version = self._store.version()  # before what it counts is read: a later commit is noticed again
            if version == self._seen:
                return
            if self._broken or not self._replayed(self.state.rows):
                self.state, self._broken = self._loaded(), False
                self.answering.forget_earlier(self.view)
            self._seen = version

    def _replayed(self, rows: Rows) -> bool:
        """Publishes what the store has beyond the rows; False where they must be loaded instead."""
        after = rows.view.sequence
        known = self._store.sequences()
        if known.forgotten > after or known.last - after > _MOST_REPLAYED:
            return False
        changes, reached = self._changes(after)
        if reached.forgotten > after:
            return False
        if changes or reached.last != after:
            try:
                rows.apply(changes, reached.last)
            except BaseException:
                self._broken = True  # some slots may be filled in part
                raise
        return True

    def _changes(self, after: int) -> tuple[list[RowChange], SequenceRange]:
        """All changes after a sequence number, and what the store has with them."""
        changes: list[RowChange] = []
        position = after
        while True:
            block = self._store.change_block(after, position, _BLOCK)
            changes += block.changes
            if block.reached is not None:
                return changes, block.reached
            position = _sequence_of(block.changes[-1])

    # ---- loading

    def _loaded(self) -> State:
        """The rows as the store has them: from the writer's newest snapshot, where that can be used."""
        for attempt in range(_TRIES):
            transform = CenteringTransform.from_bytes(self._store.learnt("frame"))
            loaded = self._snapshot(transform) if attempt < _TRIES - 1 else None
            if loaded is None:
                state = State(Rows(self._spec.dimension, transform=transform), new_lineage(), 0)
            else:
                state = State(loaded.rows, loaded.lineage, loaded.sequence)
            if self._replay(state.rows, state.snapshot_sequence):
                return state
        raise StoreUnavailable("the collection changes faster than it can be read")

    def _snapshot(self, transform: CenteringTransform | None) -> Loaded | None:
        """The writer's newest snapshot that can be read. It may be removed meanwhile, in favour of a newer one."""
        for path in self._snapshots.paths():
            try:
                loaded = self._snapshots.load(path, transform)
                if loaded is not None:
                    return loaded
            except (SnapshotDamaged, OSError) as error:
                _LOG.info("a snapshot was passed over: %s", error)
        return None

    def _replay(self, rows: Rows, after: int) -> bool:
        """Brings rows that nobody searches yet up to date, a block at a time. False where the deletions since `after`
        are forgotten: there is a newer snapshot then."""
        position, least = after, after or self._store.sequences().last  # rows that died before are not read
        while True:
            block = self._store.change_block(after, position, _BLOCK)
            if block.reached is not None:
                if block.reached.forgotten > least:
                    return False
                if block.reached.last < after:
                    raise DataFault(self._snapshots.records, "is an older copy than its snapshot")
                rows.apply(block.changes, block.reached.last)
                return True
            position = _sequence_of(block.changes[-1])
            rows.apply(block.changes, position)

    # ---- beside the searches

    def maintain(self) -> str | None:
        """Follows, overwrites what died, checks recall, and loads the writer's snapshot anew where that helps; returns
        what it did. Call it every second."""
        self.follow()
        done = None
        with self._lock:
            rows = self.state.rows
            self._recall.run(rows.view)
            if rows.erasures_wait and rows.erase_dead(_ERASE_TURN_S):
                done = "erase"
            if rows.transform is not None and self._centering.moves_queries(rows.view):
                rows.set_query_mean(self._centering.query_mean(rows.transform.catalogue_mean))
            while rows.view.ann_index is not None and rows.sign_newer_rows():
                pass
        if self._newer_snapshot_helps():
            self._load_anew()
            done = "load"
        self.answering.forget_earlier(self.view)
        return done

    def forget(self) -> bool:
        """Has searches see every commit, and overwrites, at the second call, what had died before the first. Returns
        whether a second call is due. Raises StoreUnavailable, StoreDamaged or DataFault."""
        self.follow()
        with self._lock:
            rows = self.state.rows
            rows.erase_dead(0.0)
            due = rows.erasures_wait
        self.answering.forget_earlier(self.view)
        self._store.drop_read()
        return due

    def _newer_snapshot_helps(self) -> bool:
        view, dead = self.view, self.view.count - self.view.records
        stored = transform_uid(CenteringTransform.from_bytes(self._store.learnt("frame")))
        transformed = stored != transform_uid(view.transform)
        compactable = dead > max(_COMPACT_ROWS, view.records // 4)
        searched_slowly = view.count - view.ann_rows > max(_DELTA_ROWS, view.ann_rows // _DELTA_SHARE)
        if not (transformed or compactable or searched_slowly):
            return False
        newest = self._snapshots.newest_manifest()
        if newest.get("frame") != stored:
            return False
        if compactable and newest["rows"] - newest["records"] < dead // 2:
            return True
        return transformed or (searched_slowly and newest["base_rows"] > view.ann_rows)

    def _load_anew(self) -> None:
        """Searches go on over the earlier rows meanwhile."""
        began, state = time.monotonic(), self._loaded()
        with self._lock:
            version = self._store.version()
            if not self._replayed(state.rows):  # before it is shown: what a search has seen stays
                return
            self.state, self._seen = state, version
            self._recall.restart()
        trim_heap()
        _LOG.info("loaded a newer snapshot of a collection in %.1f s", time.monotonic() - began)

    def take_queries(self) -> QuerySum:
        """The queries since the last call, for the writer's process to note."""
        return self._queries.take()

    # ---- what only the writer's process does

    @property
    def recall(self) -> RecallCheck:
        return self._recall

    @property
    def learning(self) -> CenteringPolicy:
        return self._centering

    @property
    def ann_index_is_unsaved(self) -> bool:
        return False

    @property
    def needs_changes_after(self) -> int:
        """None that the store must keep for it: what is forgotten is loaded."""
        return self.view.sequence

    def erase(self) -> int:
        """Overwrites what was deleted, in memory."""
        if self.forget():
            time.sleep(_ERASE_TURN_S)
            self.forget()
        return self.view.sequence

    def optimise(self, *, anew: bool = False) -> bool:
        return False

    def compact(self) -> None:
        """Nothing: the writer's process compacts, and its snapshot is loaded."""

    def learn(self, transform: CenteringTransform | None) -> None:
        """Nothing: the writer's process learns, and its snapshot is loaded."""

    def save(self) -> int:
        return self.view.sequence

    def close(self) -> None:
        """Nothing runs beside the calls."""


def _sequence_of(change: RowChange) -> int:
    assert change.record is not None
    return change.record.sequence
