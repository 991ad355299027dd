"""Messages in protobuf's binary encoding, for gRPC and for calls in this process."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError, Message

from service.calls.method import Method
from service.errors import Reason, ServiceError


def parse_binary(method: Method, raw: bytes) -> Message:
    """Parses a request. Raises ServiceError (ARGUMENT_INVALID)."""
    try:
        return method.request.FromString(raw)
    except DecodeError:
        raise ServiceError(Reason.ARGUMENT_INVALID, "the message is not of this call's type") from None


class EncodedResponse:
    """A response that its handler has encoded, of pieces that are kept. What sends messages in protobuf's encoding
    serializes it like any other; what sends another encoding asks for `message_of` it."""

    __slots__ = ("_raw", "_type")

    def __init__(self, kind: type[Message], raw: bytes) -> None:
        """`raw`: a message of this type."""
        self._type, self._raw = kind, raw

    def SerializeToString(self) -> bytes:
        """The encoded message."""
        return self._raw

    def message(self) -> Message:
        """The message."""
        return self._type.FromString(self._raw)


def message_of(response: Any) -> Any:
    """A response as a message."""
    return response.message() if isinstance(response, EncodedResponse) else response
