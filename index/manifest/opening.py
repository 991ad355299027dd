"""Opening the manifest of a tenant's directory; one that was made before there were manifests gets one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

from index.manifest.change_number import is_numbered
from index.manifest.entries import MIGRATIONS, Entry, details_of, read_entries, records_name
from index.manifest.manifest import Manifest, Thing, salt_of
from index.storage.crypto import derive_key
from index.storage.durable_files import make_directory
from index.storage.layout import CollectionLayout, TenantLayout
from index.storage.regular_files import read_regular
from index.storage.sqlite import connect, migrate
from index.types.errors import DataFault, WrongKey

LISTED = {
    "collections.db": "tenant collections",
    "sync.db": "sync ledger",
    "audit.db": "audit log",
    "training.db": "training",
}  # the databases of a tenant, and what their keys are derived for


def open_manifest(layout: TenantLayout, data_key: bytes, *, must_exist: bool = False) -> Manifest:
    """The manifest of a tenant's directory, made where the directory has none yet. must_exist: it has one.

    Raises DataFault where it is missing although there was one, or damaged; WrongKey, UnsupportedFormat or
    StoreUnavailable.
    """
    path = layout.manifest
    if path.exists() and path.stat().st_size:
        manifest = Manifest(path, data_key)
        if manifest.generation():
            return manifest
    if must_exist or _had_one(layout, data_key):
        raise DataFault(path, "is empty" if path.exists() else "is missing")
    found = tuple(found_things(layout, data_key))
    make_directory(layout.root)
    manifest = Manifest(path, data_key)
    manifest.put(*found)
    return manifest


def found_things(layout: TenantLayout, data_key: bytes) -> Iterator[Thing]:
    """What is to be listed where nothing is: the databases that are there, and what `collections.db` names. Raises
    DataFault where there are collections and no list of them."""
    for name in LISTED:
        path = layout.root / name
        if path.exists() and path.stat().st_size:
            yield Thing(name, salt=salt_of(path))
    for entry in _entries(layout, data_key):
        collection = layout.collection(entry.uid)
        details = {**details_of(entry), "snapshots": snapshot_macs(collection)}
        yield Thing(records_name(entry.uid), salt=salt_of(collection.records), details=details)
        for kept in collection.kept_snapshots():
            yield Thing(f"{entry.home}/{kept.name}", salt=salt_of(kept / "records.db"))


def snapshot_macs(collection: CollectionLayout) -> list[str]:
    """The MACs of derived snapshots, which tell one from another; what cannot be read is passed over."""
    found = []
    for _, path in collection.snapshots():
        try:
            found.append(str(json.loads(read_regular(path / "manifest.json"))["mac"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _entries(layout: TenantLayout, data_key: bytes) -> list[Entry]:
    path = layout.collections
    if not path.exists() or not path.stat().st_size:
        if layout.collection_uids():
            raise DataFault(path, "is empty" if path.exists() else "is missing")
        return []
    with closing(connect(path, derive_key(data_key, LISTED[path.name]), create=False)) as connection:
        migrate(connection, MIGRATIONS, str(path))
        return read_entries(connection)


def _had_one(layout: TenantLayout, data_key: bytes) -> bool:
    """Whether any database was listed at any time."""
    for name, purpose in LISTED.items():
        path = layout.root / name
        if not path.exists() or not path.stat().st_size:
            continue
        try:
            with closing(connect(path, derive_key(data_key, purpose), create=False)) as connection:
                if is_numbered(connection):
                    return True
        except WrongKey as error:
            if name != "collections.db":
                raise DataFault(path, "is damaged, or belongs to another tenant") from error
            raise
    return False
