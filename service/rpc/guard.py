"""What surrounds every call: request id, key, scope, deadline, unknown fields, error mapping, metrics, one log line."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import hmac
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog

from service.audit.chain import Details
from service.audit.logs import AuditLogs
from service.deadline import set_deadline
from service.engine.faults import as_service_error, translated_errors
from service.errors import Reason, ServiceError, release_frames
from service.metrics import Metrics
from service.rpc.access import OPEN_PREFIXES, SCOPES, WITHOUT_DEADLINE, WORKER_CALLS
from service.rpc.audited import AUDITED
from service.rpc.gate import Gate
from service.rpc.status import REQUEST_ID_KEY, set_status
from service.rpc.streams import limited
from service.rpc.unknown_fields import reject_unknown_fields
from service.tenancy.allowances import Allowances
from service.tenancy.keyring import KeyRing, Principal
from service.tenancy.spaces import check_region

_LOG = structlog.get_logger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_principal: contextvars.ContextVar[Principal] = contextvars.ContextVar("principal")
Handler = Any  # grpc.RpcMethodHandler, which is generic only in its stubs
Context = grpc.aio.ServicerContext[Any, Any]


def principal() -> Principal:
    """Who makes the call that is being handled."""
    return _principal.get()


@dataclass(frozen=True)
class Admitting:
    """What says who may call, and how often, and remembers what was done. region: where this server is.
    worker_secret: what workers on other machines show; empty: there are none."""

    api_keys: KeyRing
    allowances: Allowances
    audit: AuditLogs
    region: str = ""
    worker_secret: str = field(default="", repr=False)


def certificate_names(context: Context) -> tuple[str, ...]:
    """Names in the certificate that the client showed and this server's client_ca signed: its subject alternative
    names or, where it has none, its common name."""
    shown = context.auth_context()
    names = shown.get("x509_subject_alternative_name") or shown.get("x509_common_name") or ()
    return tuple(name.decode("utf-8", "replace") for name in names)


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Wraps every handler but health and reflection."""

    def __init__(self, admitting: Admitting, metrics: Metrics, gate: Gate, deadlines_s: tuple[float, float]) -> None:
        """`deadlines_s`: for calls that set none, and the longest that is honoured."""
        self._api_keys, self._allowances = admitting.api_keys, admitting.allowances
        self._worker_secret, self._audit = admitting.worker_secret, admitting.audit
        self._region = admitting.region
        self.metrics, self.gate = metrics, gate
        self._default_deadline_s, self._max_deadline_s = deadlines_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        """grpc's entry point."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(OPEN_PREFIXES):
            return handler
        call = _Call(self, details.method, dict(details.invocation_metadata))
        if handler.stream_stream or handler.unary_stream:
            make = (
                grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.unary_stream_rpc_method_handler
            )
            inner: Any = handler.stream_stream or handler.unary_stream
            return make(call.streaming(inner), handler.request_deserializer, handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(
            call.unary(handler.unary_unary), handler.request_deserializer, handler.response_serializer
        )

    async def admit(self, method: str, metadata: dict[str, Any], names: Sequence[str] = ()) -> Principal:
        """Raises ServiceError unless the gate is open, the key may make the call, and neither it nor its tenant has
        made too many."""
        self.gate.check()
        found = self.recognise(method, metadata, names)
        await self._allowances.request(found)
        return found

    def recognise(self, method: str, metadata: dict[str, Any], names: Sequence[str] = ()) -> Principal:
        """Who makes a call; `names`: of the client's certificate. Raises ServiceError unless the key is good and may
        make it."""
        if method in WORKER_CALLS:
            return self._worker(metadata.get("authorization") or "")
        found = self._api_keys.authenticate(metadata.get("authorization"), names)
        if method not in SCOPES:
            raise ServiceError(Reason.SCOPE_MISSING, "no key may make this call")
        check_region(found.region, self._region)
        scope = SCOPES[method]
        if scope is not None:
            found.require(scope)
        return found

    def _worker(self, header: str) -> Principal:
        """A worker acts for no tenant of its own: it can only work on runs whose lease it holds."""
        if not header:
            raise ServiceError(Reason.KEY_MISSING, "send `authorization: Worker <worker_secret>`")
        scheme, _, secret = header.partition(" ")
        if scheme.lower() != "worker":
            raise ServiceError(Reason.SCOPE_MISSING, "no API key may make this call; workers show worker_secret")
        if not self._worker_secret or not hmac.compare_digest(secret.strip().encode(), self._worker_secret.encode()):
            raise ServiceError(Reason.KEY_INVALID, "this is not the server's worker_secret")
        return Principal("", "worker", frozenset())

    async def remember(self, method: str, request: Any, response: Any) -> None:
        """Adds what a call did to its tenant's audit log. Raises ServiceError (STORE_UNAVAILABLE) where that cannot be:
        nothing is acknowledged that is not in the log."""
        action, told = AUDITED.get(method, ("", None))
        details = told(request, response) if told is not None else None
        if details is not None:
            await self._add(principal(), action, details)

    async def remember_access(self, method: str, caller: Principal) -> None:
        """Adds a call of the operator, who was granted access, to the tenant's audit log, before it is made."""
        if caller.access_id:
            await self._add(caller, "access.use", {"method": method.removeprefix("/afterimage.v1.")})

    async def _add(self, caller: Principal, action: str, details: Details) -> None:
        with translated_errors():
            await asyncio.to_thread(self._audit.add, caller.tenant_uid, caller.actor, action, details)

    def deadline_s(self, method: str, context: Context) -> float | None:
        """Seconds that the call may take, or None where it may last."""
        remaining = context.time_remaining()
        if method in WITHOUT_DEADLINE:
            return remaining
        return min(remaining if remaining is not None else self._default_deadline_s, self._max_deadline_s)


