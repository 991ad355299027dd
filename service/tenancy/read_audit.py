"""How often a tenant's audit log tells of reads."""

from __future__ import annotations

from service.errors import Reason, ServiceError
from service.tenancy.database import RegistryDatabase

MOST_MINUTES = 1440


class ReadAudit:
    """Any number of threads may call any method at once. Every process sees a change at a key's next call."""

    def __init__(self, database: RegistryDatabase) -> None:
        self._database = database

    def every_minutes(self, tenant_uid: str) -> int:
        """Minutes of an interval; 0: reads are not told."""
        row = self._database.row("SELECT reads_told_every_minutes FROM tenants WHERE uid = ?", (tenant_uid,))
        return int(row[0]) if row else 0

    def set(self, tenant_uid: str, minutes: int) -> None:
        """Raises ServiceError (ARGUMENT_INVALID) unless it is 0, or 1 to 1,440."""
        if not 0 <= minutes <= MOST_MINUTES:
            message = f"the interval must be 0, or 1 to {MOST_MINUTES} minutes, not {minutes}"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="every_minutes")
        self._database.change("UPDATE tenants SET reads_told_every_minutes = ? WHERE uid = ?", (minutes, tenant_uid))
