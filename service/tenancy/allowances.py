"""How often a tenant and its keys may call, and how many pictures a tenant may have encoded in a day."""

from __future__ import annotations

import asyncio

from service.coordination.rates import Rates
from service.errors import Reason, ServiceError
from service.tenancy.keyring import Principal
from service.tenancy.limits import LimitsTable


class Allowances:
    """Over all servers of a Redis. For one event loop."""

    def __init__(self, limits: LimitsTable, rates: Rates) -> None:
        self._limits, self._rates = limits, rates

    async def request(self, caller: Principal) -> None:
        """Counts a call. Raises ServiceError (RATE_EXCEEDED) where the key, or its tenant, has made too many."""
        if caller.key_requests_per_s:
            await self._pass(caller.key_id, caller.key_requests_per_s, "this key")
        if caller.max_requests_per_s:
            await self._pass(caller.tenant_uid, caller.max_requests_per_s, "this tenant")

    async def picture(self, tenant_uid: str) -> None:
        """Counts a picture that is about to be encoded. Raises ServiceError (QUOTA_EXCEEDED)."""
        most = (await asyncio.to_thread(self._limits.of, tenant_uid)).pictures_per_day
        if not most:
            return
        wait_s = await self._rates.count_today(tenant_uid, most)
        if wait_s > 0:
            message = f"the quota of {most} pictures per day is used up; it is reset at 00:00 UTC"
            raise ServiceError(Reason.QUOTA_EXCEEDED, message, retry_delay_s=wait_s)

    async def pictures_today(self, tenant_uid: str) -> int:
        """How many pictures were counted today: those of tenants without a limit are not."""
        return await self._rates.counted_today(tenant_uid)

    async def _pass(self, who: str, per_second: float, whose: str) -> None:
        wait_s = await self._rates.wait_s(who, per_second)
        if wait_s > 0:
            message = f"{whose} is limited to {per_second:g} requests per second"
            raise ServiceError(Reason.RATE_EXCEEDED, message, retry_delay_s=wait_s)
