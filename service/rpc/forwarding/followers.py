"""The query processes as the writer knows them: what each has yet to forget, and which tenants it must not answer.

Each query process asks again and again for what it is to do, and tells what it has done. So the writer knows that
something is in no process's memory, and needs no connection to any of them. A process that has not told anything yet
may hold anything.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from service.errors import Reason, ServiceError
from service.runtime.deadline import remaining_s

_ASKED_S = 5.0  # a question is answered after this time, even if nothing is to be done
_FORGET_S = 30.0
_RETRY_S = 5.0


@dataclass(frozen=True)
class Standing:
    """What a query process has done, or is to do.

    - `writer`: which run of the writer the numbers are of.
    - `forgotten`: everything that was erased before this round began is overwritten in the process's memory.
    - `stopped`: uids of the tenants that the writer does not serve, in order.
    """

    writer: str = ""
    forgotten: int = 0
    stopped: tuple[str, ...] = ()

    def pack(self, process: int = 0) -> bytes:
        """As JSON. `process`: the number of the process that tells it."""
        return json.dumps({"process": process, **asdict(self)}).encode()

    @classmethod
    def unpack(cls, raw: bytes) -> tuple[int, Standing]:
        """What `pack` packed."""
        told: dict[str, Any] = json.loads(raw)
        return told["process"], cls(told["writer"], told["forgotten"], tuple(told["stopped"]))


class Followers:
    """Of one writer, for one event loop."""

    def __init__(self, numbers: Iterable[int], forget_s: float = _FORGET_S) -> None:
        """`numbers`: of the query processes. `forget_s`: how long they may take to forget."""
        self._wanted, self._forget_s = Standing(secrets.token_hex(8)), forget_s
        self._forgotten = dict.fromkeys(numbers, -1)
        self._changed = asyncio.Condition()

    async def report(self, raw: bytes) -> bytes:
        """Takes in what a query process has done. Answers what it is to do, once there is something new."""
        number, done = Standing.unpack(raw)
        async with self._changed:
            ours = done.writer == self._wanted.writer
            self._forgotten[number] = done.forgotten if ours else -1
            self._changed.notify_all()
            try:
                async with asyncio.timeout(_ASKED_S):
                    await self._changed.wait_for(lambda: self._wanted != done)
            except TimeoutError:
                pass
            return self._wanted.pack()

    async def forget(self) -> None:
        """Returns once no query process has in its memory what was erased before the call. Raises ServiceError
        (UNAVAILABLE) if that takes too long."""
        if not self._forgotten:
            return
        async with self._changed:
            number = self._wanted.forgotten + 1
            self._want(replace(self._wanted, forgotten=number))
            try:
                async with asyncio.timeout(min(self._forget_s, remaining_s())):
                    await self._changed.wait_for(lambda: min(self._forgotten.values()) >= number)
            except TimeoutError:
                left = ", ".join(f"query-{n}" for n, done in self._forgotten.items() if done < number)
                message = f"these processes have not yet overwritten in memory what was erased: {left}; try again"
                raise ServiceError(Reason.STORE_UNAVAILABLE, message, retry_delay_s=_RETRY_S) from None

    async def stop(self, tenant_uids: Collection[str]) -> None:
        """Has query processes forward the calls of these tenants, and of no others."""
        stopped = tuple(sorted(tenant_uids))
        if stopped != self._wanted.stopped:
            async with self._changed:
                self._want(replace(self._wanted, stopped=stopped))

    def _want(self, wanted: Standing) -> None:
        self._wanted = wanted
        self._changed.notify_all()
