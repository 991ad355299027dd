"""What a transport offers of one call, so that the interceptor can treat the calls of all transports alike."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from service.errors import ServiceError

REQUEST_ID_KEY = "x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Headers:
    """What the headers of a call say. authorizations: how many `authorization` headers there are."""

    authorization: str
    authorizations: int
    request_id: str


def read_headers(given: Iterable[tuple[str, str | bytes]]) -> Headers:
    """Reads headers, whose names are in lower case. A request id that is not fit for a log is replaced."""
    sent, request_id = [], ""
    for name, value in given:
        if name == "authorization":
            sent.append(str(value))
        elif name == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            request_id = value
    return Headers(sent[0] if sent else "", len(sent), request_id or secrets.token_hex(8))


class CallContext(Protocol):
    """One call of one transport. All methods are called in the event loop, by the task that handles the call.

    Messages are bytes here, in the transport's own encoding, so that their size counts before they are parsed.
    """

    @property
    def transport(self) -> str:
        """Name of the transport, from a closed set: `grpc`, `http`, `in_process`."""

    @property
    def headers(self) -> Headers:
        """What the caller sent before any message."""

    @property
    def peer(self) -> str:
        """Where the connection comes from, as gRPC writes it: `ipv4:192.0.2.1:4711`."""

    def certificate_names(self) -> tuple[str, ...]:
        """Names in the client certificate of the connection, which the transport has verified; often none."""

    def check_certificate(self) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) where the client certificate has expired or was revoked since."""

    def time_remaining(self) -> float | None:
        """Seconds until the caller gives up, or None where it set no deadline."""

    async def read(self) -> bytes | None:
        """The next message, or None at the end. Reads nothing ahead. May be cancelled."""

    async def parse(self, raw: bytes) -> Any:
        """The request message in these bytes. Raises ServiceError (ARGUMENT_INVALID)."""

    async def serialize(self, response: Any) -> bytes:
        """A response message as it is sent."""

    async def send(self, raw: bytes) -> None:
        """Returns once the peer has taken the message. May be cancelled.

        A transport that sends the one answer of a unary call by itself returns at once, and then ends the call where
        the peer has not taken the answer within `send_s`.
        """

    def drop(self) -> None:
        """Ends the call of a peer that does not read, so that nothing of it is held."""

    def on_done(self, callback: Callable[[], object]) -> None:
        """Has `callback` called once the peer has taken all of the call, or has gone."""

    def fail(self, error: ServiceError) -> None:
        """Has the call end with this error."""
