"""The open directories of tenants: opened on first use, closed together, removed when their tenant is deleted."""

from __future__ import annotations

import logging
import shutil
import threading

from index import AfterimageIndexError, Collection, DataDirectory, TenantDirectory
from service.tenancy.registry import TenantRegistry

_LOG = logging.getLogger(__name__)


class TenantSpaces:
    """Any number of threads may call any method at once."""

    def __init__(self, data: DataDirectory, registry: TenantRegistry) -> None:
        self._data, self._registry = data, registry
        self._lock = threading.Lock()
        self._open: dict[str, TenantDirectory] = {}

    def directory(self, tenant_uid: str) -> TenantDirectory:
        """The tenant's directory; opens it on first use. Raises TenancyError where the tenant is gone."""
        with self._lock:
            found = self._open.get(tenant_uid)
            if found is None:
                key = self._registry.data_key(tenant_uid)
                found = self._open[tenant_uid] = TenantDirectory(self._data.tenant(tenant_uid), key)
            return found

    def opened_directory(self, tenant_uid: str) -> TenantDirectory | None:
        """The tenant's directory if it is open already. Never waits, so an event loop may call it."""
        return self._open.get(tenant_uid)

    def remove_deleted(self) -> int:
        """Closes deleted tenants and removes their files; returns how many. Meant to be called every few seconds."""
        removed = 0
        for uid in self._registry.deleted_uids():
            with self._lock:
                opened = self._open.pop(uid, None)
            if opened is not None:
                opened.abandon()
            root = self._data.tenant(uid).root
            if root.exists():
                shutil.rmtree(root)
                removed += 1
        return removed

    def maintain(self) -> None:
        """Snapshots and compacts where it is due. Failures are logged; the store stays the truth."""
        for collection in self.opened():
            try:
                done = collection.maintain()
                if done:
                    _LOG.info("%s of a collection with %d records", done, collection.stats().records)
            except (OSError, AfterimageIndexError) as error:
                _LOG.warning("upkeep of a collection failed: %s", error)

    def opened(self) -> list[Collection]:
        """All collections that are open now."""
        with self._lock:
            directories = list(self._open.values())
        return [c for d in directories for c in d.opened()]

    def close(self) -> None:
        """Closes all, with snapshots."""
        with self._lock:
            for directory in self._open.values():
                directory.close()
            self._open.clear()
