"""What surrounds every call: request id, key, scope, deadline, unknown fields, error mapping, metrics, one log line."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import hmac
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog

from service.audit.chain import Details
from service.audit.logs import AuditLogs
from service.audit.recorder import Intent, Recorder
from service.audit.tally import Tallies, set_tallies
from service.calls.audit_rules import AUDITED, read_details
from service.calls.door import COPIES, Door, Lease
from service.calls.error_details import REQUEST_ID_KEY
from service.calls.failures import AuthenticationFailures
from service.calls.gate import Gate
from service.calls.idle_calls import IdleCalls
from service.calls.keyless import KeylessCalls
from service.calls.messages import Messages
from service.calls.methods import OPEN_PREFIXES, SCOPES, WITHOUT_DEADLINE, WORKER_CALLS
from service.calls.streams import limited
from service.calls.unknown_fields import reject_unknown_fields
from service.engine.faults import answer_too_large, as_service_error, translated_errors
from service.errors import Code, Reason, ServiceError, release_frames
from service.rpc.status import set_status
from service.rpc.transport.certificates import Certificates
from service.rpc.transport.ending import CallTasks, when_done
from service.rpc.transport.open_calls import OpenCalls
from service.runtime import call_facts
from service.runtime.deadline import set_deadline
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
    """What says who may call, and how often, and remembers what was done. failures: counts calls whose key does not
    work. keyless: counts those, and calls that need no key. region: where this server is. worker_secret: what workers
    on other machines show; empty: there are none."""

    api_keys: KeyRing
    failures: AuthenticationFailures
    keyless: KeylessCalls
    allowances: Allowances
    audit: AuditLogs
    recorder: Recorder
    tallies: Tallies
    region: str = ""
    worker_secret: str = field(default="", repr=False)


def certificate_names(context: Context) -> tuple[str, ...]:
    """Names in the certificate that the client showed and this server's client_ca signed: its subject alternative
    names or, where it has none, its common name."""
    shown = context.auth_context()
    names = shown.get("x509_subject_alternative_name") or shown.get("x509_common_name") or ()
    return tuple(name.decode("utf-8", "replace") for name in names)


@dataclass(frozen=True)
class Headers:
    """What a call's metadata says. authorizations: how many `authorization` headers there are."""

    authorization: str
    authorizations: int
    request_id: str


