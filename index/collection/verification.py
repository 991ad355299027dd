"""Looking for damage: in the store, between store and memory, in the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice

from index.collection.loaded import LoadedCollection
from index.contract import BackupSet
from index.types.errors import StoreDamaged

MOST_LINES = 100


def collection_problems(loaded: LoadedCollection) -> Iterator[str]:
    """A line for each thing that is wrong, MOST_LINES of a kind at most; nothing where all is well."""
    yield from _of_store(loaded.store.problems())
    try:
        with ExitStack() as reading:
            with loaded.store.paused():  # what is searched and what is stored is of one moment
                records = reading.enter_context(loaded.store.scan())
                differences = loaded.index.differences(records)
            yield from islice(differences, MOST_LINES)
    except StoreDamaged as error:
        yield str(error)
    yield from loaded.index.file_problems()
    yield from _of_kept(loaded.kept)


def stored_problems(found: Iterable[str], kept: BackupSet) -> Iterator[str]:
    """The same of a collection that cannot be loaded. found: the problems of its store."""
    yield from _of_store(found)
    yield from _of_kept(kept)


def _of_store(found: Iterable[str]) -> Iterator[str]:
    return (f"records.db: {line}" for line in found)


def _of_kept(kept: BackupSet) -> Iterator[str]:
    for snapshot_id in kept.ids():
        yield from kept.problems(snapshot_id)
