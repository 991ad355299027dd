"""Limits calls that need no key: health and reflection. They do not count against the limits on other calls.

At the limit, a new call replaces the oldest call of the connection that has most. So a health check is always answered,
however many calls others keep open.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc

from service.calls.limits.keyless import KeylessCalls
from service.errors import Reason, ServiceError
from service.metrics import Metrics
from service.rpc.status import set_status
from service.rpc.transport.ending import CallTasks

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # grpc.RpcMethodHandler, which is generic only in its stubs
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
MOST_OPEN = 100
_MESSAGE_S = 5.0


class OpenCalls:
    """Admits calls without a key. For one event loop."""

    def __init__(self, metrics: Metrics, keyless: KeylessCalls, most: int = MOST_OPEN) -> None:
        self._metrics, self._keyless, self._most = metrics, keyless, most
        self._open: dict[asyncio.Timeout, str] = {}  # in the order in which they came

    def wrap(self, handler: Handler) -> Handler:
        """Returns the handler within the limit."""
        inner = handler.unary_unary or handler.unary_stream or handler.stream_stream
        if handler.unary_unary:

            async def unary(_: Any, context: Context) -> Any:
                return await self._within(context, self._one(inner, context))

            return grpc.stream_unary_rpc_method_handler(
                unary, handler.request_deserializer, handler.response_serializer
            )

        async def streaming(requests: Any, context: Context) -> None:
            given = None if handler.unary_stream else requests
            await self._within(context, self._many(inner, given, context))

        return grpc.stream_stream_rpc_method_handler(
            streaming, handler.request_deserializer, handler.response_serializer
        )

    async def _within(self, context: Context, work: Any) -> Any:
        if not self._keyless.admit(context.peer()):
            work.close()
            set_status(context, self._too_many(), secrets.token_hex(8))
            return None
        if len(self._open) >= self._most:
            self._end_one()
        ended, tasks = asyncio.timeout(None), CallTasks()
        try:
            async with ended:
                self._open[ended] = context.peer()
                return await work
        except (TimeoutError, ServiceError) as failure:
            error = failure if isinstance(failure, ServiceError) else self._displaced()
            set_status(context, error, secrets.token_hex(8))
            tasks.end_unless_done(context, _MESSAGE_S, self._metrics.peers_dropped.inc)
            return None
        finally:
            self._open.pop(ended, None)
            work.close()

    def _displaced(self) -> ServiceError:
        self._metrics.calls_refused.labels("health").inc()
        return ServiceError(Reason.OVERLOADED, "closed in favour of newer calls without a key", retry_delay_s=1.0)

    def _too_many(self) -> ServiceError:
        self._metrics.calls_refused.labels("health").inc()
        return ServiceError(Reason.OVERLOADED, "too many calls without a key from this address", retry_delay_s=1.0)

    def _end_one(self) -> None:
        most, _ = Counter(self._open.values()).most_common(1)[0]
        oldest = next(ended for ended, peer in self._open.items() if peer == most)
        del self._open[oldest]
        oldest.reschedule(0.0)

    async def _one(self, inner: Any, context: Context) -> Any:
        return await inner(await _first(context), context)

    async def _many(self, inner: Any, requests: Any, context: Context) -> None:
        given = await _first(context) if requests is None else requests
        if inspect.iscoroutinefunction(inner):
            await inner(given, context)
            return
        async for response in inner(given, context):
            await context.write(response)


class OpenMethods:
    """Takes the methods of gRPC's own services, and adds them to a server within the limits.

    An interceptor of gRPC would do the same, and cost every call of the table some microseconds.
    """

    def __init__(self, server: grpc.aio.Server, limits: OpenCalls) -> None:
        self._server, self._limits = server, limits

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Adds services. Called by the generated function of a service."""
        self._server.add_generic_rpc_handlers([_Limited(handler, self._limits) for handler in handlers])

    def add_registered_method_handlers(self, service_name: str, handlers: object) -> None:
        """Nothing: they are the same once more, which grpc.aio has no use for."""


class _Limited(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, handlers: Any, limits: OpenCalls) -> None:
        self._handlers, self._limits = handlers, limits

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        handler = self._handlers.service(handler_call_details)
        return None if handler is None else self._limits.wrap(handler)


async def _first(context: Context) -> Any:
    """Returns the message of the call. Raises ServiceError (MESSAGE_LATE, ARGUMENT_INVALID)."""
    try:
        async with asyncio.timeout(_MESSAGE_S):
            message = await context.read()
    except TimeoutError:
        raise ServiceError(Reason.MESSAGE_LATE, f"no message arrived within {_MESSAGE_S:g} s") from None
    if message is EOF:
        raise ServiceError(Reason.ARGUMENT_INVALID, "the call has no message")
    return message
