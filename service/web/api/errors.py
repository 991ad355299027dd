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
from service.errors import ServiceError
from service.statuses import http_status

JSON_TYPE = "application/json"
# Of every answer.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class ErrorAnswer:
    """Status, headers and body of an error response."""

    status: int
    headers: dict[str, str]
    body: bytes


def error_answer(error: ServiceError, request_id: str, *, connect: bool) -> ErrorAnswer:
    """Returns the response parts for an error. `connect`: in the form of Connect's unary protocol."""
    headers = {**HEADERS, "Content-Type": JSON_TYPE, REQUEST_ID_KEY: request_id}
    if error.retry_delay_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_delay_s)))
    status = http_status(error.reason)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return ErrorAnswer(status, headers, orjson.dumps(error_object(error, request_id, connect=connect)))


def error_object(error: ServiceError, request_id: str, *, connect: bool) -> dict[str, Any]:
    """Returns an error as a JSON object: google.rpc.Status, or Connect's form."""
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
