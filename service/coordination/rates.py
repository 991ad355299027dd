"""Rates that hold over all servers of a deployment: the generic cell rate algorithm (ITU-T I.371), and counts of a day,
in Redis and by its clock. While Redis is away each server counts for itself."""

from __future__ import annotations

import math
import time
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.coordination import keys

# KEYS rate; ARGV microseconds for each request, burst. Returns how many microseconds to wait; 0 where it may pass. The
# time that is stored is never farther away than a whole burst takes: one that is was stored before the clock was set
# back, or under a lower rate.
_COUNT = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local stored = tonumber(redis.call('GET', KEYS[1]) or '0')
local farthest = now + ARGV[1] * ARGV[2]
if stored > farthest then
  stored = farthest
  redis.call('SET', KEYS[1], string.format('%.0f', stored), 'PX', math.ceil((stored - now) / 1000) + 1)
end
local due = math.max(stored, now) + ARGV[1]
local wait = due - ARGV[1] * ARGV[2] - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1)
return 0
"""

# KEYS prefix of the day's counter; ARGV most. Returns the seconds until midnight UTC; 0 where there was room.
_COUNT_TODAY = """
local now = tonumber(redis.call('TIME')[1])
local day = math.floor(now / 86400)
local key = KEYS[1] .. ':' .. day
if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[1]) then return (day + 1) * 86400 - now end
redis.call('INCR', key)
redis.call('EXPIRE', key, 172800)
return 0
"""
_COUNTED_TODAY = """
return tonumber(redis.call('GET', KEYS[1] .. ':' .. math.floor(tonumber(redis.call('TIME')[1]) / 86400)) or '0')
"""
_DAY_S = 86_400


class Rates:
    """For one event loop."""

    def __init__(self, connection: Redis) -> None:
        self._count: Any = connection.register_script(_COUNT)
        self._count_today: Any = connection.register_script(_COUNT_TODAY)
        self._counted_today: Any = connection.register_script(_COUNTED_TODAY)
        self._own: dict[str, float] = {}
        self._own_today: dict[tuple[str, int], int] = {}

    async def wait_s(self, who: str, per_second: float) -> float:
        """Counts a request of a tenant or key that may make so many a second, and as many at once; returns 0 where it
        may pass, else how many seconds to wait before the next try."""
        burst = max(1, math.ceil(per_second))
        try:
            waited = await self._count(keys=[keys.rate(who)], args=[1e6 / per_second, burst])
            return int(waited) / 1e6
        except (RedisError, OSError):
            return self._wait_here_s(who, per_second, burst)

    async def count_today(self, tenant_uid: str, most: int) -> float:
        """Counts something of which a tenant may do so much between midnights UTC; returns 0 where there was room, else
        how many seconds are left until it begins anew."""
        try:
            return float(await self._count_today(keys=[keys.today(tenant_uid)], args=[most]))
        except (RedisError, OSError):
            return self._count_here(tenant_uid, most)

    async def counted_today(self, tenant_uid: str) -> int:
        """What `count_today` has counted since midnight."""
        try:
            return int(await self._counted_today(keys=[keys.today(tenant_uid)], args=[]))
        except (RedisError, OSError):
            return self._own_today.get((tenant_uid, int(time.time()) // _DAY_S), 0)

    def _count_here(self, tenant_uid: str, most: int) -> float:
        now = time.time()
        day = int(now) // _DAY_S
        self._own_today = {of: count for of, count in self._own_today.items() if of[1] == day}
        if self._own_today.get((tenant_uid, day), 0) >= most:
            return (day + 1) * _DAY_S - now
        self._own_today[tenant_uid, day] = self._own_today.get((tenant_uid, day), 0) + 1
        return 0.0

    def _wait_here_s(self, who: str, per_second: float, burst: int) -> float:
        now = time.monotonic()
        due = min(max(self._own.get(who, 0.0), now), now + burst / per_second) + 1 / per_second
        wait = due - burst / per_second - now
        if wait > 0:
            return wait
        self._own[who] = due
        return 0.0
