"""Moves the records of a data directory, on which no server runs, to PostgreSQL and back."""

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
                for copied in copy_collections(spaces.directory(tenant.uid), stores, to_database=to_database):
                    yield CopiedRecords(tenant.name, copied.name, copied.records)
        finally:
            spaces.close()


def _stores(settings: Settings) -> SharedRecordStores[Location]:
    stores = record_stores_of(settings)
    if stores is None:
        raise SettingError.about("store_url", "must be set: the URL of the PostgreSQL database")
    return stores
