"""The training databases of all tenants, opened on first use."""

from __future__ import annotations

import contextlib
import logging
import threading

from index import AfterimageIndexError, DataDirectory, DataFault, Usage
from index.storage import DatabaseError
from service.tenancy.registry import TenantRegistry
from service.training.store import TrainingStore

_LOG = logging.getLogger(__name__)


class TrainingStores:
    """All methods are thread-safe."""

    def __init__(self, data: DataDirectory, registry: TenantRegistry) -> None:
        self._data, self._registry = data, registry
        self._lock = threading.Lock()
        self._open: dict[str, TrainingStore] = {}

    def of(self, tenant_uid: str) -> TrainingStore:
        """The tenant's store, created if there is none. Raises TenancyError if the tenant does not exist."""
        with self._lock:
            found = self._open.get(tenant_uid)
            if found is None:
                key = self._registry.data_key(tenant_uid)
                found = self._open[tenant_uid] = TrainingStore(self._data.tenant(tenant_uid).training, key)
            return found

    def usage(self, tenant_uid: str) -> Usage:
        """How much the tenant's training sets take. Raises TenancyError or DataFault."""
        return self.of(tenant_uid).usage() if self._data.tenant(tenant_uid).training.exists() else Usage()

    def existing(self) -> list[tuple[str, TrainingStore]]:
        """The existing stores of served tenants, with the tenants' uids."""
        found = []
        for uid in (t.uid for t in self._registry.tenants() if self._data.tenant(t.uid).training.exists()):
            with contextlib.suppress(DataFault):  # reported where it was detected
                found.append((uid, self.of(uid)))
        return found

    def forget(self, deleted_uids: set[str]) -> list[str]:
        """Closes the stores of deleted tenants. Returns the uids of those that were open."""
        with self._lock:
            gone = [uid for uid in self._open if uid in deleted_uids]
            for uid in gone:
                self._open.pop(uid).close()
            return gone

    def note_progress(self) -> None:
        """Stores the state of open databases in the manifests of their tenants.

        Failures are logged, and the previous entries remain valid.
        """
        with self._lock:
            opened = list(self._open.values())
        for one in opened:
            try:
                one.note_progress()
            except (AfterimageIndexError, DatabaseError) as error:
                _LOG.warning("could not update a manifest: %s", error)

    def close(self) -> None:
        """Closes all stores."""
        with self._lock:
            for store in self._open.values():
                store.close()
            self._open.clear()
