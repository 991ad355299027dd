"""Messages in protobuf's binary encoding, for gRPC and for calls in this process."""

from __future__ import annotations

from google.protobuf.message import DecodeError, Message

from service.calls.method import Method
from service.errors import Reason, ServiceError


def parse_binary(method: Method, raw: bytes) -> Message:
    """Parses a request. Raises ServiceError (ARGUMENT_INVALID)."""
    try:
        return method.request.FromString(raw)
    except DecodeError:
        raise ServiceError(Reason.ARGUMENT_INVALID, "the message is not of this call's type") from None
