"""Handles every call: key, scope, limits, deadline, unknown fields, audit, errors, metrics, one log line.

The key is checked before a message is read. Messages are read under time limits and within the bytes that the caller
may hold. Responses count until the peer has taken them.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Mapping
from typing import Any, cast

from service.audit.tally import set_tallies
from service.calls.context import CallContext
from service.calls.handlers import Handler
from service.calls.limits.call_limiter import COPIES, Lease
from service.calls.limits.delays import Delays
from service.calls.messages import AT_ONCE_S, Messages
from service.calls.method import Caller, Deadline, Method, Share
from service.calls.pipeline import CallCounts, CallPipeline, End, end_trace
from service.calls.repetition.keyed_call import KeyedCall, takes_key
from service.calls.streams import limited
from service.engine.faults import answer_too_large, as_service_error
from service.errors import Reason, ServiceError, release_frames
from service.runtime import call_facts
from service.runtime.clock import Stopwatch
from service.runtime.deadline import set_deadline, within
from service.tenancy.keyring import Principal
from service.tracing.allowed import Attribute
from service.tracing.spans import Trace


class Interceptor:
    """Handles calls of all transports. For one event loop."""

    def __init__(self, pipeline: CallPipeline, handlers: Mapping[str, Handler]) -> None:
        """`handlers`: the handler of each method, by its path."""
        self.pipeline, self.limiter = pipeline, pipeline.limiter
        self._handlers = handlers
        self.counts = CallCounts(pipeline.limiter.metrics, pipeline.gate)
        self.reads = Delays(AT_ONCE_S)

    async def handle(self, method: Method, context: CallContext) -> None:
        """Handles one call from its headers to its end. Errors go to `context.fail`; only a cancellation is raised."""
        if not await self._held_back(context):
            return
        call = _Call(self, method, context, self._handlers)
        if method.share is Share.CALLS:
            await call.unary()
        else:
            await call.streaming()

    def refuse(self, method: Method, context: CallContext, error: ServiceError) -> None:
        """Ends a call that would be handled by another process, counted and logged like all others."""
        _Call(self, method, context, self._handlers).refuse(error)

    async def _held_back(self, context: CallContext) -> bool:
        """Delays a caller that starts too many calls without a message. Returns whether the call may start."""
        headers, idle_calls = context.headers, self.pipeline.idle_calls
        if not headers.authorizations or await idle_calls.wait(hash(headers.authorization)):
            return True
        context.fail(self.limiter.refusal("idle", "too many calls of this key send no message"))
        return False


class _Call:
    def __init__(
        self, interceptor: Interceptor, method: Method, context: CallContext, handlers: Mapping[str, Handler]
    ) -> None:
        pipeline = interceptor.pipeline
        self._interceptor, self._pipeline, self._method, self._context = interceptor, pipeline, method, context
        self._handlers, self._handler = handlers, handlers.get(method.path)
        self._headers, self._limits, self._metrics = context.headers, pipeline.limiter.limits, pipeline.limiter.metrics
        self._names: tuple[str, ...] = ()
        self._key_id = ""
        self._read: Messages | None = None
        self._trace: Trace | None = None
        self._watch = Stopwatch()

    async def unary(self) -> None:
        """Handles a call of one request and one response."""
        self._start()
        try:
            raw = await self._answered()
        except Exception as failure:
            self._refuse(failure)
            return
        except BaseException:
            self._finish("CANCELLED", "")
            raise
        self._finish("OK", "")
        await self._sent(raw)

    async def streaming(self) -> None:
        """Handles a call with any number of requests or responses."""
        self._start()
        try:
            caller, lease = await self._admit()
            messages = self._messages(lease)
            given: Any = messages
            if not self._method.kind.streams_requests:
                given = await messages.first()
                self._pipeline.recording.note_read(self._method, given, caller)
            authenticate = functools.partial(
                self._pipeline.admission.authenticate, self._method, self._headers, self._names
            )
            if given is messages:
                async with asyncio.timeout(self._seconds()):
                    await messages.wait()
            async for response in limited(self._responses(given, caller), authenticate, self._seconds()):
                await self._send_one(response, lease)
                messages.answered()
        except Exception as failure:
            self._refuse(failure)
            return
        except BaseException:
            self._finish("CANCELLED", "")
            raise
        self._finish("OK", "")

    def refuse(self, error: ServiceError) -> None:
        """Ends the call before it begins."""
        self._start()
        self._refuse(error)

    async def _answered(self) -> bytes:
        """Returns the serialized response. Its bytes count from now on; those of the request no longer do."""
        caller, lease = await self._admit()
        request = await self._messages(lease).first()
        seconds = self._seconds()
        set_deadline(seconds)
        make = functools.partial(cast(Any, self._handler), request, caller)
        response = await within(
            seconds, self._pipeline.recording.around(self._method, request, caller, make, self._keyed())
        )
        raw = await self._serialized(response)
        lease.answer(len(raw))
        if self._trace is not None:
            self._trace.note(Attribute.BYTES, len(raw))
        return raw

    def _responses(self, given: Any, caller: Principal) -> AsyncGenerator[Any, None]:
        answers = cast(Any, self._handler)(given, caller)
        if self._method.kind.streams_responses:
            return cast(AsyncGenerator[Any, None], answers)
        return _only(cast(Awaitable[Any], answers))

    async def _admit(self) -> tuple[Principal, Lease]:
        pipeline, context, method = self._pipeline, self._context, self._method
        context.check_certificate()
        if not self._headers.authorizations:
            self._names = context.certificate_names()
        caller = await pipeline.admission.admit(method, self._headers, self._names, context.peer)
        path = (caller.tenant_uid, caller.key_id, context.peer)
        lease = pipeline.limiter.enter(path, stream=method.share is Share.STREAMS)
        context.on_done(lease.close)
        if not context.judged_before:
            await pipeline.admission.allow(caller)
        await pipeline.recording.note_access(method, caller)
        self._key_id = caller.key_id
        set_tallies(pipeline.recording.tallies)
        return caller, lease

    def _keyed(self) -> KeyedCall | None:
        """What the idempotency key of the call asks for; None without one, or if the method has no use for it."""
        key = self._headers.idempotency_key
        return KeyedCall(key, self._method, self._handlers) if key and takes_key(self._method) else None

    def _messages(self, lease: Lease) -> Messages:
        # Servers and workers are not upgraded in the same moment: workers are heard all the same.
        strict = self._method.row.caller is not Caller.WORKER
        self._read = Messages(self._context, lease, self._limits, self._interceptor.reads, strict=strict)
        return self._read

    def _seconds(self) -> float | None:
        """Returns the deadline of the call in seconds; None if it has none."""
        remaining, deadlines = self._context.time_remaining(), self._pipeline.deadlines
        if self._method.row.deadline is Deadline.OPEN:
            return remaining
        return min(remaining if remaining is not None else deadlines.default_s, deadlines.most_s)

    async def _serialized(self, response: Any) -> bytes:
        raw = await self._context.serialize(response)
        if len(raw) > self._limits.message_bytes:
            raise answer_too_large(f"the response is larger than {self._limits.message_bytes} bytes")
        return raw

    async def _send_one(self, response: Any, lease: Lease) -> None:
        """Sends one response of a stream. Drops a peer that does not take it in time."""
        raw = await self._serialized(response)
        held = COPIES * len(raw)
        lease.add(held)
        if await self._sent(raw):
            lease.give(held)

    async def _sent(self, raw: bytes) -> bool:
        """Returns whether the peer took a message in time, or may still take it."""
        if self._context.sends_later:
            await self._context.send(raw)
            return True
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._context.send(raw)
        except TimeoutError:
            self._metrics.peers_dropped.inc()
            self._context.drop()
            return False
        return True

    def _start(self) -> None:
        call_facts.begin(request_id=self._headers.request_id, method=self._method.path)
        self._trace = self._pipeline.tracer.begin(self._method.name, carried=self._headers.traceparent)
        self._pipeline.gate.enter()

    def _refuse(self, failure: Exception) -> None:
        error = _as_error(failure)
        reason = error.reason
        self._finish(reason.code.name, reason.name)
        self._context.fail(error)
        release_frames(failure)

    def _finish(self, code: str, reason: str) -> None:
        seconds, path = self._watch.seconds(), self._method.path
        self._pipeline.gate.leave()
        if self._read is not None and self._read.idle:
            self._pipeline.idle_calls.note(hash(self._headers.authorization))
        ends = End(code, reason, self._context.door, known=bool(self._key_id))
        traced = end_trace(self._trace, self._pipeline.tracer, self._method, ends) if self._trace else {}
        if self._context.judged_before:
            return  # counted and logged by the process that forwarded it
        self._interceptor.counts.add(path, code, self._context.transport, seconds)
        if reason == Reason.AUTHENTICATIONS_EXCEEDED.name:
            return  # counted; a line for each would fill the log for whoever wants it filled
        self._pipeline.access_log.note({
            "method": path, "code": code, "reason": reason, "request_id": self._headers.request_id,
            "key_id": self._key_id, "transport": self._context.transport, "duration_ms": round(seconds * 1000, 2),
            **traced,
        })  # fmt: skip


def _as_error(failure: Exception) -> ServiceError:
    if isinstance(failure, TimeoutError):
        return ServiceError(Reason.DEADLINE, "the deadline passed before the call was done")
    return as_service_error(failure)


async def _only(response: Awaitable[Any]) -> AsyncGenerator[Any, None]:
    """Returns the one response of a call with many requests."""
    yield await response
