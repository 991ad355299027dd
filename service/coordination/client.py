"""The connection to Redis: checks at the start, and the registration of this process.

Writes are never re-sent automatically: a retry of redis-py could repeat a command that the server has already executed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from service.coordination import keys
from service.coordination.connect import connect, disconnect
from service.coordination.faults import error_class
from service.coordination.rates import Rates
from service.coordination.run_board import RunBoard
from service.errors import SettingError
from service.runtime.background import end_task
from service.runtime.clock import now_ms

_LOG = logging.getLogger(__name__)
_MINIMUM_VERSION = (6, 2)
_RENEW_EVERY_S = 10.0


@dataclass(frozen=True)
class RedisFacts:
    """Properties of a Redis server."""

    version: str
    maxmemory_policy: str
    append_only: bool


class Coordinator:
    """A connection to Redis. The service keeps serving and inserting while Redis is unreachable."""

    def __init__(self, url: str) -> None:
        """Raises SettingError if the URL is not redis://, rediss://, unix:// or sentinel://."""
        self._redis = connect(url)
        self._renewal: asyncio.Task[None] | None = None
        self.rates = Rates(self._redis)

    def board(self, server: str, secret: bytes = b"") -> RunBoard:
        """The run board of the server with this name.

        `secret`: key of collection ids; empty for workers, which need none.
        """
        return RunBoard(self._redis, server, secret)

    async def check(self) -> RedisFacts:
        """Returns properties of Redis. Raises SettingError if it is too old, evicts keys, or does not answer."""
        try:
            info = await self._redis.info()
        except (RedisError, OSError) as error:
            raise SettingError.about("redis_url", f"Redis does not answer: {error_class(error)}") from None
        facts = RedisFacts(info["redis_version"], info.get("maxmemory_policy", ""), bool(info.get("aof_enabled")))
        if tuple(int(p) for p in facts.version.split(".")[:2]) < _MINIMUM_VERSION:
            raise SettingError.about("redis_url", f"Redis {facts.version} is too old; 6.2 or later is needed")
        if facts.maxmemory_policy != "noeviction":
            raise SettingError.about("redis_url", f"maxmemory-policy is {facts.maxmemory_policy}; set it to noeviction")
        if not facts.append_only:
            _LOG.warning("Redis has no append-only file: running syncs restart after a Redis restart")
        return facts

    async def healthy(self) -> bool:
        """Whether Redis answers."""
        try:
            await self._redis.ping()
        except (RedisError, OSError):
            return False
        return True

    async def announce(self, node_id: str, listen: str, version: str) -> None:
        """Registers this process, and renews the registration until `close`."""
        facts: dict[str, int | str] = {
            "pid": os.getpid(),
            "listen": listen,
            "version": version,
            "started_ms": now_ms(),
        }
        self._renewal = asyncio.create_task(self._renew(keys.node(node_id), facts))

    async def nodes(self) -> list[dict[str, str]]:
        """The registered servers. Raises SettingError if Redis does not answer."""
        try:
            names = [key async for key in self._redis.scan_iter(match=keys.node("*"), count=100)]
            found: list[Any] = [await self._redis.hgetall(key) for key in names]
            return [facts for facts in found if facts]
        except (RedisError, OSError) as error:
            raise SettingError.about("redis_url", f"Redis does not answer: {error_class(error)}") from None

    async def close(self) -> None:
        """Stops the renewal and closes the connection."""
        if self._renewal is not None:
            await end_task(self._renewal)
        await disconnect(self._redis)

    async def _renew(self, key: str, facts: dict[str, int | str]) -> None:
        while True:
            try:
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.hset(key, mapping=facts)  # type: ignore[arg-type]
                    pipe.expire(key, keys.NODE_LIFETIME_S)
                    await pipe.execute()
            except (RedisError, OSError) as error:
                _LOG.warning("Redis is unavailable: %s", error_class(error))
            await asyncio.sleep(_RENEW_EVERY_S)
