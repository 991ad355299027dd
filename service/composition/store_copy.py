"""Moves what servers share of a data directory, on which no server runs, to PostgreSQL and back: the records, the
lists of collections, the tenants with their keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from index import (
    CollectionCache,
    DataDirectory,
    DirectoryLock,
    LocalVectorIndexes,
    Location,
    SharedRecordStores,
    StoreDamaged,
    copy_collections,
)
from service.composition.data_directory import open_registry
from service.composition.parts import record_stores_of
from service.errors import SettingError
from service.settings.model import Settings
from service.tenancy.spaces import TenantSpaces


class CopiedRecords(NamedTuple):
    """The records of one collection, which were copied and compared."""

    tenant: str
    collection: str
    records: int


def copy_records(settings: Settings, *, to_database: bool) -> Iterator[CopiedRecords]:
    """Copies collection after collection. Raises SettingError, DirectoryLocked or AfterimageIndexError."""
    data = DataDirectory(settings.data_dir)
    with closing(open_registry(settings)) as registry, closing(_stores(settings)) as stores, DirectoryLock(data.lock):
        cache = CollectionCache(LocalVectorIndexes(), stores=stores)
        spaces = TenantSpaces(data, registry, cache, settings.region)
        try:
            for tenant in registry.tenants():
                directory = spaces.directory(tenant.uid)
                for copied in copy_collections(directory, stores, to_database=to_database):
                    yield CopiedRecords(tenant.name, copied.name, copied.records)
                _compare(directory.list_differences())
                if not to_database:
                    directory.detach()
            _compare(registry.differences())
            if not to_database:
                registry.detach()  # last: until then the command can be run again
        finally:
            spaces.close()


def _compare(differences: list[str]) -> None:
    if differences:
        raise StoreDamaged(differences[0])


def _stores(settings: Settings) -> SharedRecordStores[Location]:
    stores = record_stores_of(settings)
    if stores is None:
        raise SettingError.about("store_url", "must be set: the URL of the PostgreSQL database")
    return stores
