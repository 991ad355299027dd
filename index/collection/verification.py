"""Looking for damage: in the store, between store and memory, in the files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice

from index.collection.loaded import LoadedCollection
from index.types.errors import StoreDamaged

MOST_LINES = 100


def collection_problems(loaded: LoadedCollection) -> Iterator[str]:
    """A line for each thing that is wrong, MOST_LINES of a kind at most; nothing where all is well."""
    yield from (f"records.db: {line}" for line in loaded.store.problems())
    try:
        with ExitStack() as reading:
            with loaded.store.paused():  # what is searched and what is stored is of one moment
                records = reading.enter_context(loaded.store.scan())
                differences = loaded.index.differences(records)
            yield from islice(differences, MOST_LINES)
    except StoreDamaged as error:
        yield str(error)
    yield from loaded.index.file_problems()
    for snapshot_id in loaded.kept.ids():
        yield from loaded.kept.problems(snapshot_id)
