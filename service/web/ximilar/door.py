"""Receives requests below `/ximilar/`, and sends their responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import structlog
from aiohttp import web

from service.calls.context import read_headers
from service.calls.in_process import InProcess
from service.calls.interceptor import Interceptor
from service.calls.limits.call_limiter import COPIES
from service.calls.limits.keyless import KeylessCalls
from service.errors import Code, Reason, ServiceError, release_frames
from service.tracing.allowed import Attribute, Door, Work
from service.tracing.spans import TRACEPARENT
from service.web.api.callers import Callers, Entry
from service.web.api.parameters import read_query
from service.web.proto_json.codec import LARGE_BYTES
from service.web.ximilar.answers import (
    Answer,
    RecordStream,
    codes_of,
    headers_of,
    stream_end,
    write_answer,
    write_error,
)
from service.web.ximilar.exchange import Client, Exchange, Target
from service.web.ximilar.routes import Handler, NotAllowedError, Routes

XIMILAR_ROOT = "/ximilar/"
_LARGE_RECORDS = 500  # a longer answer is written in a thread
_Batch = list[dict[str, Any]]
_LOG = structlog.get_logger(__name__)


class XimilarDoor:
    """For the event loop of the interceptor."""

    def __init__(self, interceptor: Interceptor, keyless: KeylessCalls, entry: Entry) -> None:
        """`keyless`: counts requests that are refused before a key is looked at."""
        self._limits, self._metrics = interceptor.limiter.limits, interceptor.limiter.metrics
        self._calls, self._keyless, self._callers = InProcess(interceptor), keyless, Callers(entry)
        self._tracer = interceptor.pipeline.tracer
        self._routes = Routes()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer to one request, whatever its path."""
        path, _, query = request.raw_path.partition("?")
        peer = self._callers.peer(request)
        try:
            self._callers.check(request)
            found = self._routes.find(request.method, path.removeprefix(XIMILAR_ROOT))
            client = Client(peer, self._callers.certificate(request))
            target = Target(found.prefix, found.name, dict(read_query(query)))
        except ServiceError as error:
            return self._refused(request, error, peer)
        exchange = Exchange(request, target, client, self._calls, self._limits)
        with self._tracer.around(Work.XIMILAR, request.headers.get(TRACEPARENT, "")) as trace:
            response = await self._handled(request, exchange, found.handler)
            if trace is not None:
                trace.note(Attribute.DOOR, Door.XIMILAR)
                trace.end(failed=response.status >= 500)
            return response

    async def _handled(self, request: web.Request, exchange: Exchange, handler: Handler) -> web.StreamResponse:
        try:
            answer = await handler(exchange)
            if isinstance(answer, RecordStream):
                return await self._streamed(request, exchange, answer)
            return await self._answered(request, exchange, answer)
        except ServiceError as error:
            return _failed(error, exchange.request_id)
        except ConnectionError:
            return web.Response()  # nobody reads it
        except Exception as failure:  # a fault of this door: the interceptor reports those of calls
            _LOG.error("a request to Ximilar's door failed", request_id=exchange.request_id, exc_info=failure)
            release_frames(failure)
            message = f"internal error; search the server's log for {exchange.request_id}"
            return _failed(ServiceError(Reason.INTERNAL, message), exchange.request_id)
        finally:
            exchange.close()

    async def _answered(self, request: web.Request, exchange: Exchange, answer: Answer) -> web.StreamResponse:
        count = len(answer.fields.get("answer_records") or answer.fields.get("records") or ())
        if count > _LARGE_RECORDS:
            body = await asyncio.to_thread(write_answer, answer, exchange.request_id)
        else:
            body = write_answer(answer, exchange.request_id)
        if len(body) > LARGE_BYTES:
            exchange.hold(COPIES * len(body))
        headers = headers_of(exchange.request_id, answer.retry_delay_s)
        response = web.Response(status=answer.http, headers=headers, body=body)
        await self._sent(request, response)
        return response

    async def _streamed(self, request: web.Request, exchange: Exchange, answer: RecordStream) -> web.StreamResponse:
        """Sends the batches as one object. Where one fails, the connection ends before the object does."""
        batches = answer.batches
        batch, count = await _next(batches), 0  # an error of the first one has a status of its own
        response = web.StreamResponse(headers=headers_of(exchange.request_id))
        await self._sent(request, response, b'{"answer_records":[')
        try:
            while batch is not None:
                raw = b",".join(orjson.dumps(record) for record in batch)
                await self._sent(request, response, (b"," if count and raw else b"") + raw)
                count += len(batch)
                batch = await _next(batches)
            await self._sent(request, response, b"]," + stream_end(count, exchange.request_id), end=True)
        except ServiceError as error:
            _LOG.warning("a list of records broke off", request_id=exchange.request_id, reason=error.reason.name)
            self._drop(request)
        return response

    async def _sent(
        self, request: web.Request, response: web.StreamResponse, raw: bytes = b"", *, end: bool = False
    ) -> None:
        """Sends a whole response or, with `raw`, a part. A peer that does not read in time loses its connection."""
        try:
            async with asyncio.timeout(self._limits.send_s):
                if not response.prepared:
                    await response.prepare(request)
                if isinstance(response, web.Response):
                    await response.write_eof()
                    return
                if raw:
                    await response.write(raw)
                if end:
                    await response.write_eof()
        except TimeoutError:
            self._metrics.peers_dropped.inc()
            self._drop(request)

    def _drop(self, request: web.Request) -> None:
        if request.transport is not None:
            request.transport.abort()

    def _refused(self, request: web.Request, error: ServiceError, peer: str) -> web.Response:
        if not self._keyless.admit(peer):
            message = "too many calls without a key from this address"
            error = ServiceError(Reason.OVERLOADED, message, retry_delay_s=1.0)
        headers = read_headers((name.lower(), value) for name, value in request.headers.items())
        return _failed(error, headers.request_id)


async def _next(batches: AsyncIterator[_Batch]) -> _Batch | None:
    return await anext(batches, None)


def _failed(error: ServiceError, request_id: str) -> web.Response:
    unauthorized = error.reason.code is Code.UNAUTHENTICATED
    headers = headers_of(request_id, error.retry_delay_s, unauthorized=unauthorized)
    if isinstance(error, NotAllowedError):
        headers["Allow"] = error.allowed
    _, status = codes_of(error.reason)
    return web.Response(status=status, headers=headers, body=write_error(error, request_id))
