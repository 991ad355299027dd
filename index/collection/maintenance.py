"""What a collection does beside its calls: the index keeps itself in order, and the store forgets what nobody needs."""

from __future__ import annotations

import logging
import threading

from index.contract import BackupSet, RecordStore, VectorIndex

_LOG = logging.getLogger(__name__)


class Maintenance:
    """Of one collection. Any number of threads may call any method at once. damaged_kept: ids of kept snapshots that
    nothing can be erased from."""

    def __init__(self, store: RecordStore, index: VectorIndex, kept: BackupSet) -> None:
        self._store, self._index, self._kept = store, index, kept
        self._lock = threading.Lock()  # one at a time forgets
        self._forgot_for = index.needs_changes_after
        self.damaged_kept: list[str] = []

    def snapshot(self) -> int:
        """Saves what searches see now; returns its sequence number. Raises OSError."""
        sequence = self._index.save()
        self._forget()
        return sequence

    def compact(self) -> None:
        """Frees the memory of dead rows, and saves. Raises OSError."""
        self._index.compact()
        self._forget()

    def erase(self) -> int:
        """Erases at once what was deleted: from memory, log and every snapshot; returns the sequence number that holds
        for. Raises OSError."""
        sequence = self._index.erase()
        self._forget()
        return sequence

    def maintain(self) -> str | None:
        """Does what is due, in a thread of its own where it takes long; returns what it did or began."""
        if given := self._store.give_space_back():
            self._store.erase_traces()
            _LOG.info("returned %.0f MiB of deleted records to the file system", given / (1 << 20))
        done = self._index.maintain()
        if done in ("erase", "snapshot") or self._index.needs_changes_after > self._forgot_for:
            self._forget()
        return done

    def clear_kept(self) -> None:
        """Erases what was deleted from the snapshots that somebody asked for, now rather than in time. Raises
        OSError."""
        with self._lock:
            self._clear_kept()

    def _forget(self) -> None:
        """After the index was saved: nothing of what was deleted stays in kept snapshots, in the list of deletions or
        in the store's log."""
        with self._lock:
            needed = self._index.needs_changes_after
            self._clear_kept()
            self._store.forget_tombstones(needed)
            self._store.erase_traces()
            self._store.release_memory()
            self._forgot_for = needed

    def _clear_kept(self) -> None:
        self.damaged_kept = self._kept.erase(self._store.tombstones()) or self.damaged_kept
