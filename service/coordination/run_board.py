"""The run board: a queue, a lease for each collection, a fencing epoch, progress.

All of it may be lost, because the ledgers of tenants are authoritative. Every change is one Lua script that can be sent
twice without harm. No decision compares two clocks: leases, queue and active runs use Redis's clock, and due times of
sources their server's. Stored times are capped to the maximum possible distance, because a clock may have been set
back. Any error while a lease is taken means that it was not taken.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.coordination import keys
from service.coordination.faults import error_class
from service.coordination.run_scripts import RAISE, REAP, RELEASE, RENEW, RETURN, SUBMIT, TAKE

_DIGEST_MARK = "="  # names of collections never begin with it


@dataclass(frozen=True)
class RunRef:
    """A run in Redis. `collection_id`: a keyed digest, because Redis contains no names."""

    tenant_uid: str
    collection_id: str
    run_id: str

    @property
    def place(self) -> str:
        """Identifies the collection among those of all tenants."""
        return f"{self.tenant_uid}/{self.collection_id}"

    def __str__(self) -> str:
        return f"{self.place}/{self.run_id}"

    @classmethod
    def parse(cls, text: str) -> RunRef:
        """The inverse of `str`."""
        return cls(*text.split("/"))


def _collection_id(secret: bytes, tenant_uid: str, collection: str) -> str:
    """The id of a collection in Redis: a keyed digest, from which its name cannot be guessed."""
    return _DIGEST_MARK + hmac.digest(secret, f"{tenant_uid}/{collection}".encode(), "sha256").hex()[:32]


class BoardAway(Exception):
    """Redis is unreachable or returned an error. The outcome of the command is unknown."""


class RunBoard:
    """The runs of one server. For one event loop. All methods raise BoardAway."""

    def __init__(self, connection: Redis, server: str, secret: bytes = b"") -> None:
        """`secret`: the key of collection ids; empty for workers, which need none."""
        self._redis: Any = connection
        self._secret = secret
        self._queue, self._running, self._due = keys.queue(server), keys.running(server), keys.due(server)
        scripts = {"take": TAKE, "raise": RAISE, "renew": RENEW, "release": RELEASE, "reap": REAP}
        scripts |= {"submit": SUBMIT, "return": RETURN}
        self._scripts = {name: connection.register_script(text) for name, text in scripts.items()}

    def ref(self, tenant_uid: str, collection: str, run_id: str) -> RunRef:
        """A run of the collection with this name."""
        return RunRef(tenant_uid, _collection_id(self._secret, tenant_uid, collection), run_id)

    async def forget_names(self, tenant_uids: Collection[str]) -> int:
        """Removes entries of earlier versions, which contained names of collections, for these tenants.

        The keeper queues their runs again, and the store's own epoch is the lower bound of the next one. Returns how
        many were removed.
        """
        found = 0
        for zset in (self._queue, self._running):
            for text in await self._call("zrange", zset, 0, -1):
                if not text.split("/")[1].startswith(_DIGEST_MARK):
                    found += int(await self._call("zrem", zset, text))
        for kind in (keys.lease, keys.fence):
            for uid in tenant_uids:
                found += await self._forget_keys(kind(f"{uid}/"))
        return found

    async def _forget_keys(self, beginning: str) -> int:
        try:
            names = [k async for k in self._redis.scan_iter(match=f"{beginning}[^{_DIGEST_MARK}]*", count=1000)]
        except (RedisError, OSError) as error:
            raise BoardAway(error_class(error)) from None
        return int(await self._call("delete", *names)) if names else 0

    async def submit(self, ref: RunRef, delay_s: float = 0.0, traceparent: str = "") -> None:
        """Queues a run, unless it is queued or active. `traceparent`: the trace that it continues, if any."""
        names = [self._queue, self._running, keys.run(ref.run_id)]
        await self._run("submit", names, [str(ref), int(delay_s * 1000), traceparent, keys.RUN_LIFETIME_S])

    async def traceparent(self, run_id: str) -> str:
        """The trace that a run continues; empty if there is none."""
        return str(await self._call("hget", keys.run(run_id), "traceparent") or "")

    async def take(self, worker: str) -> tuple[RunRef, int] | None:
        """Takes a run and the lease of its collection. Returns it with the epoch; None if there is no run."""
        arguments = [worker, keys.LEASE_MS, keys.PREFIX]
        found = await self._run("take", [self._queue, self._running], arguments)
        return (RunRef.parse(found[0]), int(found[1])) if found else None

    async def raise_epoch(self, ref: RunRef, floor: int) -> int:
        """A new epoch of the collection above `floor`, the epoch of the store."""
        return int(await self._run("raise", [keys.fence(ref.place)], [floor]))

    async def renew(self, ref: RunRef, worker: str, progress: dict[str, object]) -> bool:
        """Renews the lease and stores progress. Returns False if the worker does not hold the lease."""
        arguments: list[object] = [worker, keys.LEASE_MS, str(ref), keys.RUN_LIFETIME_S]
        arguments += ["progress", json.dumps(progress)]
        names = [keys.lease(ref.place), self._running, keys.run(ref.run_id)]
        return bool(await self._run("renew", names, arguments))

    async def release(self, ref: RunRef, worker: str) -> None:
        """Releases the lease."""
        await self._run("release", [keys.lease(ref.place), self._running], [worker, str(ref)])

    async def reap(self) -> list[RunRef]:
        """Requeues the runs of lost workers, and returns them."""
        arguments: list[object] = [keys.LEASE_MS, keys.PREFIX, keys.LONGEST_DELAY_MS]
        return [RunRef.parse(r) for r in await self._run("reap", [self._running, self._queue], arguments)]

    async def return_all(self, worker: str) -> list[RunRef]:
        """Requeues all runs of a worker whose process has ended, and returns them."""
        found = await self._run("return", [self._running, self._queue], [worker, keys.PREFIX])
        return [RunRef.parse(r) for r in found]

    async def forget(self, ref: RunRef) -> None:
        """Removes an ended run from the queue."""
        await self._call("zrem", self._queue, str(ref))

    async def progress(self, run_id: str) -> dict[str, Any]:
        """The last reported progress of a run; empty if there is none."""
        found = await self._call("hget", keys.run(run_id), "progress")
        return dict(json.loads(found)) if found else {}

    async def set_due(self, source: str, due_ms: int) -> None:
        """Stores when the next run of a source begins; 0: it has no schedule."""
        if due_ms:
            await self._call("zadd", self._due, {source: due_ms})
        else:
            await self._call("zrem", self._due, source)

    async def due(self, now_ms: int, most: int = 100) -> list[str]:
        """Sources that are due at `now_ms`, by the clock of `set_due`."""
        return list(await self._call("zrangebyscore", self._due, "-inf", now_ms, start=0, num=most))

    async def due_times(self) -> dict[str, int]:
        """When the next run of each source begins, in milliseconds since 1970."""
        return {name: int(score) for name, score in await self._call("zrange", self._due, 0, -1, withscores=True)}

    async def _run(self, name: str, names: list[str], arguments: list[Any]) -> Any:
        try:
            return await self._scripts[name](keys=names, args=arguments)
        except (RedisError, OSError) as error:
            raise BoardAway(error_class(error)) from None

    async def _call(self, name: str, *arguments: object, **options: object) -> Any:
        try:
            return await getattr(self._redis, name)(*arguments, **options)
        except (RedisError, OSError) as error:
            raise BoardAway(error_class(error)) from None
