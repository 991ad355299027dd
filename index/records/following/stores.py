"""Opens the records of collections that another process writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from index.manifest.listed_database import check_salt
from index.manifest.location import Location
from index.records.extensions.registered import EXTENSIONS
from index.records.following.read_only_store import ReadOnlyRecordStore
from index.records.sqlite_stores import SqliteColdRecords, SqliteRecordStores
from index.storage.open_files import FreeFiles, none_freed
from index.storage.sqlite import connect, store_errors
from index.types.errors import WrittenElsewhere


class ReadOnlyRecordStores(SqliteRecordStores):
    """Stateless. Any number of threads may call any method at once."""

    def __init__(self) -> None:
        super().__init__(EXTENSIONS)

    def open(self, site: Location, free_files: FreeFiles = none_freed) -> ReadOnlyRecordStore:
        return ReadOnlyRecordStore(site, EXTENSIONS, free_files)

    @contextmanager
    def cold(self, site: Location) -> Iterator[SqliteColdRecords]:
        path = site.layout.records
        check_salt(path, site.listing.thing.salt)
        with closing(connect(path, site.store_key, read_only=True)) as connection, store_errors(path):
            yield SqliteColdRecords(connection, EXTENSIONS)

    def create(self, site: Location) -> None:
        raise WrittenElsewhere

    def adopt(self, file: Path, key: bytes, site: Location, before: Sequence[Path]) -> None:
        raise WrittenElsewhere
