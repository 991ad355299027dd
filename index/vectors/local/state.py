"""What of a local index is replaced as a whole, and how it comes into memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from index.contract import RecordStore
from index.vectors.ann.centering import CenteringTransform
from index.vectors.segment.rows import Rows
from index.vectors.snapshots.files import SnapshotFiles
from index.vectors.snapshots.manifest import new_lineage

_LOG = logging.getLogger(__name__)
_REPLAYED_AT_ONCE = 4096


@dataclass
class State:
    """Changed while the store's writing is paused."""

    rows: Rows
    lineage: str
    snapshot_sequence: int


def load(snapshots: SnapshotFiles, store: RecordStore, dimension: int) -> tuple[State, list[Path]]:
    """The newest snapshot that can be used, brought up to date with the store, and those that were set aside. Raises
    DataFault where a snapshot is newer than the store."""
    transform = CenteringTransform.from_bytes(store.learnt("frame"))
    loaded, damaged = snapshots.load_newest(store.sequences(), transform)
    for path in damaged:
        _LOG.warning("snapshot %s failed its checks; it was set aside and is rebuilt from the store", path.name)
    if loaded is None:
        state = State(Rows(dimension, transform=transform), new_lineage(), 0)
    else:
        state = State(loaded.rows, loaded.lineage, loaded.sequence)
        if loaded.without_ann_index:
            _LOG.warning("the ANN index of a snapshot is unusable and is rebuilt: %s", loaded.without_ann_index)
    replay(state.rows, store, state.snapshot_sequence)
    return state, damaged


def replay(rows: Rows, store: RecordStore, after: int) -> None:
    """Applies all that the store has after a sequence number, a block at a time."""
    sequence = store.sequences().last
    changes = iter(store.changes(after))
    while block := list(islice(changes, _REPLAYED_AT_ONCE)):
        rows.apply(block, sequence)
    if rows.view.sequence != sequence:
        rows.apply([], sequence)
