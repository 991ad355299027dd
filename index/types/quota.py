"""What a tenant may store, and how much it does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from index.types.errors import QuotaExceeded


class Usage(NamedTuple):
    """Records, and the bytes of their vectors, ids and attributes."""

    records: int = 0
    bytes: int = 0

    def plus(self, other: Usage) -> Usage:
        """The sum."""
        return Usage(self.records + other.records, self.bytes + other.bytes)


@dataclass(frozen=True)
class Quota:
    """The most that a tenant may store over all its collections; 0: no limit."""

    records: int = 0
    bytes: int = 0
    collections: int = 0


@dataclass(frozen=True)
class StorageLimits:
    """Of one tenant, each asked for anew whenever it is needed. quota: the quota as it is now; beside: what the tenant
    stores beside its collections; refused: told which part is used up whenever something is refused.
    All are called from any thread."""

    quota: Callable[[], Quota] = Quota
    beside: Callable[[], Usage] = Usage
    refused: Callable[[str], object] = lambda part: None


class Allowance:
    """Of one tenant. Any number of threads may call any method at once.

    Commits of several collections that run at the same moment do not see each other: together they may exceed the quota
    by what one of them holds.
    """

    def __init__(self, measure: Callable[[], Usage], limits: StorageLimits | None = None) -> None:
        """`measure`: adds up what the tenant stores; called once, when it is first asked for. `limits`: None: none."""
        self._limits, self._measure = limits or StorageLimits(), measure
        self._used: Usage | None = None
        self._lock = threading.Lock()

    def used(self) -> Usage:
        """What is stored now."""
        with self._lock:
            if self._used is None:
                self._used = self._measure().plus(self._limits.beside())
            return self._used

    def check(self, growth: Usage) -> None:
        """Raises QuotaExceeded where the quota has no room for so much more."""
        quota = self._limits.quota()
        if not quota.records and not quota.bytes:
            return
        after = self.used().plus(growth)
        if quota.records and growth.records > 0 and after.records > quota.records:
            raise self._exceeded("records", f"the quota of {quota.records} records is used up")
        if quota.bytes and growth.bytes > 0 and after.bytes > quota.bytes:
            raise self._exceeded("bytes", f"the quota of {quota.bytes} bytes is used up")

    def check_collections(self, after: int) -> None:
        """Raises QuotaExceeded where there may not be so many collections."""
        most = self._limits.quota().collections
        if most and after > most:
            raise self._exceeded("collections", f"the quota of {most} collections is used up")

    def _exceeded(self, part: str, message: str) -> QuotaExceeded:
        self._limits.refused(part)
        return QuotaExceeded(part, message)

    def add(self, growth: Usage) -> None:
        """Notes what a commit stored, or freed."""
        with self._lock:
            if self._used is not None:
                self._used = self._used.plus(growth)

    def forget(self) -> None:
        """Measures anew when it is next asked for, after collections came or went."""
        with self._lock:
            self._used = None
