"""Converts a ServiceError to a google.rpc.Status (AIP-193) or to the error of one record.

Every transport sends the same details: gRPC in its trailing metadata, others in the body of the response.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from afterimage.v1 import types_pb2
from service.errors import Code, Reason, ServiceError
from service.runtime.call_facts import place_in_log

DOMAIN = "afterimage"
_QUOTA_SUBJECTS = {Reason.OVERLOADED: "server", Reason.QUOTA_EXCEEDED: "tenant", Reason.RATE_EXCEEDED: "tenant"}


def to_status(error: ServiceError, request_id: str) -> status_pb2.Status:
    """Returns a google.rpc.Status with ErrorInfo and, where they apply, BadRequest, RetryInfo and QuotaFailure."""
    info = error_details_pb2.ErrorInfo(reason=error.reason.name, domain=DOMAIN, metadata={"request_id": request_id})
    details: list[Any] = [info]
    if error.reason.code is Code.INVALID_ARGUMENT:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_delay_s is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_delay_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.reason in _QUOTA_SUBJECTS:
        subject = _QUOTA_SUBJECTS[error.reason]
        violation_ = error_details_pb2.QuotaFailure.Violation(subject=subject, description=error.message)
        details.append(error_details_pb2.QuotaFailure(violations=[violation_]))
    status = status_pb2.Status(code=int(error.reason.code), message=error.message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def to_record_error(error: ServiceError) -> types_pb2.RecordError:
    """Returns the error of one record of a batch.

    The message of an INTERNAL error contains the request id, because a record's error has no field for it.
    """
    message, place = error.message, place_in_log()
    if error.reason.code is Code.INTERNAL and place not in message:
        message = f"{message}; search the server's log for it {place}"
    return types_pb2.RecordError(
        code=int(error.reason.code),
        reason=error.reason.name,
        message=message,
        field=error.field,
        retry_delay_ms=int((error.retry_delay_s or 0) * 1000),
    )
