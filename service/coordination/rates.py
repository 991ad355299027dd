"""Rates that hold over all servers of a deployment: the generic cell rate algorithm (ITU-T I.371), in Redis and by its
clock. While Redis is away each server counts for itself."""

from __future__ import annotations

import math
import time
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.coordination import keys

# KEYS rate; ARGV microseconds for each request, burst. Returns how many microseconds to wait; 0 where it may pass.
_COUNT = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + ARGV[1]
local wait = due - ARGV[1] * ARGV[2] - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1)
return 0
"""


class Rates:
    """For one event loop."""

    def __init__(self, connection: Redis) -> None:
        self._count: Any = connection.register_script(_COUNT)
        self._own: dict[str, float] = {}

    async def wait_s(self, tenant_uid: str, per_second: float) -> float:
        """Counts a request of a tenant that may make so many a second, and as many at once; returns 0 where it may
        pass, else how many seconds to wait before the next try."""
        burst = max(1, math.ceil(per_second))
        try:
            waited = await self._count(keys=[keys.rate(tenant_uid)], args=[1e6 / per_second, burst])
            return int(waited) / 1e6
        except (RedisError, OSError):
            return self._wait_here_s(tenant_uid, per_second, burst)

    def _wait_here_s(self, tenant_uid: str, per_second: float, burst: int) -> float:
        now = time.monotonic()
        due = max(self._own.get(tenant_uid, 0.0), now) + 1 / per_second
        wait = due - burst / per_second - now
        if wait > 0:
            return wait
        self._own[tenant_uid] = due
        return 0.0
