"""Errors as HTTP answers: google.rpc.Status as JSON or, on Connect's paths, Connect's form of it."""

from __future__ import annotations

import binascii
import math
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf import json_format

from service.calls.context import REQUEST_ID_KEY
from service.calls.error_details import to_status
from service.errors import Code, Reason, ServiceError

JSON_TYPE = "application/json"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}  # of every answer
_STATUS = {
    Code.INVALID_ARGUMENT: 400, Code.DEADLINE_EXCEEDED: 504, Code.NOT_FOUND: 404, Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403, Code.RESOURCE_EXHAUSTED: 429, Code.FAILED_PRECONDITION: 400, Code.ABORTED: 409,
    Code.UNIMPLEMENTED: 501, Code.INTERNAL: 500, Code.UNAVAILABLE: 503, Code.DATA_LOSS: 500, Code.UNAUTHENTICATED: 401,
}  # fmt: skip
# HTTP says more of these than their codes do.
_STATUS_OF_REASON = {
    Reason.METHOD_NOT_ALLOWED: 405, Reason.BODY_TOO_LARGE: 413, Reason.MEDIA_TYPE_UNSUPPORTED: 415,
    Reason.HOST_UNKNOWN: 421, Reason.MESSAGE_LATE: 408,
}  # fmt: skip


@dataclass(frozen=True)
class ErrorAnswer:
    """What is sent of an error."""

    status: int
    headers: dict[str, str]
    body: bytes


def http_status(error: ServiceError) -> int:
    """The status of HTTP for an error."""
    return _STATUS_OF_REASON.get(error.reason, _STATUS[error.reason.code])


def error_answer(error: ServiceError, request_id: str, *, connect: bool) -> ErrorAnswer:
    """The answer for an error. `connect`: in the form of Connect's unary protocol."""
    headers = {**HEADERS, "Content-Type": JSON_TYPE, REQUEST_ID_KEY: request_id}
    if error.retry_delay_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_delay_s)))
    status = http_status(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return ErrorAnswer(status, headers, orjson.dumps(error_object(error, request_id, connect=connect)))


def error_object(error: ServiceError, request_id: str, *, connect: bool) -> dict[str, Any]:
    """The error as a JSON object."""
    status = to_status(error, request_id)
    if not connect:
        return json_format.MessageToDict(status)
    details = [
        {
            "type": detail.type_url.rpartition("/")[2],
            "value": binascii.b2a_base64(detail.value, newline=False).decode("ascii").rstrip("="),
        }
        for detail in status.details
    ]
    return {"code": error.reason.code.name.lower(), "message": error.message, "details": details}
