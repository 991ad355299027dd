"""Who may make a call: judged from its headers and its connection, before any message of it is read."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.calls.context import Headers
from service.calls.gate import Gate
from service.calls.limits.failures import AuthenticationFailures
from service.calls.limits.keyless import KeylessCalls
from service.calls.method import Caller, Method
from service.engine.faults import translated_errors
from service.errors import Code, Reason, ServiceError
from service.metrics import Metrics
from service.tenancy.allowances import Allowances
from service.tenancy.keyring import KeyRing, Principal
from service.tenancy.spaces import check_region


@dataclass(frozen=True)
class Credentials:
    """What callers are compared with. region: where this server is. worker_secret: what workers on other machines
    show; empty: there are none."""

    api_keys: KeyRing
    region: str = ""
    worker_secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Refusals:
    """What counts callers that are refused. failures: calls whose key does not work, by address. keyless: those, and
    calls that need no key, by connection."""

    failures: AuthenticationFailures
    keyless: KeylessCalls
    metrics: Metrics


class CallAdmission:
    """Recognises callers, and refuses those that may not call, or call too often. For one event loop."""

    def __init__(
        self,
        credentials: Credentials,
        allowances: Allowances,
        refusals: Refusals,
        gate: Gate,
    ) -> None:
        self._credentials, self._allowances, self._gate = credentials, allowances, gate
        self._refreshing: asyncio.Task[None] | None = None
        self._failures, self._keyless, self._metrics = refusals.failures, refusals.keyless, refusals.metrics

    async def admit(self, method: Method, headers: Headers, names: Sequence[str], peer: str) -> Principal:
        """Who makes a call; `names`: of the client's certificate. Raises ServiceError unless the gate is open and the
        key may make the call; failures are counted by the peer's address."""
        self._gate.check()
        try:
            found = await self.recognise(method, headers, names)
        except ServiceError as error:
            if error.reason.code is not Code.UNAUTHENTICATED:
                raise
            self._keyless.admit(peer)
            self._metrics.failed_authentications.labels(error.reason.name).inc()
            wait_s = self._failures.note(peer)
            if not wait_s:
                raise
            message = f"too many failed authentications from this address; the last: {error.message}"
            raise ServiceError(Reason.AUTHENTICATIONS_EXCEEDED, message, retry_delay_s=wait_s) from None
        self._keyless.worked(peer)
        return found

    async def recognise(self, method: Method, headers: Headers, names: Sequence[str] = ()) -> Principal:
        """Who makes a call. Raises ServiceError unless the key is valid and may make it."""
        if headers.authorizations > 1:
            raise ServiceError(Reason.KEY_INVALID, "send one `authorization` header, not several")
        needed = method.row.caller
        if needed is Caller.WORKER:
            return self._worker(headers.authorization)
        await self._refresh_keys()
        found = self._credentials.api_keys.judge(headers.authorization, names)
        check_region(found.region, self._credentials.region)
        if not isinstance(needed, Caller):
            found.require(needed)
        return found

    async def _refresh_keys(self) -> None:
        """Has the keys read, in a thread, where they were changed; calls that come meanwhile wait for the same."""
        keys = self._credentials.api_keys
        while keys.stale():
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(asyncio.to_thread(keys.refresh), name="refresh keys")
            with translated_errors():
                await asyncio.shield(self._refreshing)

    async def allow(self, caller: Principal) -> None:
        """Counts a call. Raises ServiceError (RATE_EXCEEDED) where the key or its tenant has made too many."""
        await self._allowances.request(caller)

    def _worker(self, header: str) -> Principal:
        """A worker acts for no tenant of its own: it can only work on runs whose lease it holds."""
        secret = self._credentials.worker_secret
        if not header:
            raise ServiceError(Reason.KEY_MISSING, "send `authorization: Worker <worker_secret>`")
        scheme, _, shown = header.partition(" ")
        if scheme.lower() != "worker":
            raise ServiceError(Reason.SCOPE_MISSING, "API keys cannot make this call; workers use worker_secret")
        if not secret or not hmac.compare_digest(shown.strip().encode(), secret.encode()):
            raise ServiceError(Reason.KEY_INVALID, "the worker_secret does not match")
        return Principal("", "worker", frozenset())
