"""What is saved before a process ends, and what is left to be replayed from the store.

Nothing is lost without a snapshot: the next opening replays the writes from the store. So that a stop ends in time, few
writes are left to that in any case. Collections in which rows died come first and are always saved, since an earlier
snapshot still holds these rows; then those with a new ANN index, which takes longest to build again; then those whose
replay would be longest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from index.collection.collection import Collection
from index.collection.loaded import REPLAYED_SOON
from index.types.errors import AfterimageIndexError

_LOG = logging.getLogger(__name__)
_AT_ONCE = 4  # a small snapshot waits for the disk most of its time


class Saved(NamedTuple):
    """collections: that were saved. left: others that changed, left_writes: the writes to be replayed in them."""

    collections: int = 0
    left: int = 0
    left_writes: int = 0


class _Changed(NamedTuple):
    dead: bool
    built: bool
    writes: int
    collection: Collection

    def rank(self) -> tuple[bool, bool, int]:
        """What is saved first has the highest."""
        return self.dead, self.built, self.writes


def save_changed(collections: Sequence[Collection], timeout_s: float) -> Saved:
    """Writes snapshots of collections in memory; begins none after `timeout_s` except where rows died. A failure is
    logged, and the collection is left to be replayed."""
    ends = time.monotonic() + timeout_s
    changed = [found for collection in collections if (found := _changed(collection)) is not None]
    needed = (c for c in changed if c.dead or c.built or c.writes > REPLAYED_SOON)
    wanted = sorted(needed, key=_Changed.rank, reverse=True)

    def save_one(one: _Changed) -> bool:
        return (one.dead or time.monotonic() < ends) and _is_saved(one.collection)

    with ThreadPoolExecutor(_AT_ONCE, "save") as threads:
        saved = {id(one.collection) for one, done in zip(wanted, threads.map(save_one, wanted), strict=True) if done}
    left = [c.writes for c in changed if id(c.collection) not in saved]
    return Saved(len(saved), len(left), sum(left))


def _changed(collection: Collection) -> _Changed | None:
    with collection.handle.held_if_loaded() as loaded:
        if loaded is None:
            return None
        unsaved, stats = loaded.unsaved, loaded.index.stats()
        if not unsaved and not stats.ann_index_is_unsaved:
            return None
        return _Changed(bool(stats.tombstones), stats.ann_index_is_unsaved, unsaved, collection)


def _is_saved(collection: Collection) -> bool:
    with collection.handle.held_if_loaded() as loaded:
        try:
            if loaded is not None:
                loaded.maintenance.snapshot()
            return True
        except (OSError, AfterimageIndexError) as error:
            _LOG.warning("could not write a snapshot at closing; the next start reads the store: %s", error)
            return False
