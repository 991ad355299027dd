"""The interval at which a tenant's audit log reports reads."""

from __future__ import annotations

from service.errors import Reason, ServiceError
from service.tenancy.database import RegistryDatabase

MAX_MINUTES = 1440


class ReadAudit:
    """All methods are thread-safe. Every process sees a change at a key's next call."""

    def __init__(self, database: RegistryDatabase) -> None:
        self._database = database

    def every_minutes(self, tenant_uid: str) -> int:
        """The interval in minutes; 0: reads are not reported."""
        row = self._database.row("SELECT reads_told_every_minutes FROM tenants WHERE uid = ?", (tenant_uid,))
        return int(row[0]) if row else 0

    def set(self, tenant_uid: str, minutes: int) -> None:
        """Sets the interval to 0, or 1 to 1,440 minutes. Raises ServiceError (ARGUMENT_INVALID)."""
        if not 0 <= minutes <= MAX_MINUTES:
            message = f"the interval must be 0, or 1 to {MAX_MINUTES} minutes, not {minutes}"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="every_minutes")
        self._database.change("UPDATE tenants SET reads_told_every_minutes = ? WHERE uid = ?", (minutes, tenant_uid))
