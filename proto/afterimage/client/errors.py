"""What can go wrong, by gRPC code.

AfterimageError
├── InvalidArgument       the request breaks a rule; `field` names it
├── NotFound              no such collection or record, or it is another tenant's
├── AlreadyExists
├── Unauthenticated       no key, or one that is wrong or revoked
├── PermissionDenied      the key lacks a scope
├── FailedPrecondition    the collection's encoder is not there
├── ResourceExhausted     overloaded, or the message is too large; wait `retry_delay_s` where it is set
├── Aborted               a concurrent change; try again
├── DeadlineExceeded
├── Unavailable           not reachable, starting or stopping; try again
├── DataLoss              what the server stored is damaged; somebody must restore it
├── Unimplemented         this server does not offer it
└── InternalError         a fault of the server's; its log has it under `request_id`
"""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError

from afterimage.v1 import error_details_pb2

_DETAILS_KEY = "grpc-status-details-bin"
_REQUEST_ID_KEY = "x-request-id"


class AfterimageError(Exception):
    """A failed call. `reason` is stable and listed in the server's docs/errors.md; `message` is for people."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        field: str = "",
        retry_delay_s: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.field = field
        self.retry_delay_s = retry_delay_s
        self.request_id = request_id


class InvalidArgument(AfterimageError):
    """The request breaks a rule."""


def invalid(field: str, message: str) -> InvalidArgument:
    """Returns the error of a value that is not sent, because every server would reject it."""
    return InvalidArgument(message, reason="ARGUMENT_INVALID", field=field)


class NotFound(AfterimageError):
    """No such collection or record."""


class AlreadyExists(AfterimageError):
    """The name or id already exists."""


class Unauthenticated(AfterimageError):
    """No key, or an invalid or revoked one."""


class PermissionDenied(AfterimageError):
    """The key lacks a scope."""


class FailedPrecondition(AfterimageError):
    """The state of the server or of the data does not allow the call."""


class ResourceExhausted(AfterimageError):
    """Overloaded, or the message is too large."""


class Aborted(AfterimageError):
    """A concurrent change conflicted with the call."""


class DeadlineExceeded(AfterimageError):
    """The deadline passed before the call ended."""


class Unavailable(AfterimageError):
    """The server is not reachable, or is starting or stopping."""


class Unimplemented(AfterimageError):
    """The server does not offer this call."""


class DataLoss(AfterimageError):
    """Stored data of the server is damaged."""


class InternalError(AfterimageError):
    """An internal error of the server."""


_BY_CODE: dict[grpc.StatusCode, type[AfterimageError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
    grpc.StatusCode.DATA_LOSS: DataLoss,
}


def from_rpc_error(error: grpc.RpcError) -> AfterimageError:
    """Returns the typed error for an error of grpc, with the details that the server sent."""
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    message = (error.details() if hasattr(error, "details") else None) or code.name
    trailing: dict[str, str | bytes] = {}
    if hasattr(error, "trailing_metadata"):
        trailing = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]
    found = _BY_CODE.get(code, InternalError)(message, request_id=str(trailing.get(_REQUEST_ID_KEY, "")))
    content = trailing.get(_DETAILS_KEY)
    if isinstance(content, bytes):
        _add_details(found, content)
    return found


def _add_details(error: AfterimageError, content: bytes) -> None:
    info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    try:
        for detail in error_details_pb2.ErrorStatus.FromString(content).details:
            kind = detail.type_url.rpartition(".")[2]
            if kind == "ErrorInfo":
                info.ParseFromString(detail.value)
                error.reason = info.reason
            elif kind == "RetryInfo":
                retry.ParseFromString(detail.value)
                error.retry_delay_s = retry.retry_delay.ToMilliseconds() / 1000
            elif kind == "BadRequest":
                bad.ParseFromString(detail.value)
                error.field = bad.field_violations[0].field if bad.field_violations else ""
    except DecodeError:
        return  # the code and the message stand without them
