"""A call with an idempotency key: its claim, and what a repetition of it gets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from service.audit.keys import Claim, Earlier, State
from service.audit.logs import AuditLogs
from service.audit.recorder import KeysUsedUp, KeyTaken
from service.calls.context import IDEMPOTENCY_KEY
from service.calls.handlers import Handler
from service.calls.method import Effect, Kind, Method
from service.calls.repetition.rebuilding import rebuilt, unknown_outcome
from service.engine.faults import translated_errors
from service.errors import Reason, ServiceError
from service.tenancy.keyring import Principal

_KEY = re.compile(r'[!#-~]{1,255}|"[ !#-~]{1,255}"')
_RETRY_S, _FULL_S = 1.0, 3600.0


def takes_key(method: Method) -> bool:
    """Whether a second call would create or start something again, or fail: only such calls have use for a key."""
    return method.row.effect is Effect.NOT_IDEMPOTENT and method.kind is Kind.UNARY and method.row.audit is not None


class KeyedCall:
    """One call with a key. Raises ServiceError (ARGUMENT_INVALID) for a key that is none."""

    def __init__(self, key: str, method: Method, handlers: Mapping[str, Handler]) -> None:
        """`key`: the value of the header; a structured header's quotes are not part of the key. `handlers`: of the
        methods, by path."""
        if not _KEY.fullmatch(key):
            message = "an idempotency key has 1 to 255 printable ASCII characters, such as a UUID"
            raise ServiceError(Reason.ARGUMENT_INVALID, message, field=IDEMPOTENCY_KEY)
        self._key, self._method, self._handlers = key.strip('"'), method, handlers

    async def claim(self, request: Any, caller: Principal, logs: AuditLogs) -> Claim:
        """What the audit log keeps of the call. Raises ServiceError (STORE_UNAVAILABLE)."""
        with translated_errors():
            seal = (await asyncio.to_thread(logs.of, caller.tenant_uid)).seal
        message = request.SerializeToString(deterministic=True)
        return seal.claim(self._key, self._method.path, message, lambda answer: answer.SerializeToString())

    async def answer(self, request: Any, caller: Principal, logs: AuditLogs, why: KeyTaken) -> Any:
        """Returns what the earlier call with the key returned. Raises ServiceError (IDEMPOTENCY_KEY_REUSED,
        IDEMPOTENCY_KEY_IN_USE, IDEMPOTENCY_OUTCOME_UNKNOWN)."""
        earlier: Earlier = why.earlier
        if not earlier.same:
            message = "the idempotency key was used for another request within the last day; use a key of its own"
            raise ServiceError(Reason.IDEMPOTENCY_KEY_REUSED, message, field=IDEMPOTENCY_KEY)
        if earlier.state is State.OPEN:
            message = "the first call with this idempotency key has not ended"
            raise ServiceError(Reason.IDEMPOTENCY_KEY_IN_USE, message, field=IDEMPOTENCY_KEY, retry_delay_s=_RETRY_S)
        if earlier.state is State.UNKNOWN:
            raise unknown_outcome()
        if earlier.state is State.DONE:
            with translated_errors():
                seal = (await asyncio.to_thread(logs.of, caller.tenant_uid)).seal
            return self._method.response.FromString(seal.open(earlier.answer))

        async def call(name: str, wanted: Any) -> Any:
            handler: Any = self._handlers[f"/afterimage.v1.{name}"]
            return await handler(wanted, caller)

        return await rebuilt(self._method, request, earlier.time_ms, call)


def used_up(why: KeysUsedUp) -> ServiceError:
    """The error for a tenant that has used too many keys."""
    return ServiceError(Reason.QUOTA_EXCEEDED, str(why), field=IDEMPOTENCY_KEY, retry_delay_s=_FULL_S)
