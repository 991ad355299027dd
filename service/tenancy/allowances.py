"""Rate limits of tenants and keys, and the daily quota of encoded pictures."""

from __future__ import annotations

import asyncio

from service.coordination.rates import Rates
from service.errors import Reason, ServiceError
from service.metrics import Metrics
from service.tenancy.keyring import Principal
from service.tenancy.limits import LimitsTable


class Allowances:
    """Limits over all servers of a Redis. For one event loop."""

    def __init__(self, limits: LimitsTable, rates: Rates, metrics: Metrics) -> None:
        self._limits, self._rates, self._refusals = limits, rates, metrics.quota_refusals

    async def request(self, caller: Principal) -> None:
        """Counts a call. Raises ServiceError (RATE_EXCEEDED) if the key or its tenant is above its limit."""
        if caller.key_requests_per_s:
            await self._pass(caller.key_id, caller.key_requests_per_s, "this key")
        if caller.max_requests_per_s:
            await self._pass(caller.tenant_uid, caller.max_requests_per_s, "this tenant")

    async def picture(self, tenant_uid: str) -> None:
        """Counts a picture before it is encoded. Raises ServiceError (QUOTA_EXCEEDED)."""
        limits = self._limits.known(tenant_uid)
        if limits is None:
            limits = await asyncio.to_thread(self._limits.of, tenant_uid)
        most = limits.pictures_per_day
        if not most:
            return
        wait_s = await self._rates.count_today(tenant_uid, most)
        if wait_s > 0:
            self._refusals.labels("pictures").inc()
            message = f"the quota of {most} pictures per day is used up; it is reset at 00:00 UTC"
            raise ServiceError(Reason.QUOTA_EXCEEDED, message, retry_delay_s=wait_s)

    async def pictures_today(self, tenant_uid: str) -> int:
        """The number of pictures counted today. Only tenants with a limit are counted."""
        return await self._rates.counted_today(tenant_uid)

    async def _pass(self, who: str, per_second: float, whose: str) -> None:
        wait_s = await self._rates.wait_s(who, per_second)
        if wait_s > 0:
            self._refusals.labels("requests").inc()
            message = f"{whose} is limited to {per_second:g} requests per second"
            raise ServiceError(Reason.RATE_EXCEEDED, message, retry_delay_s=wait_s)
