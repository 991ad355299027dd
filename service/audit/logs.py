"""The audit logs of all tenants, opened on first use."""

from __future__ import annotations

import logging
import threading

from index import AfterimageIndexError, DataDirectory
from index.storage import DatabaseError
from service.audit.chain import Details, Signer
from service.audit.log import AuditLog
from service.tenancy.registry import TenantRegistry

SIGNING_KEY = "audit signing key"

_LOG = logging.getLogger(__name__)


class AuditLogs:
    """All methods are thread-safe."""

    def __init__(self, data: DataDirectory, registry: TenantRegistry) -> None:
        self._data, self._registry = data, registry
        self.signer = Signer(registry.secret(SIGNING_KEY))
        self._lock = threading.Lock()
        self._open: dict[str, AuditLog] = {}

    def of(self, tenant_uid: str) -> AuditLog:
        """A tenant's log, created if there is none. Raises TenancyError if the tenant does not exist."""
        with self._lock:
            found = self._open.get(tenant_uid)
            if found is None:
                key = self._registry.data_key(tenant_uid)
                found = AuditLog(self._data.tenant(tenant_uid).audit, tenant_uid, key, self.signer)
                self._open[tenant_uid] = found
            return found

    def of_new(self, tenant_uid: str, data_key: bytes) -> AuditLog:
        """The log of a tenant that is not in the registry yet. Raises StoreUnavailable."""
        with self._lock:
            log = AuditLog(self._data.tenant(tenant_uid).audit, tenant_uid, data_key, self.signer)
            self._open[tenant_uid] = log
            return log

    def add(self, tenant_uid: str, actor: str, action: str, details: Details) -> None:
        """Adds an entry to a tenant's log. Raises TenancyError or StoreUnavailable."""
        self.of(tenant_uid).add(actor, action, details)

    def existing(self) -> list[str]:
        """Uids of the tenants that have a log."""
        return [t.uid for t in self._registry.tenants() if self._data.tenant(t.uid).audit.exists()]

    def opened(self) -> list[str]:
        """Uids of the tenants whose logs are open."""
        with self._lock:
            return list(self._open)

    def forget(self, tenant_uids: set[str]) -> None:
        """Closes the logs of tenants that were deleted."""
        with self._lock:
            for gone in self._open.keys() & tenant_uids:
                self._open.pop(gone).close()

    def note_progress(self) -> None:
        """Stores the state of open logs in the manifests of their tenants.

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
        """Closes all logs."""
        with self._lock:
            for log in self._open.values():
                log.close()
            self._open.clear()
