"""Rate limits over all servers of a deployment (generic cell rate algorithm, ITU-T I.371), and daily counts.

They use Redis and its clock. While Redis is unreachable, each server counts for itself.
"""

from __future__ import annotations

import math
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.coordination import keys
from service.runtime.clock import SYSTEM_CLOCK, Clock

# KEYS rate; ARGV microseconds per request, burst. Returns the microseconds to wait; 0 if the request may pass. A stored
# time more than a burst ahead was stored before the clock was set back, or under a lower rate.
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

# KEYS prefix of the day's counter; ARGV maximum. Returns the seconds until midnight UTC; 0 if the quota is not used up.
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
    """Rates and daily counts. For one event loop."""

    def __init__(self, connection: Redis, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._count: Any = connection.register_script(_COUNT)
        self._count_today: Any = connection.register_script(_COUNT_TODAY)
        self._counted_today: Any = connection.register_script(_COUNTED_TODAY)
        self._own: dict[str, float] = {}
        self._own_today: dict[tuple[str, int], int] = {}

    async def wait_s(self, who: str, per_second: float) -> float:
        """Counts a request. Returns 0 if it may pass, else the seconds to wait.

        `per_second` is the rate limit, and also the burst.
        """
        burst = max(1, math.ceil(per_second))
        try:
            waited = await self._count(keys=[keys.rate(who)], args=[1e6 / per_second, burst])
            return int(waited) / 1e6
        except (RedisError, OSError):
            return self._wait_here_s(who, per_second, burst)

    async def count_today(self, tenant_uid: str, most: int) -> float:
        """Counts towards a daily quota. Returns 0 if it is not used up, else the seconds until midnight UTC."""
        try:
            return float(await self._count_today(keys=[keys.today(tenant_uid)], args=[most]))
        except (RedisError, OSError):
            return self._count_here(tenant_uid, most)

    async def counted_today(self, tenant_uid: str) -> int:
        """The count of `count_today` since midnight UTC."""
        try:
            return int(await self._counted_today(keys=[keys.today(tenant_uid)], args=[]))
        except (RedisError, OSError):
            return self._own_today.get((tenant_uid, int(self._clock.now_s()) // _DAY_S), 0)

    def _count_here(self, tenant_uid: str, most: int) -> float:
        now = self._clock.now_s()
        day = int(now) // _DAY_S
        self._own_today = {of: count for of, count in self._own_today.items() if of[1] == day}
        if self._own_today.get((tenant_uid, day), 0) >= most:
            return (day + 1) * _DAY_S - now
        self._own_today[tenant_uid, day] = self._own_today.get((tenant_uid, day), 0) + 1
        return 0.0

    def _wait_here_s(self, who: str, per_second: float, burst: int) -> float:
        now = self._clock.elapsed_s()
        stored = min(max(self._own.get(who, 0.0), now), now + burst / per_second)
        due = stored + 1 / per_second
        wait = round(due - burst / per_second - now, 6)  # microseconds, as in Redis
        self._own[who] = stored if wait > 0 else due
        return max(wait, 0.0)
