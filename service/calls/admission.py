"""Authenticates and authorises a call by its headers and its connection, before a message is read."""

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
    """Credentials that the server accepts.

    - `region`: the region of this server.
    - `worker_secret`: secret of workers on other machines; empty: no such workers.
    """

    api_keys: KeyRing
    region: str = ""
    worker_secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Refusals:
    """Counters of refused calls.

    - `failures`: calls whose key is not valid, by address.
    - `keyless`: those, and calls that need no key, by connection.
    """

    failures: AuthenticationFailures
    keyless: KeylessCalls
    metrics: Metrics


class CallAdmission:
    """Authenticates callers and applies their rates. For one event loop."""

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
        """Returns the caller. Counts failures by the peer's address.

        `names`: names in the client's certificate. Raises ServiceError if the server takes no calls, if the key is not
        valid, or if the key may not make the call.
        """
        self._gate.check()
        try:
            found = await self.authenticate(method, headers, names)
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
        self._keyless.note_valid_key(peer)
        return found

    async def authenticate(self, method: Method, headers: Headers, names: Sequence[str] = ()) -> Principal:
        """Returns the caller. Raises ServiceError unless the key is valid and may make the call."""
        if headers.authorizations > 1:
            raise ServiceError(Reason.KEY_INVALID, "send one `authorization` header, not several")
        needed = method.row.caller
        if needed is Caller.WORKER:
            return self._worker(headers.authorization)
        await self._refresh_keys()
        found = self._credentials.api_keys.authenticate_cached(headers.authorization, names)
        check_region(found.region, self._credentials.region)
        if not isinstance(needed, Caller):
            found.require(needed)
        return found

    async def _refresh_keys(self) -> None:
        """Reads the keys again, in a thread, if they have changed. Concurrent calls wait for the same read."""
        keys = self._credentials.api_keys
        while keys.stale():
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(asyncio.to_thread(keys.refresh), name="refresh keys")
            with translated_errors():
                await asyncio.shield(self._refreshing)

    async def allow(self, caller: Principal) -> None:
        """Counts a call. Raises ServiceError (RATE_EXCEEDED) if the key or its tenant has made too many."""
        await self._allowances.request(caller)

    def _worker(self, header: str) -> Principal:
        """Returns the principal of a worker. It has no tenant: it can only work on runs whose lease it holds."""
        secret = self._credentials.worker_secret
        if not header:
            raise ServiceError(Reason.KEY_MISSING, "send `authorization: Worker <worker_secret>`")
        scheme, _, shown = header.partition(" ")
        if scheme.lower() != "worker":
            raise ServiceError(Reason.SCOPE_MISSING, "API keys cannot make this call; workers use worker_secret")
        if not secret or not hmac.compare_digest(shown.strip().encode(), secret.encode()):
            raise ServiceError(Reason.KEY_INVALID, "the worker_secret does not match")
        return Principal("", "worker", frozenset())
