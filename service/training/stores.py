"""The training databases of all tenants, opened on first use."""

from __future__ import annotations

import logging
from collections.abc import Callable

from index import AfterimageIndexError, DataDirectory, DataFault, Usage
from service.tenancy.per_tenant import PerTenant, note_progress_of
from service.tenancy.registry import TenantRegistry
from service.training.store import TrainingStore

_LOG = logging.getLogger(__name__)


class TrainingStores:
    """All methods are thread-safe."""

    def __init__(self, data: DataDirectory, registry: TenantRegistry) -> None:
        self._data, self._registry = data, registry
        self._open = PerTenant(lambda uid: TrainingStore(data.tenant(uid).training, registry.data_key(uid)))

    def of(self, tenant_uid: str) -> TrainingStore:
        """The tenant's store, created if there is none. Raises TenancyError if the tenant does not exist."""
        return self._open.of(tenant_uid)

    def usage(self, tenant_uid: str) -> Usage:
        """How much the tenant's training sets take. Raises TenancyError or DataFault."""
        return self.of(tenant_uid).usage() if self._data.tenant(tenant_uid).training.exists() else Usage()

    def existing(self) -> list[tuple[str, TrainingStore]]:
        """The existing stores of served tenants, with the tenants' uids."""
        found = []
        for uid in (t.uid for t in self._registry.tenants() if self._data.tenant(t.uid).training.exists()):
            try:
                found.append((uid, self.of(uid)))
            except DataFault:
                continue  # reported where it was detected
            except AfterimageIndexError as error:  # the other tenants' can be used
                _LOG.warning("could not open a training.db: %s", error)
        return found

    def each(self, work: Callable[[str, TrainingStore], object]) -> None:
        """Calls `work` with each existing store and its tenant's uid. What one raises stops no other, and is logged."""
        for uid, store in self.existing():
            try:
                work(uid, store)
            except (AfterimageIndexError, OSError) as error:
                _LOG.error("the training.db of tenant %s is unusable: %s", uid, error)

    def forget(self, deleted_uids: set[str]) -> list[str]:
        """Closes the stores of deleted tenants. Returns the uids of those that were open."""
        gone = self._open.take(deleted_uids)
        for store in gone.values():
            store.close()
        return list(gone)

    def note_progress(self) -> None:
        """Stores the state of open databases in the manifests of their tenants.

        Failures are logged, and the previous entries remain valid.
        """
        note_progress_of(self._open.items())

    def close(self) -> None:
        """Closes all stores."""
        for one in self._open.take_all().values():
            one.close()
