"""Connects to the Redis of the setting redis_url, directly or through sentinels.

`sentinel://HOST:PORT,HOST:PORT/NAME` lists sentinels and the name of their master. Query parameters of redis-py's
redis:// URLs, and user and password before `@`, apply to the master. `sentinel+tls://` uses TLS for all of them.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from service.errors import SettingError

_SENTINEL_PORT = 26379
_SCHEMES = ("sentinel", "sentinel+tls")


def connect(url: str) -> redis.asyncio.Redis:
    """A client that never sends a command twice. Raises SettingError if the URL is invalid."""
    options: dict[str, Any] = {
        "socket_timeout": 5.0, "socket_connect_timeout": 3.0, "decode_responses": True,
        "driver_info": None,  # redis-py would look for its version on the disk, at each connection
    }  # fmt: skip
    retry = Retry(NoBackoff(), 0)
    try:
        if urlsplit(url).scheme in _SCHEMES:
            return _through_sentinels(url, retry, options)
        return redis.asyncio.Redis.from_url(url, retry=retry, **options)
    except ValueError:  # its text may quote the password
        raise SettingError.about(
            "redis_url",
            "must be redis://, rediss:// or unix://, or sentinels and the name of their master, such "
            "as sentinel://one:26379,two:26379/afterimage; encode characters such as / and @ in a "
            "password as %2F and %40",
        ) from None


async def disconnect(connection: redis.asyncio.Redis) -> None:
    """Closes a client and its connections to sentinels."""
    await connection.aclose()
    manager = getattr(connection.connection_pool, "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()


def _through_sentinels(url: str, retry: Retry, options: dict[str, Any]) -> redis.asyncio.Redis:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.lstrip("/").partition("/")
    if not hosts or not name:
        raise ValueError("must name sentinels and their master, such as sentinel://one:26379,two:26379/afterimage")
    places = [_place(host) for host in hosts.split(",")]
    more: dict[str, Any] = dict(parse_qsl(parts.query))
    if parts.scheme == "sentinel+tls":
        more["ssl"] = True
    user, _, password = login.partition(":")
    credentials = {"username": unquote(user) or None, "password": unquote(password) or None} if login else {}
    sentinel: Any = Sentinel(places, sentinel_kwargs={**options, **more})  # type: ignore[no-untyped-call]
    found: redis.asyncio.Redis = sentinel.master_for(
        name, retry=retry, db=int(database or 0), **credentials, **options, **more
    )
    return found


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host else (text, _SENTINEL_PORT)
