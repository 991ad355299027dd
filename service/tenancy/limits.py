"""Settings of tenants in the registry: limits on storage and use, and the interval at which reads are audited."""

from __future__ import annotations

from dataclasses import dataclass

from index import Quota
from service.errors import Reason, ServiceError
from service.tenancy.database import RegistryDatabase

_COLUMNS = "max_records, max_bytes, max_collections, max_pictures_per_day, max_runs, max_requests_per_s"
_MAX_MINUTES = 1440


@dataclass(frozen=True)
class Limits:
    """Limits of one tenant; 0: no limit.

    - `records`, `bytes`: over all collections; bytes of vectors, ids and attributes.
    - `pictures_per_day`: encoded pictures, from midnight UTC.
    - `runs`: concurrent catalogue syncs.
    - `requests_per_s`: rate limit and burst, over all servers.
    """

    records: int = 0
    bytes: int = 0
    collections: int = 0
    pictures_per_day: int = 0
    runs: int = 0
    requests_per_s: float = 0.0

    @property
    def quota(self) -> Quota:
        """The limits that the index enforces."""
        return Quota(self.records, self.bytes, self.collections)


class LimitsTable:
    """All methods are thread-safe. Every process sees a change at its next call."""

    def __init__(self, database: RegistryDatabase) -> None:
        self._database = database
        self._read_at: tuple[int, dict[str, Limits]] = (-1, {})  # by uid, and the stamp of the database before

    def set(self, uid: str, limits: Limits) -> None:
        """Replaces all limits of a tenant."""
        self._database.change(
            "UPDATE tenants SET max_records = ?, max_bytes = ?, max_collections = ?, max_pictures_per_day = ?,"
            " max_runs = ?, max_requests_per_s = ? WHERE uid = ?",
            (
                limits.records, limits.bytes, limits.collections, limits.pictures_per_day, limits.runs,
                limits.requests_per_s, uid,
            ),
        )  # fmt: skip

    def of(self, uid: str) -> Limits:
        """The limits of a tenant; no limits if it does not exist. May wait for the database."""
        known = self.known(uid)
        if known is None:
            stamp = self._database.stamp()
            query = f"SELECT uid, {_COLUMNS} FROM tenants WHERE deleted_ms IS NULL"  # noqa: S608 - no input
            limits = {row[0]: Limits(*row[1:]) for row in self._database.rows(query)}
            self._read_at, known = (stamp, limits), limits.get(uid, Limits())
        return known

    def known(self, uid: str) -> Limits | None:
        """As `of`; None if the registry has changed since the limits were read. Never blocks."""
        stamp, limits = self._read_at
        return limits.get(uid, Limits()) if stamp == self._database.stamp() else None


class ReadAudit:
    """The interval at which a tenant's audit log reports reads. All methods are thread-safe.

    Every process sees a change at a key's next call.
    """

    def __init__(self, database: RegistryDatabase) -> None:
        self._database = database

    def every_minutes(self, tenant_uid: str) -> int:
        """The interval in minutes; 0: reads are not reported."""
        row = self._database.row("SELECT reads_told_every_minutes FROM tenants WHERE uid = ?", (tenant_uid,))
        return int(row[0]) if row else 0

    def set(self, tenant_uid: str, minutes: int) -> None:
        """Sets the interval to 0, or 1 to 1,440 minutes. Raises ServiceError (ARGUMENT_INVALID)."""
        if not 0 <= minutes <= _MAX_MINUTES:
            message = f"the interval must be 0, or 1 to {_MAX_MINUTES} minutes, not {minutes}"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field="every_minutes")
        self._database.change("UPDATE tenants SET reads_told_every_minutes = ? WHERE uid = ?", (minutes, tenant_uid))
