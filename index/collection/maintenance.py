"""What a collection does beside its calls: snapshots, bases, erasing, compaction. Searches never wait for any of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from index.collection.centering_policy import Learner
from index.records.backups import KeptSnapshots
from index.records.group_commit import GroupCommit
from index.records.queries import forget_tombstones, read_changes, read_sequence, read_tombstones, write_learnt
from index.speed.malloc_trim import trim_heap
from index.storage.free_pages import give_back_free_pages
from index.storage.read_connections import ReaderPool
from index.storage.sqlite import Connection, shrink
from index.storage.wal_checkpoints import Checkpoints
from index.vectors.ann.ann_build_job import Builders
from index.vectors.ann.centering import Frame, QueryMean
from index.vectors.query.recall import RecallCheck
from index.vectors.segment.rows import Rows, compacted
from index.vectors.segment.view import View
from index.vectors.snapshots.files import SnapshotFiles, new_lineage

_LOG = logging.getLogger(__name__)
_SNAPSHOT_WRITES = 1000
_COMPACT_ROWS = 1024
ERASE_TURN_S = 200.0  # a row is erased at the second turn after its death
ERASE_AFTER_S = 600.0  # within this a deleted or replaced vector has left memory, log and snapshot
SMALLEST_BASE = 6_000_000  # numbers (rows times dimension) below which every row is compared
_SEARCHES_END_S = 1.0  # a search that still looks at the dead rows has ended by then
_SMALLEST_DELTA, _DELTA_SHARE = 8192, 16
# While many rows come between two calls, the base waits: newer rows cost a search less than building it beside them.
_MANY, _DELTA_IN_FLOW = 1000, 65_536
_RETRAIN_GROWTH = 4
_REPLAYED_AT_ONCE = 4096


@dataclass(frozen=True)
class Files:
    """The snapshots of a collection: derived ones, and those that somebody asked for."""

    snapshots: SnapshotFiles
    kept: KeptSnapshots


@dataclass(frozen=True)
class Stored:
    """The collection's database: the writer's connection, what orders the writes, connections for readers, and what
    empties the log."""

    connection: Connection
    commit: GroupCommit
    readers: ReaderPool
    checkpoints: Checkpoints


@dataclass
class State:
    """What of a collection is replaced as a whole. Changed under the commit lock."""

    rows: Rows
    lineage: str
    snapshot_sequence: int


class Upkeep:
    """Of one collection. Any number of threads may call any method at once."""

    def __init__(self, state: State, stored: Stored, files: Files, builders: Builders, queries: QueryMean) -> None:
        self._state, self._files, self._builders = state, files, builders
        self._connection, self._commit, self._readers = stored.connection, stored.commit, stored.readers
        self._checkpoints = stored.checkpoints
        self.lock = threading.Lock()  # one snapshot at a time
        self._building = threading.Lock()  # one compaction or base at a time
        self.damaged_kept: list[str] = []  # ids of kept snapshots that nothing can be erased from
        self._replay_from: int | None = None  # tombstones after this are still needed by a compaction
        self.recall = RecallCheck()
        self.learning = Learner(queries)
        self._background: threading.Thread | None = None
        self._rows_seen, self._many_come = state.rows.view.count, False

    def snapshot(self) -> int:
        """Writes a snapshot of what searches see now; returns its sequence number. Raises OSError."""
        with self.lock:
            return self._snapshot()

    def compact(self) -> None:
        """New rows without the dead ones, with a base where there was one, and a snapshot of them. Raises OSError,
        BaseNotBuilt."""
        self._replace_rows(compacted)

    def erase(self) -> int:
        """Erases at once what was deleted: from memory, log and every snapshot; returns the sequence number that holds
        for. Waits for what is being built. Raises OSError."""
        with self._building:
            for pause_s in (_SEARCHES_END_S, 0.0):  # a row is erased at the second turn after its death
                with self._commit.lock:
                    self._state.rows.erase_dead(0.0)
                time.sleep(pause_s)
            return self.snapshot()

    def clear_kept(self) -> None:
        """Erases what was deleted from the snapshots that somebody asked for, now rather than in time. Raises
        OSError."""
        with self.lock:
            self._clear_kept()

    def learn(self, frame: Frame | None) -> None:
        """New rows, seen from another frame, made of the vectors in the store; searches go on meanwhile. Raises
        OSError, BaseNotBuilt."""

        def made(before: View) -> Rows:
            rows = Rows(before.halves.shape[1], max(64, before.records), frame)
            with self._readers.connection() as connection:
                replay(rows, connection, 0)
            return rows

        self._replace_rows(made, frame)
        _LOG.info("searches are %s", "centred" if frame is not None else "no longer centred")

    def _replace_rows(self, make: Callable[[View], Rows], frame: Frame | None = None) -> None:
        with self._building:
            with self._commit.lock:
                before = self._state.rows.view
                self._replay_from = before.sequence
            try:
                rows = make(before)
                if before.base is not None and (covered := _covered(rows)):
                    rows.set_base(*self._builders.build(rows.matrix.view(0, covered)))
                with self.lock:
                    with self._commit.lock:
                        replay(rows, self._connection, rows.view.sequence)
                        if rows.frame is not before.frame:
                            content = b"" if frame is None else frame.to_bytes()
                            write_learnt(self._connection, "frame", content)
                        self._state.rows, self._state.lineage = rows, new_lineage()
                    self._snapshot()
                trim_heap()
                self.recall.restart()
            finally:
                self._replay_from = None

    def build_base(self, *, anew: bool = False) -> bool:
        """Extends the base over all rows, or builds it anew; False where there is nothing to build over. Raises
        BaseNotBuilt."""
        with self._building:
            rows = self._state.rows
            previous = None if anew else rows.view.base
            covered = _covered(rows)
            if not covered or (previous is not None and previous.rows >= covered):
                return False
            base, sketches = self._builders.build(rows.matrix.view(0, covered), previous)
            with self._commit.lock:
                rows.set_base(base, sketches)
                shrink(self._connection)
            trim_heap()
            self.recall.restart()
            _LOG.info("a base over %d rows: recall@10 %.4f with %d candidates", covered, base.effort.recall,
                      base.effort.candidates)  # fmt: skip
            return True

    def due(self) -> str:
        """What is to be done: compact, base, rebuild, snapshot or nothing (empty)."""
        view = self._state.rows.view
        numbers = view.count * view.halves.shape[1]
        if view.count - view.records > max(_COMPACT_ROWS, view.records // 4):
            return "compact"
        if self.recall.below_floor:
            return "rebuild"
        if view.base is None and numbers >= SMALLEST_BASE:
            return "base"
        if self.learning.changes(view):
            return "learn"
        least = _DELTA_IN_FLOW if self._many_come else _SMALLEST_DELTA
        if view.base is not None and view.count - view.base_rows > max(least, view.base_rows // _DELTA_SHARE):
            return "rebuild" if view.count > _RETRAIN_GROWTH * view.base.effort.trained_rows else "base"
        if view.sequence - self._state.snapshot_sequence > max(_SNAPSHOT_WRITES, view.records // 10):
            return "snapshot"
        return ""

    def maintain(self) -> str | None:
        """Does what is due, in a thread of its own where it takes long; returns what it did or began."""
        rows = self._state.rows
        count = rows.view.count
        self._many_come, self._rows_seen = count - self._rows_seen >= _MANY, count
        self.recall.run(rows.view)
        while rows.view.base is not None and self._sketched(rows):
            pass
        if self.learning.moves_queries(rows.view):
            with self._commit.lock:
                rows.set_query_mean(self.learning.queries.mean())
        self._give_space_back()
        if rows.erasures_wait:
            with self._commit.lock:
                erased = rows.erase_dead(ERASE_TURN_S)
            if erased:
                self.snapshot()
                return "erase"
        due = self.due()
        if due == "snapshot":
            self.snapshot()
        elif due in ("compact", "learn") and rows.view.base is None:
            self._work()[due]()
        elif due and not self._begin(due):
            return None
        return due or None

    def _give_space_back(self) -> None:
        if given := give_back_free_pages(self._connection, self._commit.lock):
            with self._commit.lock:
                self._checkpoints.truncate()
            _LOG.info("%.0f MiB of deleted records went back to the disk", given / (1 << 20))

    def _sketched(self, rows: Rows) -> bool:
        with self._commit.lock:
            return rows.sketch_later()

    def join(self) -> None:
        """Waits for what was begun."""
        if self._background is not None:
            self._background.join()

    def _begin(self, due: str) -> bool:
        if self._builders.busy or (self._background is not None and self._background.is_alive()):
            return False
        self._background = threading.Thread(target=self._guarded, args=(self._work()[due],), name="upkeep", daemon=True)
        self._background.start()
        return True

    def _work(self) -> dict[str, Callable[[], object]]:
        return {
            "compact": self.compact, "base": self.build_base, "rebuild": lambda: self.build_base(anew=True),
            "learn": lambda: self.learn(self.learning.wanted),
        }  # fmt: skip

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # nobody waits for this thread; the collection serves as before
            _LOG.warning("upkeep of a collection failed, it is tried again later: %s", error)

    def _snapshot(self) -> int:
        view, lineage = self._state.rows.view, self._state.lineage
        self._files.snapshots.write(view, lineage)
        self._state.snapshot_sequence = view.sequence
        with self._commit.lock:
            needed = view.sequence if self._replay_from is None else min(view.sequence, self._replay_from)
        self._clear_kept()
        with self._commit.lock:
            forget_tombstones(self._connection, needed)
            write_learnt(self._connection, "queries", self.learning.queries.to_bytes())
            self._checkpoints.truncate()
            shrink(self._connection)
        return view.sequence

    def _clear_kept(self) -> None:
        with self._commit.lock:
            deleted = read_tombstones(self._connection, read_sequence(self._connection))
        self.damaged_kept = self._files.kept.erase(deleted) or self.damaged_kept


def replay(rows: Rows, connection: Connection, after: int) -> None:
    """Applies all that the store has after a sequence number, a block at a time."""
    sequence = read_sequence(connection)
    changes = iter(read_changes(connection, after))
    while block := list(islice(changes, _REPLAYED_AT_ONCE)):
        rows.apply(block, sequence)
    if rows.view.sequence != sequence:
        rows.apply([], sequence)


def _covered(rows: Rows) -> int:
    return rows.view.count // 8 * 8
