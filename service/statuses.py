"""The status of each error for a transport: the one table that gRPC and HTTP read.

gRPC sends the number of the reason's `Code` itself. HTTP's statuses follow google.rpc.Code, as in the table of
google/rpc/code.proto, except where HTTP has a more precise one for a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from service.errors import Code, Reason

HTTP_STATUS: Final[Mapping[Code, int]] = {
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}

# Where HTTP says more than the code does.
HTTP_STATUS_OF_REASON: Final[Mapping[Reason, int]] = {
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.MESSAGE_LATE: 408,
    Reason.BODY_TOO_LARGE: 413,
    Reason.MEDIA_TYPE_UNSUPPORTED: 415,
    Reason.HOST_UNKNOWN: 421,
    Reason.IDEMPOTENCY_KEY_REUSED: 422,
    Reason.LINK_EXPIRED: 410,
    Reason.PICTURE_DAMAGED: 409,
    Reason.PICTURES_NOT_SERVED: 409,
}


def grpc_status(reason: Reason) -> int:
    """The number of google.rpc.Code, which gRPC sends."""
    return int(reason.code)


def http_status(reason: Reason) -> int:
    """The status of an HTTP response."""
    return HTTP_STATUS_OF_REASON.get(reason, HTTP_STATUS[reason.code])
