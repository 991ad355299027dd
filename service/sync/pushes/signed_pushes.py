"""Pushes over HTTP that are signed with the secret of their source, instead of an API key.

The id in the path is that of the tenant and that of the source. It is no secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.audit.recorder import Intent, Recorder
from service.errors import Reason, ServiceError
from service.runtime.clock import now_ms
from service.sync.access import SyncAccess
from service.sync.pushes.push_calls import ItemChange, PushCalls, Pushed
from service.sync.pushes.pushed_item import MAX_ITEM_BYTES
from service.sync.pushes.signatures import (
    Signature,
    UsedSignatures,
    check_signature,
    read_signature,
)
from service.sync.runs.lease import SyncParts
from service.tenancy.keyring import Principal

PUSH_PATH = "/v1/webhooks/push/"
MAX_BODY_BYTES = MAX_ITEM_BYTES
_ID = re.compile(r"([0-9a-f]{32})([0-9a-f]{32})")
_NOBODY = "0" * 64  # signs for sources that do not exist, so that they take as long
_FIELDS = frozenset({"item", "delete_item_id", "change_time"})
Allow = Callable[[Principal], Awaitable[None]]


@dataclass(frozen=True)
class RotatedSecret:
    """A new secret. `former_until_ms`: until when the one before is valid; 0: there was none."""

    secret: str
    path: str
    former_until_ms: int


@dataclass(frozen=True)
class VerifiedPush:
    """A push whose signature is valid."""

    caller: Principal
    source_id: str
    signature: Signature
    body: bytes


class SignedPushes(SyncAccess):
    """For one event loop. All methods raise ServiceError."""

    def __init__(self, parts: SyncParts, pushes: PushCalls) -> None:
        super().__init__(parts)
        self._pushes, self._used = pushes, UsedSignatures()

    async def rotate(self, principal: Principal, name: str) -> RotatedSecret:
        """Makes a secret of a source. The one before stays valid for a day."""
        ledger = await self._ledger(principal.tenant_uid)
        source_id = (await self._read(ledger.source, name)).source_id
        made = await self._write(ledger.push_secrets.rotate, source_id, now_ms(self._clock))
        return RotatedSecret(made.current, f"{PUSH_PATH}{principal.tenant_uid}{source_id}", made.former_until_ms)

    async def verify(self, push_id: str, header: str, body: bytes) -> VerifiedPush:
        """Raises ServiceError (SIGNATURE_INVALID) unless the source's secret signed the body within five minutes."""
        signature = read_signature(header, now_ms(self._clock) / 1000)
        found = _ID.fullmatch(push_id)
        tenant_uid, source_id = (found[1], found[2]) if found else ("", "")
        check_signature(signature, body, await self._secrets(tenant_uid, source_id))
        limits = await self._read(self._parts.ledgers.limits, tenant_uid)
        caller = Principal(tenant_uid, "webhook", frozenset(), limits.requests_per_s)
        return VerifiedPush(caller, source_id, signature, body)

    async def push(self, verified: VerifiedPush, allow: Allow, recorder: Recorder) -> Pushed:
        """Stores the change, and records it. `allow`: counts a call of a caller. A signature is taken once."""
        source_id, signature = verified.source_id, verified.signature
        self._used.take(source_id, signature, now_ms(self._clock) / 1000)
        try:
            await allow(verified.caller)
            change = _change(verified.body, signature)
            return await recorder.change(
                verified.caller, Intent("source.push", {"source": source_id}),
                lambda: self._pushes.push(verified.caller, source_id, change),
                lambda pushed: {"source": source_id, "outcome": pushed.outcome},
            )  # fmt: skip
        except BaseException:
            self._used.give_back(source_id, signature)
            raise

    async def _secrets(self, tenant_uid: str, source_id: str) -> tuple[str, ...]:
        """The valid secrets of a source; one that nobody knows if there is no such source."""
        if tenant_uid not in await self._workers.read(self._parts.ledgers.uids):
            return (_NOBODY,)
        ledger = await self._read(self._parts.ledgers.of_if_any, tenant_uid)
        secrets = await self._read(ledger.push_secrets.of, source_id) if ledger is not None else None
        return secrets.valid(now_ms(self._clock)) if secrets is not None else (_NOBODY,)


def _change(body: bytes, signature: Signature) -> ItemChange:
    """The change of a body. Its time is that of the signature if it says none. Raises ServiceError."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("the body is not valid JSON", "") from None
    if not isinstance(said, dict) or said.keys() - _FIELDS or ("item" in said) == ("delete_item_id" in said):
        raise _bad("send an object with either item or delete_item_id, and change_time if you like", "")
    changed_ms = _time(said["change_time"]) if "change_time" in said else signature.seconds * 1000 + 999
    if "item" in said:
        if not isinstance(said["item"], dict | list):
            raise _bad("the item must be a JSON object with the fields of the feed", "item")
        return ItemChange(json.dumps(said["item"]), "", changed_ms)
    if not isinstance(said["delete_item_id"], str):
        raise _bad("the id must be a text", "delete_item_id")
    return ItemChange("", said["delete_item_id"], changed_ms)


def _time(text: object) -> int:
    try:
        found = datetime.fromisoformat(text)  # type: ignore[arg-type]
        if found.tzinfo is not None:
            return max(1, int(found.timestamp() * 1000))
    except (TypeError, ValueError, OverflowError):
        pass
    raise _bad("send the time as 2026-05-01T12:00:00Z", "change_time")


def _bad(message: str, field: str) -> ServiceError:
    return ServiceError(Reason.ARGUMENT_INVALID, message, field=field)
