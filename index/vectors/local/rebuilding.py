"""What a local index does beside its searches: snapshots, the ANN index, erasing, compaction. Nobody waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from index.contract import RecordStore
from index.speed.malloc_trim import trim_heap
from index.types.errors import StoreUnavailable
from index.vectors.ann.ann_build_job import AnnBuilds
from index.vectors.ann.centering import CenteringTransform
from index.vectors.local.centering_policy import CenteringPolicy
from index.vectors.local.state import State, replay
from index.vectors.query.recall import RecallCheck
from index.vectors.segment.rows import Rows, compacted
from index.vectors.segment.view import View
from index.vectors.snapshots.files import SnapshotFiles
from index.vectors.snapshots.manifest import new_lineage

_LOG = logging.getLogger(__name__)
_SNAPSHOT_WRITES = 1000
_COMPACT_ROWS = 1024
ERASE_TURN_S = 200.0  # a row is erased at the second turn after its death
ERASE_AFTER_S = 600.0  # within this a deleted or replaced vector has left memory, log and snapshot
SMALLEST_BASE = 6_000_000  # numbers (rows times dimension) below which every row is compared
_SEARCHES_END_S = 1.0  # a search that still looks at the dead rows has ended by then
_SMALLEST_DELTA, _DELTA_SHARE = 8192, 16
# While many rows come between two calls, the ANN index waits: newer rows cost a search less than building it beside
# them.
_MANY, _DELTA_IN_FLOW = 1000, 65_536
_RETRAIN_GROWTH = 4


class Rebuilding:
    """Of one local index. Any number of threads may call any method at once."""

    def __init__(
        self, state: State, store: RecordStore, snapshots: SnapshotFiles, builders: AnnBuilds, learning: CenteringPolicy
    ) -> None:
        self._state, self._store, self._snapshots, self._builders = state, store, snapshots, builders
        self.lock = threading.Lock()  # one snapshot at a time
        self._building = threading.Lock()  # one compaction or base at a time
        self._replay_from: int | None = None  # deletions after this are still needed by a compaction
        self.recall = RecallCheck()
        self.learning = learning
        self._background: threading.Thread | None = None
        self._closed = False
        self._rows_seen, self._many_come = state.rows.view.count, False
        self._builds = self._saved_builds = 0  # of ANN indexes, and how many of them the last snapshot knows

    @property
    def needs_changes_after(self) -> int:
        """Which deletions the store must still know: those after the last snapshot, and those that a compaction has
        yet to take over."""
        with self._store.paused():
            saved, compacting = self._state.snapshot_sequence, self._replay_from
            return saved if compacting is None else min(saved, compacting)

    @property
    def ann_index_is_unsaved(self) -> bool:
        """Whether an ANN index was built after the last snapshot."""
        return self._builds != self._saved_builds

    def snapshot(self) -> int:
        """Writes a snapshot of what searches see now; returns its sequence number. Raises OSError."""
        with self.lock:
            return self._snapshot()

    def compact(self) -> None:
        """New rows without the dead ones, with an ANN index where there was one, and a snapshot of them. Raises
        OSError, AnnIndexNotBuilt."""
        self._replace_rows(compacted)

    def erase(self) -> int:
        """Erases at once what was deleted, from memory and snapshots; returns the sequence number that holds for.
        Waits for what is being built. Raises OSError."""
        with self._building:
            for pause_s in (_SEARCHES_END_S, 0.0):  # a row is erased at the second turn after its death
                with self._store.paused():
                    self._state.rows.erase_dead(0.0)
                time.sleep(pause_s)
            return self.snapshot()

    def learn(self, transform: CenteringTransform | None) -> None:
        """New rows, seen from another transform, made of the vectors in the store; searches go on meanwhile. Raises
        OSError, AnnIndexNotBuilt."""

        def made(before: View) -> Rows:
            rows = Rows(before.float16.shape[1], max(64, before.records), transform)
            replay(rows, self._store, 0)
            return rows

        self._replace_rows(made, transform)
        _LOG.info("searches are %s", "centred" if transform is not None else "no longer centred")

    def _replace_rows(self, make: Callable[[View], Rows], transform: CenteringTransform | None = None) -> None:
        with self._building:
            with self._store.paused():
                before = self._state.rows.view
                self._replay_from = before.sequence
            try:
                rows = make(before)
                if before.ann_index is not None and (covered := _covered(rows)):
                    rows.set_ann_index(*self._builders.build(rows.matrix.view(0, covered)))
                with self.lock:
                    with self._store.paused():
                        replay(rows, self._store, rows.view.sequence)
                        if rows.transform is not before.transform:
                            self._store.note_learnt("frame", b"" if transform is None else transform.to_bytes())
                        self._state.rows, self._state.lineage = rows, new_lineage()
                    self._snapshot()
                trim_heap()
                self.recall.restart()
            finally:
                self._replay_from = None

    def build_ann_index(self, *, anew: bool = False) -> bool:
        """Extends the ANN index over all rows, or builds it anew; False where there is nothing to build over. Raises
        AnnIndexNotBuilt."""
        with self._building:
            rows = self._state.rows
            previous = None if anew else rows.view.ann_index
            covered = _covered(rows)
            if not covered or (previous is not None and previous.rows >= covered):
                return False
            ann_index, signatures = self._builders.build(rows.matrix.view(0, covered), previous)
            with self._store.paused():
                rows.set_ann_index(ann_index, signatures)
                self._builds += 1
                self._store.release_memory()
            trim_heap()
            self.recall.restart()
            parameters = ann_index.parameters
            _LOG.info(
                "built an ANN index over %d rows: recall@10 %.4f with ef_search %d",
                covered, parameters.recall, parameters.candidates,
            )  # fmt: skip
            return True

    def due(self) -> str:
        """What is to be done: compact, base, rebuild, snapshot or nothing (empty)."""
        view = self._state.rows.view
        numbers = view.count * view.float16.shape[1]
        if view.count - view.records > max(_COMPACT_ROWS, view.records // 4):
            return "compact"
        if self.recall.below_floor:
            return "rebuild"
        if view.ann_index is None and numbers >= SMALLEST_BASE:
            return "base"
        if self.learning.changes(view):
            return "learn"
        least = _DELTA_IN_FLOW if self._many_come else _SMALLEST_DELTA
        if view.ann_index is not None and view.count - view.ann_rows > max(least, view.ann_rows // _DELTA_SHARE):
            return "rebuild" if view.count > _RETRAIN_GROWTH * view.ann_index.parameters.trained_rows else "base"
        unsaved = view.sequence - self._state.snapshot_sequence
        if self.ann_index_is_unsaved or unsaved > max(_SNAPSHOT_WRITES, view.records // 10):
            return "snapshot"
        return ""

    def maintain(self) -> str | None:
        """Does what is due, in a thread of its own where it takes long; returns what it did or began."""
        rows = self._state.rows
        count = rows.view.count
        self._many_come, self._rows_seen = count - self._rows_seen >= _MANY, count
        self.recall.run(rows.view)
        while rows.view.ann_index is not None and self._signature_rows(rows):
            pass
        if rows.transform is not None and self.learning.moves_queries(rows.view):
            with self._store.paused():
                rows.set_query_mean(self.learning.query_mean(rows.transform.catalogue_mean))
        if rows.erasures_wait:
            with self._store.paused():
                erased = rows.erase_dead(ERASE_TURN_S)
            if erased:
                self.snapshot()
                return "erase"
        due = self.due()
        if due == "snapshot":
            self.snapshot()
        elif due in ("compact", "learn") and rows.view.ann_index is None:
            self._work()[due]()
        elif due and not self._begin(due):
            return None
        return due or None

    def _signature_rows(self, rows: Rows) -> bool:
        with self._store.paused():
            return rows.sign_newer_rows()

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
            "compact": self.compact, "base": self.build_ann_index, "rebuild": lambda: self.build_ann_index(anew=True),
            "learn": lambda: self.learn(self.learning.wanted),
        }  # fmt: skip

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # nobody waits for this thread; the collection serves as before
            _LOG.warning("maintenance of a collection failed; retrying later: %s", error)

    def close(self) -> None:
        """Waits for a snapshot that is being written; there will be no other."""
        with self.lock:
            self._closed = True

    def _snapshot(self) -> int:
        if self._closed:
            raise StoreUnavailable("the collection is closed")
        builds = self._builds  # read before the view, which has them all
        view, lineage = self._state.rows.view, self._state.lineage
        self._snapshots.write(view, lineage)
        self._state.snapshot_sequence, self._saved_builds = view.sequence, builds
        self._store.note_learnt("queries", self.learning.queries.to_bytes())
        return view.sequence


def _covered(rows: Rows) -> int:
    return rows.view.count // 8 * 8
