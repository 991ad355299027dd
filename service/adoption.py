"""Adopts a snapshot of another machine."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from index import (
    CollectionCache,
    DataDirectory,
    DirectoryLock,
    LocalVectorIndexes,
    TenantDirectory,
    read_manifest,
)
from service.composition.data_directory import master_key_of, open_registry, region_of
from service.composition.parts import record_stores_of
from service.settings.model import Settings
from service.tenancy.database import TenancyError
from service.tenancy.masterkey import load_master_key, read_exported_key
from service.tenancy.spaces import check_region


@dataclass(frozen=True)
class ForeignSnapshot:
    """A snapshot of another machine.

    - `folder`: its directory.
    - `tenant_key_file`: the tenant's wrapped key (`afterimage tenants export-key`).
    - `master_key_file`: that machine's master key, if it differs.
    """

    folder: Path
    tenant_key_file: Path
    master_key_file: Path | None = None


def adopt_snapshot(settings: Settings, given: ForeignSnapshot, tenant_name: str, target: str) -> tuple[str, int]:
    """Creates a collection from a snapshot of another machine. Returns its name and its number of records.

    Raises DirectoryLocked if a server runs on the data directory, TenancyError if the tenant was deleted here,
    SnapshotDamaged, CollectionExists or SettingError.
    """
    data, region = DataDirectory(settings.data_dir), region_of(settings)
    with contextlib.closing(open_registry(settings)) as registry, DirectoryLock(data.lock):
        tenant = registry.tenant(tenant_name)
        there = load_master_key(given.master_key_file, None, create=False) if given.master_key_file else None
        uid, wrapped, bound_to = read_exported_key(given.tenant_key_file)
        check_region(bound_to, region)
        if uid in registry.deleted_uids():
            raise TenancyError("the tenant of the snapshot was deleted on this server; its snapshots cannot be adopted")
        source_key = (there or master_key_of(settings)).unwrap(wrapped, uid)
        check_region(read_manifest(given.folder, source_key)[0].region, region)
        cache = CollectionCache(LocalVectorIndexes(), stores=record_stores_of(settings))
        directory = TenantDirectory(data.tenant(tenant.uid), registry.data_key(tenant.uid), cache, tenant.region)
        made = directory.adopt_snapshot(given.folder, source_key, target)
        records = made.stats().records
        directory.close()
        return made.spec.name, records
