"""The directories of tenants in a process that only reads, and follows what the writer changes."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping

from index import (
    Collection,
    DataDirectory,
    FollowedCache,
    FollowedDirectory,
    SearchNotes,
    StoreUnavailable,
    TenantDirectory,
    trim_heap,
)
from service.tenancy.per_tenant import PerTenant
from service.tenancy.registry import TenantRegistry
from service.tenancy.spaces import TenantSpaces, check_region

_SEARCHES_END_S = 1.0  # no search looks at what died for longer


class FollowedSpaces(TenantSpaces):
    """All methods are thread-safe. What would write is not called: a process that only reads has no such handlers."""

    def __init__(self, data: DataDirectory, registry: TenantRegistry, cache: FollowedCache, region: str) -> None:
        """Opens no directory yet."""
        super().__init__(data, registry, cache, region)
        self._followed_cache, self._here = cache, region
        self._following = PerTenant(self._followed)
        self.stopped_elsewhere: frozenset[str] = frozenset()  # uids of the tenants that the writer does not serve

    def directory(self, tenant_uid: str) -> TenantDirectory:
        """The tenant's directory, with the collections that it has now. Raises as `TenantSpaces.directory` does, and
        StoreUnavailable if the writer does not serve the tenant."""
        if tenant_uid in self.stopped_elsewhere:
            raise StoreUnavailable("the tenant is not served")
        followed = self._following.of(tenant_uid)
        followed.refresh()
        return followed

    def _followed(self, tenant_uid: str) -> FollowedDirectory:
        region = self._registry.region(tenant_uid)
        check_region(region, self._here)
        key = self._registry.data_key(tenant_uid)
        return FollowedDirectory(self._data.tenant(tenant_uid), key, self._followed_cache, region)

    def opened_directory(self, tenant_uid: str) -> TenantDirectory | None:
        """The tenant's directory if it is open and its list of collections is current. Never blocks."""
        found = self._following.get(tenant_uid)
        return None if found is None or tenant_uid in self.stopped_elsewhere or found.stale() else found

    def opened(self) -> list[tuple[str, TenantDirectory]]:
        """All open directories, with the uids of their tenants."""
        return [*self._following.items()]

    def loaded(self) -> list[Collection]:
        """All collections in memory."""
        return [c for _, d in self._following.items() for c in d.in_memory()]

    def remove_deleted(self) -> int:
        """Closes deleted tenants, whose files the writer removes. Returns how many."""
        gone = self._following.take(self._registry.deleted_uids())
        for directory in gone.values():
            directory.abandon()
        return len(gone)

    def follow(self) -> None:
        """Has what is in memory see every commit, and overwrites what died. Failures are logged. Call it every
        second: a collection that nobody searches forgets in time, too."""
        self.remove_deleted()
        for _, directory in self._following.items():
            directory.refresh()
        self.maintain()

    def forget(self) -> None:
        """Overwrites in memory what was deleted before the call. Takes a second where there is anything. Raises
        AfterimageIndexError or TenancyError where some of it may be left."""
        self.remove_deleted()
        due = [directory.forget() for _, directory in self._following.items()]
        if any(due):
            time.sleep(_SEARCHES_END_S)
            for _, directory in self._following.items():
                directory.forget()
        gc.collect()
        trim_heap()

    def take_notes(self) -> Mapping[str, Mapping[str, SearchNotes]]:
        """What was noted of searches since the last call, by tenant and collection."""
        found = {uid: directory.take_notes() for uid, directory in self._following.items()}
        return {uid: notes for uid, notes in found.items() if notes}

    def close(self, snapshots_s: float = math.inf) -> None:
        """Closes all directories. Saves nothing."""
        self.cache.close()
        for directory in self._following.take_all().values():
            directory.close()
