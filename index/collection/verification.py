"""Looking for damage: in the store, between store and memory, in the files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from index.collection.loaded import LoadedCollection
from index.records.queries import read_page, read_sequence
from index.storage.sqlite import Connection, integrity_problems
from index.types.attributes import attributes_to_json
from index.types.errors import StoreDamaged
from index.vectors.segment.payloads import pack_record
from index.vectors.segment.view import View

MOST_LINES = 100
_PAGE = 2000
_PAGE_BYTES = 64 * 1024 * 1024


def collection_problems(loaded: LoadedCollection) -> Iterator[str]:
    """A line for each thing that is wrong, MOST_LINES of a kind at most; nothing where all is well."""
    with loaded.readers.connection() as connection:
        yield from (f"records.db: {line}" for line in integrity_problems(connection))
    try:
        with loaded.readers.connection() as connection:
            with loaded.commit.lock:
                read_sequence(connection)  # from here on the connection sees the state of the view
                view = loaded.view
            yield from islice(_differences(view, connection), MOST_LINES)
    except StoreDamaged as error:
        yield str(error)
    yield from loaded.files.snapshots.all_problems()
    for snapshot_id in loaded.files.kept.ids():
        yield from loaded.files.kept.problems(snapshot_id)


def _differences(view: View, connection: Connection) -> Iterator[str]:
    """Between what is searched and what is stored."""
    found, after = 0, 0
    while page := read_page(connection, after, _PAGE, vectors=True, max_bytes=_PAGE_BYTES).records:
        after = page[-1].row_id
        for record in page:
            slots = view.slots_of([record.row_id])
            if not slots:
                yield f"memory: the record of row {record.row_id} is missing"
                continue
            found += 1
            assert record.vector is not None
            vector = record.vector[None, :] if view.frame is None else view.frame.rows(record.vector[None, :])[0]
            if not np.array_equal(vector[0].astype(np.float16), view.halves[slots[0]]):
                yield f"memory: the vector of row {record.row_id} is not the stored one"
            if bytes(view.payloads.record(slots[0])) != pack_record(record, attributes_to_json(record.attributes)):
                yield f"memory: what is shown of row {record.row_id} is not what is stored"
    if found != view.records:
        yield f"memory: {view.records} records are searched, {found} are stored"
