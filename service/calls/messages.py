"""The messages of a call, read under time limits and within the bytes that its caller may hold."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum
from typing import Any

from service.calls.context import CallContext
from service.calls.limits.call_limiter import CallLimits, Lease
from service.calls.limits.delays import Delays
from service.calls.unknown_fields import drop_unknown_fields, reject_unknown_fields
from service.errors import Reason, ServiceError

# A message that is not whole by then reserves the bytes of the largest one: gRPC does not say how much of it is there.
AT_ONCE_S = 0.02
_SIZED_BYTES = 1 << 16  # of messages whose size is worked out: that copies them, which pictures are too large for
_MOST_AHEAD = 4  # messages of a stream that are worked on at a time, at most


class _Nothing(Enum):
    HERE = "no message was read ahead"


class Messages:
    """Async iterator over the parsed messages of a call. Reads nothing ahead.

    Raises ServiceError (ARGUMENT_INVALID, FIELD_UNKNOWN, MESSAGE_LATE, OVERLOADED).
    """

    def __init__(self, context: CallContext, lease: Lease, limits: CallLimits, late: Delays, *, strict: bool) -> None:
        """`late`: waits for AT_ONCE_S. `strict`: refuse messages with unknown fields."""
        self._context, self._lease, self._limits, self._strict = context, lease, limits, strict
        self._late = late
        self._sizes: deque[int] = deque()
        self._began = False
        self.idle = False  # whether the call ended although it had time to send its first message
        self._ahead: bytes | _Nothing | None = _Nothing.HERE  # read but not yet returned; None: the end

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Any:
        raw, self._ahead = self._ahead, _Nothing.HERE
        if raw is _Nothing.HERE:
            raw = await self._next()
        if raw is None:
            raise StopAsyncIteration
        self._began = True
        self._sizes.append(len(raw))
        message = await self._context.parse(raw)
        if self._strict:
            await self._check_fields(raw, message)
        return message

    async def _check_fields(self, raw: bytes, message: Any) -> None:
        if len(raw) > _SIZED_BYTES:
            reject_unknown_fields(message)
        elif drop_unknown_fields(message):
            reject_unknown_fields(await self._context.parse(raw))

    async def wait(self) -> None:
        """Returns when the first message has arrived or the stream has ended. Costs no more while a stream idles.

        Raises ServiceError for the same reasons as iteration.
        """
        self._ahead = await self._next()

    async def first(self) -> Any:
        """Returns the message of a call with one request. Raises ServiceError (ARGUMENT_INVALID) if there is none."""
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise ServiceError(Reason.ARGUMENT_INVALID, "the call has no message") from None

    def answered(self) -> None:
        """Releases the bytes of the oldest message."""
        if self._sizes:
            self._lease.give(self._sizes.popleft())

    async def _next(self) -> bytes | None:
        if len(self._sizes) >= _MOST_AHEAD:
            self.answered()
        return await self._read(self._limits.idle_s if self._began else self._limits.message_s)

    async def _read(self, seconds: float) -> bytes | None:
        """Reads a message and holds its bytes. Raises ServiceError (MESSAGE_LATE, OVERLOADED)."""
        reserved, refused = 0, False

        def reserve() -> None:
            nonlocal reserved, refused
            loop = asyncio.get_running_loop()
            clock.reschedule(max(loop.time(), waiting.due - AT_ONCE_S + seconds))
            self.idle = not self._began
            if self._lease.try_take(self._limits.message_bytes):
                reserved = self._limits.message_bytes
            else:
                refused = True
                clock.reschedule(loop.time())

        waiting = self._late.add(reserve)
        try:
            async with asyncio.timeout(None) as clock:  # most messages are there before it is set
                raw = await self._context.read()
        except TimeoutError:
            if refused:
                raise self._lease.too_many_bytes() from None
            which = "next" if self._began else "first"
            message = f"the {which} message of the call did not arrive within {seconds:g} s"
            raise ServiceError(Reason.MESSAGE_LATE, message) from None
        finally:
            waiting.cancel()
            if reserved:
                self._lease.give(reserved)
        self.idle = False
        if raw is not None:
            if len(raw) > self._limits.message_bytes:  # gRPC refuses such a message by itself
                message = f"the message is larger than {self._limits.message_bytes} bytes"
                raise ServiceError(Reason.ARGUMENT_INVALID, message)
            self._lease.take(len(raw))
        return raw
