"""`POST /v1/webhooks/push/<id>`: changes of single items, signed with the secret of their source.

Requests without a valid signature count like calls without a key.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson
from aiohttp import web

from service.audit.recorder import Recorder
from service.calls.admission import CallAdmission
from service.calls.gate import Gate
from service.calls.limits.call_limiter import COPIES
from service.calls.limits.failures import address_of
from service.errors import Reason, ServiceError, release_frames
from service.statuses import http_status
from service.sync.pushes.push_calls import Pushed
from service.sync.pushes.signed_pushes import MAX_BODY_BYTES, PUSH_PATH, SignedPushes
from service.web.pictures import LinkLimits

__all__ = ["PUSH_PATH", "PushParts", "PushWebhook"]
_OWNER = "push webhook"  # beside the tenants, in the shares of what is in flight
_HEADER = "Afterimage-Signature"
_BODY_S = 30.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class PushParts:
    """What receives a push, and records it."""

    pushes: SignedPushes
    admission: CallAdmission
    recorder: Recorder
    gate: Gate


class PushWebhook:
    """For one event loop."""

    def __init__(self, parts: PushParts, limits: LinkLimits) -> None:
        self._parts, self._limits = parts, limits

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handles a request to a path below PUSH_PATH."""
        limits, peer = self._limits, self._limits.peer(request)
        if request.method != "POST":
            return web.Response(status=405, headers={**_HEADERS, "Allow": "POST"})
        try:
            lease = limits.limiter.enter((_OWNER, address_of(peer), peer), stream=False)
        except ServiceError as error:
            return _failed(error)
        self._parts.gate.enter()
        try:
            self._parts.gate.check()
            lease.take(COPIES * MAX_BODY_BYTES)
            return _answered(await self._pushed(request, peer))
        except ServiceError as error:
            invalid = error.reason is Reason.SIGNATURE_INVALID
            return _failed(_too_many() if invalid and not limits.keyless.admit(peer) else error)
        finally:
            self._parts.gate.leave()
            lease.close()

    async def _pushed(self, request: web.Request, peer: str) -> Pushed:
        body = await _body(request)
        parts, header = self._parts, request.headers.get(_HEADER, "")
        push_id = request.path.removeprefix(PUSH_PATH)
        verified = await parts.pushes.verify(push_id, header, body)
        self._limits.keyless.note_valid_key(peer)
        return await parts.pushes.push(verified, parts.admission.allow, parts.recorder)


async def _body(request: web.Request) -> bytes:
    """The body. Raises ServiceError: BODY_TOO_LARGE, or ARGUMENT_INVALID if it broke off or is too slow."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise ServiceError(Reason.ARGUMENT_INVALID, f"the body took longer than {_BODY_S:.0f} s") from None
    except (web.RequestPayloadError, ConnectionError):
        raise ServiceError(Reason.ARGUMENT_INVALID, "the body broke off") from None
    return bytes(body)


def _answered(pushed: Pushed) -> web.Response:
    said = {
        "outcome": pushed.outcome, "reason": pushed.reason, "message": pushed.message, "item_id": pushed.item_id,
        "record_count": pushed.records, "deleted_count": pushed.deleted, "sequence": pushed.sequence,
        "notes": pushed.notes,
    }  # fmt: skip
    return _json(said, 200)


def _failed(error: ServiceError) -> web.Response:
    said = {"reason": error.reason.name, "message": error.message, "field": error.field}
    release_frames(error)
    response = _json({"error": said}, http_status(error.reason))
    if error.retry_delay_s is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_delay_s)))
    return response


def _json(value: object, status: int) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json", headers=_HEADERS)


def _too_large() -> ServiceError:
    return ServiceError(Reason.BODY_TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES >> 10} KiB")


def _too_many() -> ServiceError:
    message = "too many pushes without a valid signature from this address"
    return ServiceError(Reason.OVERLOADED, message, retry_delay_s=1.0)
