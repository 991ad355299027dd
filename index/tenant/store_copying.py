"""Moving the truth of a tenant's collections between its directory and a database, while no server runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from index.contract import SharedRecordStores
from index.manifest.location import Location
from index.tenant.directory import TenantDirectory


class CopiedCollection(NamedTuple):
    """A collection whose rows were copied and compared."""

    name: str
    records: int


def copy_collections(
    tenant: TenantDirectory, stores: SharedRecordStores[Location], *, to_database: bool
) -> Iterator[CopiedCollection]:
    """Copies one collection after the other, and compares what is in both places. What was copied before is only
    compared. Raises StoreUnavailable, or StoreDamaged where a row differs."""
    copy = stores.to_database if to_database else stores.to_directory
    for name in tenant.names(limit=tenant.collection_count):
        yield CopiedCollection(name, copy(tenant.collection(name).handle.place))
