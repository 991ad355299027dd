"""Records out of a derived snapshot, for a collection whose database and backups are all gone.

A derived snapshot has what searches need: ids, product ids, attributes, regions, times, and vectors in half precision.
It does not have the digests that recognise what was sent before, nor what extensions keep beside the records. Where the
collection had learnt, its rows are seen from a transform that was in the database alone; then there is no way back to
the vectors.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.manifest.location import Location
from index.records.extensions.registered import record_stores
from index.records.queries import pack_region
from index.records.row_changes import record_size
from index.speed.roaring_arrays import members
from index.storage.durable_files import sync_directory
from index.storage.sqlite import checkpoint, connect
from index.types.attributes import attributes_to_json
from index.types.errors import AfterimageIndexError
from index.vectors.segment.payloads import unpack_records
from index.vectors.segment.view import View
from index.vectors.snapshots.files import SnapshotFiles

_LOG = logging.getLogger(__name__)
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Derived:
    """A snapshot that was read, and what it holds."""

    path: Path
    view: View


def newest_derived(place: Location) -> Derived | None:
    """The newest snapshot of a collection that stands its checks and whose vectors can be had."""
    files = SnapshotFiles(place.spec, place.site)
    for _, path in place.layout.snapshots():
        try:
            loaded = files.load(path, None)
        except (AfterimageIndexError, OSError) as error:
            _LOG.warning("cannot read records from %s: %s", path.name, error)
            continue
        if loaded is not None:
            return Derived(path, loaded.rows.view)
    return None


def write_records(derived: Derived, place: Location) -> None:
    """Makes the collection's database of a snapshot. Raises OSError, or DatabaseError."""
    view, records = derived.view, place.layout.records
    slots, size = members(view.live), 0
    record_stores().create(place)
    with closing(connect(records, place.store_key)) as database:
        database.execute("BEGIN IMMEDIATE")
        for start in range(0, len(slots), _ROWS_AT_ONCE):
            rows = _rows(view, slots[start : start + _ROWS_AT_ONCE], place.spec.encoder_fingerprint)
            size += sum(record_size(row[1], row[2], row[3], row[-1]) for row in rows)
            database.executemany(
                "INSERT INTO records (row_id, record_id, product_id, attributes, region, encoder_fingerprint, sequence,"
                " created_ms, updated_ms, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        values = {"sequence": view.sequence, "records": len(slots), "bytes": size}
        database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(n, str(v)) for n, v in values.items()])
        database.execute("COMMIT")
        checkpoint(database)
    sync_directory(records.parent)


def _rows(view: View, slots: np.ndarray, fingerprint: str) -> list[tuple]:  # type: ignore[type-arg]
    packed = view.payloads.records(slots.tolist())
    found = unpack_records(packed, view.row_ids[slots].tolist(), view.sequences[slots].tolist(), fingerprint)
    vectors = view.originals(slots)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        (
            r.row_id, r.record_id, r.product_id, attributes_to_json(r.attributes), pack_region(r.region), fingerprint,
            r.sequence, r.created_ms, r.updated_ms, vector.astype(np.float32).tobytes(),
        )
        for r, vector in zip(found, vectors, strict=True)
    ]  # fmt: skip
