"""The interface between a transport and the interceptor: one call."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from service.errors import ServiceError
from service.tracing.allowed import Door
from service.tracing.spans import TRACEPARENT

REQUEST_ID_KEY, IDEMPOTENCY_KEY = "x-request-id", "idempotency-key"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Headers:
    """Values of the headers of a call.

    - `authorizations`: the number of `authorization` headers.
    - `traceparent`: the span that the call belongs to, as the caller wrote it; empty: none. No other header of tracing
      is read: `tracestate` and `baggage` are free text.
    - `idempotency_key`: as the caller wrote it; several are joined by commas. Empty: none.
    """

    authorization: str
    authorizations: int
    request_id: str
    traceparent: str = ""
    idempotency_key: str = ""


def read_headers(given: Iterable[tuple[str, str | bytes]]) -> Headers:
    """Reads headers; their names must be in lower case. Replaces a request id that is not safe to log."""
    sent, request_id, traceparent, keys = [], "", "", []
    for name, value in given:
        if name == "authorization":
            sent.append(str(value))
        elif name == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            request_id = value
        elif name == TRACEPARENT:
            traceparent = str(value)
        elif name == IDEMPOTENCY_KEY:
            keys.append(str(value))
    request_id = request_id or secrets.token_hex(8)
    return Headers(sent[0] if sent else "", len(sent), request_id, traceparent, ", ".join(keys))


class CallContext(Protocol):
    """One call of one transport. All methods are called in the event loop, by the task that handles the call.

    Messages are bytes here, in the transport's own encoding, so that their size counts before they are parsed.
    """

    @property
    def transport(self) -> str:
        """Name of the transport, from a closed set: `grpc`, `http`, `in_process`."""

    @property
    def door(self) -> Door:
        """Through which door of the transport the call came, for traces."""

    @property
    def headers(self) -> Headers:
        """The headers of the call. Available before any message."""

    @property
    def peer(self) -> str:
        """Address of the connection in gRPC's notation: `ipv4:192.0.2.1:4711`."""

    @property
    def judged_before(self) -> bool:
        """Whether another process of this server has counted the call, and forwarded it: it counts once."""

    @property
    def sends_later(self) -> bool:
        """Whether `send` returns at once, and the transport itself ends a call whose peer does not take the response
        within `send_s`."""

    def certificate_names(self) -> tuple[str, ...]:
        """Names in the client certificate that the transport has verified; empty if there is none."""

    def check_certificate(self) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) if the client certificate has expired or was revoked."""

    def time_remaining(self) -> float | None:
        """Seconds until the deadline of the caller; None if it set none."""

    async def read(self) -> bytes | None:
        """Returns the next message as bytes, or None at the end. Reads nothing ahead. May be cancelled."""

    async def parse(self, raw: bytes) -> Any:
        """Parses a request message. Raises ServiceError (ARGUMENT_INVALID)."""

    async def serialize(self, response: Any) -> bytes:
        """Serializes a response message."""

    async def send(self, raw: bytes) -> None:
        """Sends a message. Returns once the peer has taken it, or at once: see `sends_later`. May be cancelled."""

    def drop(self) -> None:
        """Ends a call whose peer does not read, and frees what it holds."""

    def on_done(self, callback: Callable[[], object]) -> None:
        """Calls `callback` once the peer has taken the whole response or has disconnected."""

    def fail(self, error: ServiceError) -> None:
        """Ends the call with an error."""
