"""The open directories of tenants: opened on first use, closed together, removed with their tenant."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterator

from index import (
    AfterimageIndexError,
    Collection,
    CollectionCache,
    DataDirectory,
    DataFault,
    LocalVectorIndexes,
    StorageLimits,
    TenantDirectory,
    Usage,
    save_changed,
)
from service.errors import Reason, ServiceError
from service.tenancy.database import TenancyError
from service.tenancy.limits import Limits
from service.tenancy.per_tenant import PerTenant
from service.tenancy.registry import TenantRegistry

_LOG = logging.getLogger(__name__)


def check_region(bound_to: str, here: str) -> None:
    """Raises ServiceError (REGION_MISMATCH) if a tenant is bound to another region."""
    if bound_to and bound_to != here:
        message = f"the tenant is bound to region {bound_to!r}; this server is in {here or 'none'!r}"
        raise ServiceError(Reason.REGION_MISMATCH, message)


class TenantSpaces:
    """All methods are thread-safe."""

    def __init__(
        self, data: DataDirectory, registry: TenantRegistry, cache: CollectionCache | None = None, region: str = "",
        beside: Callable[[str], Usage] = lambda uid: Usage(), refused: Callable[[str], object] = lambda quota: None,
    ) -> None:  # fmt: skip
        """Opens no directory yet.

        - `cache`: the cache of all tenants' collections.
        - `region`: the region of this server.
        - `beside`: returns what a tenant stores in addition to its collections. Called from any thread.
        - `refused`: called with the name of a quota that is used up. Called from any thread.
        """
        self._region, self._beside, self._refused = region, beside, refused
        self._data, self._registry, self.cache = data, registry, cache or CollectionCache(LocalVectorIndexes())
        self._open = PerTenant(self._opened)

    def directory(self, tenant_uid: str) -> TenantDirectory:
        """The tenant's directory, opened on first use.

        Raises TenancyError if the tenant does not exist, and ServiceError (REGION_MISMATCH) if its data must be
        elsewhere.
        """
        if self._open.get(tenant_uid) is not None:
            self._registry.faults.check(tenant_uid)
        return self._open.of(tenant_uid)

    def _opened(self, tenant_uid: str) -> TenantDirectory:
        region = self._registry.region(tenant_uid)
        check_region(region, self._region)
        key = self._registry.data_key(tenant_uid)
        limits = StorageLimits(
            lambda: self._registry.limits.of(tenant_uid).quota, lambda: self._beside(tenant_uid), self._refused
        )
        return TenantDirectory(self._data.tenant(tenant_uid), key, self.cache, region, limits)

    def opened_directory(self, tenant_uid: str) -> TenantDirectory | None:
        """The tenant's directory if it is already open. Never blocks, so an event loop may call it."""
        return self._open.get(tenant_uid)

    def opened(self) -> list[tuple[str, TenantDirectory]]:
        """All open directories, with the uids of their tenants."""
        return self._open.items()

    def limits(self, tenant_uid: str) -> Limits:
        """The tenant's limits."""
        return self._registry.limits.of(tenant_uid)

    def remove_deleted(self) -> int:
        """Closes deleted tenants and removes their files. Returns how many. Call it every few seconds."""
        removed = 0
        for uid in self._registry.deleted_uids():
            for opened in self._open.take({uid}).values():
                opened.abandon()
            root, sharing = self._data.tenant(uid).root, self.cache.stores.sharing
            if root.exists():
                if sharing is not None:
                    sharing.forget(uid)
                shutil.rmtree(root)
                removed += 1
        return removed

    def note_progress(self) -> None:
        """Stores the state of collections in the manifests of tenants. Call it every few seconds."""
        for _, directory in self.opened():
            directory.note()
        self._registry.faults.note_generations(uid for uid, _ in self.opened())

    def stopped(self) -> dict[str, DataFault]:
        """The known tenants that are not served because their files are damaged."""
        for uid, directory in self.opened():
            if directory.fault is not None:
                self._registry.faults.stop(uid, directory.fault)
        return self._registry.faults.all()

    def settle(self) -> int:
        """Loads collections that a crash left open, so that maintenance erases deleted data. Returns how many.

        Call it once after a start.
        """
        found = 0
        for collection in self._unsettled():
            try:
                collection.count()
                found += 1
            except (OSError, AfterimageIndexError) as error:  # the others must be settled
                _LOG.warning("cannot open a collection after a crash: %s", error)
        self._look_deeply()
        return found

    def _unsettled(self) -> Iterator[Collection]:
        for tenant in self._registry.tenants():
            try:
                yield from self.directory(tenant.uid).unsettled()
            except (OSError, AfterimageIndexError) as error:
                _LOG.warning("cannot open the collections of a tenant after a crash: %s", error)

    def _look_deeply(self) -> None:
        for tenant in self._registry.tenants():
            try:
                self._registry.faults.check_deeply(tenant.uid)
            except (OSError, AfterimageIndexError, TenancyError) as error:
                _LOG.warning("could not check the files of a tenant: %s", error)

    def maintain(self) -> None:
        """Runs due maintenance of the collections in memory, and enforces the memory budget. Failures are logged."""
        for collection in self.loaded():
            try:
                done = collection.maintain()
                if done:
                    _LOG.info("%s of a collection with %d records", done, collection.stats().records)
            except (OSError, AfterimageIndexError) as error:
                _LOG.warning("maintenance of a collection failed: %s", error)
        self.cache.make_room()

    def damaged(self) -> int:
        """How many collections of open directories have a database with damaged pages, as far as a call met them."""
        return sum(c.damaged for _, directory in self._open.items() for c in directory.every())

    def loaded(self) -> list[Collection]:
        """All collections in memory."""
        return [c for _, d in self._open.items() for c in d.in_memory()]

    def close(self, snapshots_s: float = math.inf) -> None:
        """Closes all directories. Begins snapshots of what changed for `snapshots_s` seconds; what has none is replayed
        at its next use. Index builds in progress are abandoned."""
        self.cache.close()
        saved = save_changed(self.loaded(), snapshots_s)
        opened = self._open.take_all()
        for directory in opened.values():
            directory.close(saved=True)
        if saved.collections or saved.left:
            _LOG.info(
                "wrote snapshots of %d collections; %d others replay %d writes from the store at their next use",
                saved.collections, saved.left, saved.left_writes,
            )  # fmt: skip
        self._registry.faults.note_generations(opened)
