"""The audit logs of all tenants, opened on first use."""

from __future__ import annotations

import logging

from index import AfterimageIndexError, DataDirectory
from index.storage import DatabaseError
from service.audit.chain import Details, Signer
from service.audit.log import AuditLog
from service.tenancy.per_tenant import PerTenant, note_progress_of
from service.tenancy.registry import TenantRegistry

SIGNING_KEY = "audit signing key"

_LOG = logging.getLogger(__name__)


class AuditLogs:
    """All methods are thread-safe."""

    def __init__(self, data: DataDirectory, registry: TenantRegistry) -> None:
        self._data, self._registry = data, registry
        self.signer = Signer(registry.secret(SIGNING_KEY))
        self._open = PerTenant(lambda uid: self._opened(uid, registry.data_key(uid)))

    def of(self, tenant_uid: str) -> AuditLog:
        """A tenant's log, created if there is none. Raises TenancyError if the tenant does not exist."""
        return self._open.of(tenant_uid)

    def of_new(self, tenant_uid: str, data_key: bytes) -> AuditLog:
        """The log of a tenant that is not in the registry yet. Raises StoreUnavailable."""
        return self._open.put(tenant_uid, self._opened(tenant_uid, data_key))

    def _opened(self, tenant_uid: str, data_key: bytes) -> AuditLog:
        return AuditLog(self._data.tenant(tenant_uid).audit, tenant_uid, data_key, self.signer)

    def add(self, tenant_uid: str, actor: str, action: str, details: Details) -> None:
        """Adds an entry to a tenant's log. Raises TenancyError or StoreUnavailable."""
        self.of(tenant_uid).add(actor, action, details)

    def existing(self) -> list[str]:
        """Uids of the tenants that have a log."""
        return [t.uid for t in self._registry.tenants() if self._data.tenant(t.uid).audit.exists()]

    def newest_ms(self) -> int:
        """Time of the newest entry of all logs that are open, milliseconds since 1970; 0 if there is none."""
        return max((log.newest_ms for _, log in self._open.items()), default=0)

    def opened(self) -> list[str]:
        """Uids of the tenants whose logs are open."""
        return [uid for uid, _ in self._open.items()]

    def forget(self, tenant_uids: set[str]) -> None:
        """Closes the logs of tenants that were deleted."""
        for log in self._open.take(tenant_uids).values():
            log.close()

    def note_progress(self) -> None:
        """Stores the state of open logs in the manifests of their tenants.

        Failures are logged, and the previous entries remain valid.
        """
        note_progress_of(self._open.items())

    def prune_keys(self) -> None:
        """Drops old idempotency keys from the logs that are open. Failures are logged; the next call tries again."""
        for uid, log in self._open.items():
            try:
                log.prune_keys()
            except (AfterimageIndexError, DatabaseError) as error:
                _LOG.warning("could not drop old idempotency keys: %s", error, extra={"tenant": uid})

    def close(self) -> None:
        """Closes all logs."""
        for one in self._open.take_all().values():
            one.close()
