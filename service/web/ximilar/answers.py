"""Responses in Ximilar's envelope: the payload beside `status`, and errors also as `detail`."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from afterimage.v1.types_pb2 import RecordError
from service.calls.context import REQUEST_ID_KEY
from service.errors import Reason, ServiceError
from service.statuses import http_status
from service.web.api.errors import HEADERS, JSON_TYPE

FOUND, FOUND_SOME, FOUND_NONE = 205, 206, 404
INSERTED, INSERTED_SOME, INSERTED_NONE = 210, 211, 411
DELETED, FULL = 220, 412
_EXISTS = 211  # of one record; the client counts such a record as skipped, and every other code as an error
# Where Ximilar's code differs from HTTP's status, or HTTP's differs from that of the API: code and status.
_CODES: Final[Mapping[Reason, tuple[int, int]]] = {
    Reason.QUOTA_EXCEEDED: (FULL, 507), Reason.HOST_BUSY: (429, 429), Reason.RECORD_EXISTS: (_EXISTS, 409),
}  # fmt: skip
_OK = "OK"


@dataclass(frozen=True)
class Answer:
    """What a request gets. code: of `status`. http: the status of HTTP. remarks: sentences for `status.text`."""

    fields: Mapping[str, Any]
    code: int = 200
    http: int = 200
    remarks: tuple[str, ...] = ()
    retry_delay_s: float | None = None


@dataclass(frozen=True)
class RecordStream:
    """A response of any size: `answer_records` in batches, in the order of the collection."""

    batches: AsyncIterator[list[dict[str, Any]]]


@dataclass(frozen=True)
class Skipped:
    """A record of the request that failed. record_id: as it was sent; None: it had none."""

    record_id: str | None
    error: ServiceError
    shown: Mapping[str, Any] = field(default_factory=dict)


def codes_of(reason: Reason) -> tuple[int, int]:
    """The code of `status` for an error, and the status of HTTP."""
    status = http_status(reason)
    return _CODES.get(reason, (status, status))


def as_error(error: RecordError) -> ServiceError:
    """The error of one record."""
    delay_s = error.retry_delay_ms / 1000 if error.retry_delay_ms else None
    return ServiceError(Reason[error.reason], error.message, field=error.field, retry_delay_s=delay_s)


def skipped_records(skipped: list[Skipped]) -> list[dict[str, Any]]:
    """The entries of `skipped_records`."""
    return [
        {**({} if s.record_id is None else {"_id": s.record_id}), "_reason": {"status": record_status(s.error)}}
        for s in skipped
    ]


def record_status(error: ServiceError | None = None) -> dict[str, Any]:
    """The status of one record."""
    if error is None:
        return {"code": 200, "text": _OK}
    return {"code": codes_of(error.reason)[0], "text": error.message, "reason": error.reason.name}


def write_answer(answer: Answer, request_id: str) -> bytes:
    """The body of a response."""
    text = "; ".join((_OK, *answer.remarks)) if answer.remarks else _OK
    if answer.http >= 400:
        text = "; ".join(answer.remarks) or "failed"
    extra = {"detail": text} if answer.http >= 400 else {}
    body = {**extra, **answer.fields, "status": _status(answer.code, text, request_id)}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def write_error(error: ServiceError, request_id: str) -> bytes:
    """The body of a request that failed as a whole."""
    status = _status(codes_of(error.reason)[0], error.message, request_id) | {"reason": error.reason.name}
    return orjson.dumps({"detail": error.message, "status": status})


def stream_end(count: int, request_id: str) -> bytes:
    """What follows the records of a streamed response."""
    return orjson.dumps({"answer_count": count, "status": _status(200, _OK, request_id)})[1:]


def headers_of(request_id: str, retry_delay_s: float | None = None, *, unauthorized: bool = False) -> dict[str, str]:
    """The headers of a response."""
    found = {**HEADERS, "Content-Type": JSON_TYPE, REQUEST_ID_KEY: request_id}
    if retry_delay_s is not None:
        found["Retry-After"] = str(max(1, math.ceil(retry_delay_s)))
    if unauthorized:
        found["WWW-Authenticate"] = "Token"
    return found


def _status(code: int, text: str, request_id: str) -> dict[str, Any]:
    return {"code": code, "text": text, "request_id": request_id, "proc_id": request_id}