def headers_of(details: grpc.HandlerCallDetails) -> Headers:
    """Reads a call's metadata; a request id that is not fit for a log is replaced."""
    sent, given = [], ""
    for name, value in details.invocation_metadata:
        if name == "authorization":
            sent.append(str(value))
        elif name == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            given = value
    return Headers(sent[0] if sent else "", len(sent), given or secrets.token_hex(8))


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Wraps every handler; health and reflection need no key and have limits of their own."""

    def __init__(self, admitting: Admitting, door: Door, gate: Gate, deadlines_s: tuple[float, float]) -> None:
        """`deadlines_s`: for calls that set none, and the longest that is honoured."""
        self._api_keys, self._allowances = admitting.api_keys, admitting.allowances
        self._worker_secret, self._audit = admitting.worker_secret, admitting.audit
        self._recorder, self.tallies = admitting.recorder, admitting.tallies
        self._region = admitting.region
        self.door, self.metrics, self.gate = door, door.metrics, gate
        self.idle_calls = IdleCalls()
        self.certificates: Certificates | None = None  # of the port, which is bound later
        self._failures, self._keyless = admitting.failures, admitting.keyless
        self._open_calls = OpenCalls(door.metrics, admitting.keyless)
        self._default_deadline_s, self._max_deadline_s = deadlines_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        """grpc's entry point. Every method is handled as one with a stream of requests, so that the guard says when a
        message is read: after the key was judged."""
        handler = await continuation(details)
        if handler is None:
            return None
        if details.method.startswith(OPEN_PREFIXES):
            return self._open_calls.wrap(handler)
        call = _Call(self, details.method, headers_of(details), handler)
        if handler.unary_unary:
            return grpc.stream_unary_rpc_method_handler(call.unary, None, None)
        return grpc.stream_stream_rpc_method_handler(call.streaming, None, None)

    def admit(self, method: str, headers: Headers, names: Sequence[str], peer: str) -> Principal:
        """Who makes a call. Raises ServiceError unless the gate is open and the key may make it; failures are counted
        by the peer's address."""
        self.gate.check()
        try:
            found = self.recognise(method, headers, names)
        except ServiceError as error:
            if error.reason.code is not Code.UNAUTHENTICATED:
                raise
            self._keyless.admit(peer)
            self.metrics.failed_authentications.labels(error.reason.name).inc()
            wait_s = self._failures.note(peer)
            if not wait_s:
                raise
            message = f"too many failed authentications from this address; the last: {error.message}"
            raise ServiceError(Reason.AUTHENTICATIONS_EXCEEDED, message, retry_delay_s=wait_s) from None
        self._keyless.worked(peer)
        return found

    def check_certificate(self, context: Context) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) where the client's certificate is not good any more."""
        if self.certificates is not None:
            self.certificates.check(context.auth_context().get("x509_pem_cert", ()))  # type: ignore[arg-type]

    def recognise(self, method: str, headers: Headers, names: Sequence[str] = ()) -> Principal:
        """Who makes a call; `names`: of the client's certificate. Raises ServiceError unless the key is good and may
        make it."""
        if headers.authorizations > 1:
            raise ServiceError(Reason.KEY_INVALID, "send one `authorization` header, not several")
        if method in WORKER_CALLS:
            return self._worker(headers.authorization)
        found = self._api_keys.authenticate(headers.authorization, names)
        if method not in SCOPES:
            raise ServiceError(Reason.SCOPE_MISSING, "no key can make this call")
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
            raise ServiceError(Reason.SCOPE_MISSING, "API keys cannot make this call; workers use worker_secret")
        if not self._worker_secret or not hmac.compare_digest(secret.strip().encode(), self._worker_secret.encode()):
            raise ServiceError(Reason.KEY_INVALID, "the worker_secret does not match")
        return Principal("", "worker", frozenset())

    async def allow(self, caller: Principal) -> None:
        """Counts a call. Raises ServiceError (RATE_EXCEEDED) where the key or its tenant has made too many."""
        await self._allowances.request(caller)

    async def recorded(self, method: str, request: Any, make: Callable[[], Awaitable[Any]]) -> Any:
        """Makes a call and tells it in its tenant's audit log. STORE_UNAVAILABLE where that cannot be: nothing is
        changed whose intent is not in the log, and nothing handed out that is not told."""
        rule = AUDITED.get(method)
        intended = rule.intends(request) if rule is not None and rule.intends is not None else None
        if rule is not None and intended is not None:
            told = functools.partial(rule.told, request)
            return await self._recorder.change(principal(), Intent(rule.action, intended), make, told)
        response = await make()
        self.note_read(method, request)
        details = rule.told(request, response) if rule is not None and rule.intends is None else None
        if rule is not None and details is not None:
            await self._add(principal(), rule.action, details)
        return response

    def note_read(self, method: str, request: Any) -> None:
        """Counts a read of a tenant that wants reads in its audit log. Never waits, and refuses nothing."""
        caller = principal()
        if caller.reads_told_every_minutes:
            for subject in read_details(method, request):
                self.tallies.add(caller, "reads", subject, caller.reads_told_every_minutes * 60.0, calls=1)

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
    def __init__(self, guard: Guard, method: str, headers: Headers, handler: Handler) -> None:
        self._guard, self._method, self._headers, self._handler = guard, method, headers, handler
        self._key_id = ""
        self._names: tuple[str, ...] = ()
        self._read: Messages | None = None

    async def unary(self, _: Any, context: Context) -> bytes | None:
        """Handles a call of one request and one response."""
        if not await self._held_back(context):
            return None
        started, tasks = self._start(context), CallTasks()
        inner: Callable[[Any, Context], Awaitable[Any]] = self._handler.unary_unary
        try:
            lease = await self._admit(context, stream=False)
            request = await self._messages(context, lease).first()
            reject_unknown_fields(request)
            seconds = self._guard.deadline_s(self._method, context)
            set_deadline(seconds)
            async with asyncio.timeout(seconds):
                make = functools.partial(inner, request, context)
                response = await self._guard.recorded(self._method, request, make)
            answer = self._answer(response, lease)
        except Exception as failure:
            self._refuse(context, started, failure)
            return None
        except BaseException:
            self._finish(started, "CANCELLED", "")
            raise
        self._finish(started, "OK", "")
        tasks.end_unless_done(context, self._guard.door.limits.send_s, self._guard.metrics.peers_dropped.inc)
        return answer

    async def streaming(self, _: Any, context: Context) -> None:
        """Handles a call with any number of responses."""
        if not await self._held_back(context):
            return
        started, tasks = self._start(context), CallTasks()
        try:
            lease = await self._admit(context, stream=True)
            messages = self._messages(context, lease)
            inner: Callable[[Any, Context], AsyncGenerator[Any, None]] = self._handler.stream_stream
            given: Any = messages
            if self._handler.unary_stream:
                inner, given = self._handler.unary_stream, await messages.first()
                self._guard.note_read(self._method, given)
            seconds = self._guard.deadline_s(self._method, context)
            if given is messages:
                async with asyncio.timeout(seconds):
                    await messages.wait()
                seconds = self._guard.deadline_s(self._method, context)
            check = functools.partial(self._guard.recognise, self._method, self._headers, self._names)
            async for response in limited(inner(given, context), check, seconds):
                if not await self._sent(context, self._handler.response_serializer(response), lease):
                    tasks.end()
                messages.answered()
        except Exception as failure:
            self._refuse(context, started, failure)
            return
        except BaseException:
            self._finish(started, "CANCELLED", "")
            raise
        self._finish(started, "OK", "")

    async def _held_back(self, context: Context) -> bool:
        """Waits while the caller starts too many calls without a message; returns whether this one may start."""
        if not self._headers.authorizations or await self._guard.idle_calls.wait(hash(self._headers.authorization)):
            return True
        error = self._guard.door.refusal("idle", "too many calls of this key send no message")
        set_status(context, error, self._headers.request_id)
        return False

    async def _admit(self, context: Context, *, stream: bool) -> Lease:
        guard, peer = self._guard, context.peer()
        guard.check_certificate(context)
        if not self._headers.authorizations:
            self._names = certificate_names(context)
        found = guard.admit(self._method, self._headers, self._names, peer)
        lease = guard.door.enter((found.tenant_uid, found.key_id, peer), stream=stream)
        when_done(context, lease.close)
        await guard.allow(found)
        await guard.remember_access(self._method, found)
        self._key_id = found.key_id
        _principal.set(found)
        set_tallies(guard.tallies)
        return lease

    def _messages(self, context: Context, lease: Lease) -> Messages:
        self._read = Messages(context, lease, self._guard.door.limits, self._handler.request_deserializer)
        return self._read

    def _answer(self, response: Any, lease: Lease) -> bytes:
        """The response as it is sent, its bytes held until the peer has taken it."""
        raw: bytes = self._handler.response_serializer(response)
        limits = self._guard.door.limits
        if len(raw) > limits.message_bytes:
            raise answer_too_large(f"the response is larger than {limits.message_bytes} bytes")
        lease.answer(len(raw))
        return raw

    async def _sent(self, context: Context, raw: bytes, lease: Lease) -> bool:
        """Whether the peer took one response of a stream in time."""
        limits, held = self._guard.door.limits, COPIES * len(raw)
        if len(raw) > limits.message_bytes:
            raise answer_too_large(f"the response is larger than {limits.message_bytes} bytes")
        lease.add(held)
        try:
            async with asyncio.timeout(limits.send_s):
                await context.write(raw)
        except TimeoutError:
            self._guard.metrics.peers_dropped.inc()
            return False
        lease.give(held)
        return True

    def _start(self, context: Context) -> float:
        call_facts.begin(request_id=self._headers.request_id, method=self._method)
        context.set_trailing_metadata(((REQUEST_ID_KEY, self._headers.request_id),))
        self._guard.metrics.calls_in_progress.inc()
        self._guard.gate.enter()
        return time.perf_counter()

    def _refuse(self, context: Context, started: float, failure: Exception) -> None:
        error = self._as_error(failure)
        self._finish(started, error.reason.code.name, error.reason.name)
        set_status(context, error, self._headers.request_id)
        release_frames(failure)

    def _as_error(self, failure: Exception) -> ServiceError:
        if isinstance(failure, TimeoutError):
            return ServiceError(Reason.DEADLINE, "the deadline passed before the call was done")
        return as_service_error(failure)

    def _finish(self, started: float, code: str, reason: str) -> None:
        seconds = time.perf_counter() - started
        metrics = self._guard.metrics
        metrics.calls_in_progress.dec()
        self._guard.gate.leave()
        if self._read is not None and self._read.idle:
            self._guard.idle_calls.note(hash(self._headers.authorization))
        metrics.calls.labels(self._method, code).inc()
        metrics.call_seconds.labels(self._method).observe(seconds)
        if reason == Reason.AUTHENTICATIONS_EXCEEDED.name:
            return  # counted; a line for each would fill the log for whoever wants it filled
        _LOG.info(
            "call", method=self._method, code=code, reason=reason, request_id=self._headers.request_id,
            key_id=self._key_id, duration_ms=round(seconds * 1000, 2),
        )  # fmt: skip