class _Call:
    def __init__(self, guard: Guard, method: str, metadata: dict[str, Any]) -> None:
        self._guard, self._method, self._metadata = guard, method, metadata
        given = metadata.get(REQUEST_ID_KEY, "")
        self._request_id = given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self._key_id = ""
        self._names: tuple[str, ...] = ()

    def unary(self, inner: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
        async def handle(request: Any, context: Context) -> Any:
            started = self._start(context)
            try:
                await self._admit(context)
                reject_unknown_fields(request)
                seconds = self._guard.deadline_s(self._method, context)
                set_deadline(seconds)
                async with asyncio.timeout(seconds):
                    response = await inner(request, context)
                    await self._guard.remember(self._method, request, response)
            except Exception as failure:
                return self._refuse(context, started, failure)
            except BaseException:
                self._finish(started, "CANCELLED", "")
                raise
            self._finish(started, "OK", "")
            return response

        return handle

    def streaming(self, inner: Callable[[Any, Context], AsyncGenerator[Any, None]]) -> Callable[[Any, Context], Any]:
        async def handle(request: Any, context: Context) -> AsyncIterator[Any]:
            started = self._start(context)
            try:
                await self._admit(context)
                seconds = self._guard.deadline_s(self._method, context)
                check = functools.partial(self._guard.recognise, self._method, self._metadata, self._names)
                async for response in limited(inner(request, context), check, seconds):
                    yield response
            except Exception as failure:
                self._refuse(context, started, failure)
                return
            except BaseException:
                self._finish(started, "CANCELLED", "")
                raise
            self._finish(started, "OK", "")

        return handle

    async def _admit(self, context: Context) -> None:
        if "authorization" not in self._metadata:
            self._names = certificate_names(context)
        found = await self._guard.admit(self._method, self._metadata, self._names)
        await self._guard.remember_access(self._method, found)
        self._key_id = found.key_id
        _principal.set(found)

    def _start(self, context: Context) -> float:
        context.set_trailing_metadata(((REQUEST_ID_KEY, self._request_id),))
        self._guard.metrics.calls_in_progress.inc()
        self._guard.gate.enter()
        return time.perf_counter()

    def _refuse(self, context: Context, started: float, failure: Exception) -> None:
        error = self._as_error(failure)
        self._finish(started, error.reason.code.name, error.reason.name)
        set_status(context, error, self._request_id)
        release_frames(failure)

    def _as_error(self, failure: Exception) -> ServiceError:
        if isinstance(failure, TimeoutError):
            return ServiceError(Reason.DEADLINE, "the deadline passed before the call was done")
        error = as_service_error(failure)
        if error.reason is Reason.INTERNAL:
            _LOG.error("call failed", method=self._method, request_id=self._request_id, exc_info=failure)
        return error

    def _finish(self, started: float, code: str, reason: str) -> None:
        seconds = time.perf_counter() - started
        metrics = self._guard.metrics
        metrics.calls_in_progress.dec()
        self._guard.gate.leave()
        metrics.calls.labels(self._method, code).inc()
        metrics.call_seconds.labels(self._method).observe(seconds)
        _LOG.info(
            "call", method=self._method, code=code, reason=reason, request_id=self._request_id, key_id=self._key_id,
            duration_ms=round(seconds * 1000, 2),
        )  # fmt: skip
