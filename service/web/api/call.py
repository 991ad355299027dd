"""A call over HTTP, as `CallContext` describes it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
from aiohttp import web

from service.calls.binary import message_of, parse_binary
from service.calls.context import REQUEST_ID_KEY, Headers
from service.errors import Reason, ServiceError
from service.tracing.allowed import Door
from service.web.api.bodies import Body
from service.web.api.content_coding import compress, json_response
from service.web.api.errors import HEADERS, JSON_TYPE, error_answer, error_object
from service.web.api.requests import RequestReader
from service.web.api.routes import Route
from service.web.proto_json.codec import Codec
from service.web.tls import NO_CERTIFICATE, ClientCertificate

_BINARY_TYPES = ("application/proto", "application/x-protobuf")
_LINE_TYPES = ("application/x-ndjson", "application/jsonl")
_EVENTS_TYPE = "text/event-stream"
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)s?", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)
_LAST_WORDS_S = 5.0


class _Sent(Enum):
    """Kinds of request bodies."""

    JSON = "JSON"
    BINARY = "protobuf's binary encoding"
    PICTURE = "a picture"
    FORM = "a form"


@dataclass(frozen=True)
class Incoming:
    """A request, and the route of its path.

    - `peer`: address of the client, as gRPC writes it.
    - `parameters`: names and values of the query string.
    - `certificate`: that the client presented.
    """

    request: web.Request
    route: Route
    headers: Headers
    peer: str
    parameters: tuple[tuple[str, str], ...]
    certificate: ClientCertificate = NO_CERTIFICATE


class HttpCall:
    """One request over HTTP, and its response. Create it in the task that handles the request."""

    transport = "http"
    door = Door.HTTP
    sends_later = judged_before = False
    _compresses = True  # whether large responses shrink much

    def __init__(self, incoming: Incoming, codec: Codec, message_bytes: int) -> None:
        """`codec`: for the form of JSON that the route uses. `message_bytes`: maximum size of one message."""
        self.headers, self.peer = incoming.headers, incoming.peer
        self.gone = False  # whether the peer has left
        self._certificate = incoming.certificate
        self._request, self._route, self._codec = incoming.request, incoming.route, codec
        self._reader = RequestReader(incoming.route, incoming.parameters, codec)
        self._body = Body(incoming.request, message_bytes)
        self._media = incoming.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self._sent, self._was_read = _Sent.JSON, False
        self._response: web.StreamResponse | None = None
        self._error: ServiceError | None = None
        self._callbacks: list[Callable[[], object]] = []
        self._began = asyncio.get_running_loop().time()
        self._events = _EVENTS_TYPE in incoming.request.headers.get("Accept", "")

    def certificate_names(self) -> tuple[str, ...]:
        """Returns the names in the client's certificate; empty if there is none."""
        return self._certificate.names()

    def check_certificate(self) -> None:
        """Raises ServiceError (CERTIFICATE_INVALID) if it was revoked, has expired, or is needed and missing."""
        self._certificate.check()

    def time_remaining(self) -> float | None:
        """Returns the seconds until the deadline in `Connect-Timeout-Ms` or `X-Timeout`; None if there is none.

        Raises ServiceError (ARGUMENT_INVALID).
        """
        seconds = _timeout(self._request)
        return None if seconds is None else self._began + seconds - asyncio.get_running_loop().time()

    async def read(self) -> bytes | None:
        """Returns the body, or the next line of a stream; None at the end. A form is returned as a request message in
        protobuf's binary encoding. Raises ServiceError."""
        self._body.check_coding()
        if self._route.method.kind.streams_requests:
            self._check_lines()
            return await self._body.line()
        if self._was_read:
            return None
        self._was_read, self._sent = True, self._kind()
        if self._sent is _Sent.FORM:
            message = await self._reader.from_form(await self._body.form())
            return message.SerializeToString()  # type: ignore[no-any-return]
        return await self._body.whole()

    async def parse(self, raw: bytes) -> Any:
        """Returns the request message. Raises ServiceError (ARGUMENT_INVALID, FIELD_UNKNOWN)."""
        if self._sent in (_Sent.BINARY, _Sent.FORM):
            return parse_binary(self._route.method, raw)
        if self._sent is _Sent.PICTURE:
            return self._reader.from_picture(raw)
        try:
            return await self._reader.from_json(raw)
        except ServiceError as error:
            if not self._body.line_number:
                raise
            message = f"line {self._body.line_number} of the stream: {error.message}"
            raise ServiceError(error.reason, message, field=error.field) from None

    async def serialize(self, response: Any) -> bytes:
        """Returns the response in the encoding of the request: JSON or binary; in a stream, a line or an event."""
        if self._sent is _Sent.BINARY:
            return response.SerializeToString()  # type: ignore[no-any-return]
        raw = await self._codec.write_beside(message_of(response))
        return self._framed(raw) if self._route.method.kind.streams_responses else raw

    async def send(self, raw: bytes) -> None:
        """Sends a response. Returns once the connection has taken it.

        Raises CancelledError if the peer has gone.
        """
        try:
            if self._route.method.kind.streams_responses:
                await (await self._stream()).write(raw)
            else:
                await self._answer(raw)
        except ConnectionError:
            self.gone = True
            raise asyncio.CancelledError from None

    def drop(self) -> None:
        """Closes the connection at once."""
        self.gone = True
        if self._request.transport is not None:
            self._request.transport.abort()

    def on_done(self, callback: Callable[[], object]) -> None:
        """Calls `callback` once the peer has taken the whole response or has gone."""
        self._callbacks.append(callback)

    def fail(self, error: ServiceError) -> None:
        """Ends the call with an error, which `end` sends."""
        self._error = error

    async def end(self) -> web.StreamResponse:
        """Sends the error or the end of the stream, unless the response is complete. Returns the response."""
        if self._error is not None and self._response is None:
            return self.refusal(self._error)
        if self._response is None:
            await self._stream()
        response = self._response
        assert response is not None
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                if self._error is not None:
                    await response.write(self._framed(self._error_line(), event="error"))
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            self.drop()
        return response

    def refusal(self, error: ServiceError) -> web.Response:
        """Returns the response for an error."""
        return error_response(error, self.headers.request_id, connect=not self._route.plain)

    def done(self) -> None:
        """Frees what the call held. Call it when the request is over."""
        for callback in self._callbacks:
            callback()

    async def _answer(self, raw: bytes) -> None:
        kind = "application/proto" if self._sent is _Sent.BINARY else JSON_TYPE
        response = json_response(raw, {**self._headers(), "Content-Type": kind})
        if self._compresses and self._sent is not _Sent.BINARY:
            compress(response, self._request)
        self._response = response
        await response.prepare(self._request)
        await response.write_eof()

    async def _stream(self) -> web.StreamResponse:
        if self._response is None:
            kind = _EVENTS_TYPE if self._events else _LINE_TYPES[0]
            headers = {**self._headers(), "Content-Type": kind, "X-Accel-Buffering": "no"}
            self._response = web.StreamResponse(headers=headers)
            await self._response.prepare(self._request)
        return self._response

    def _headers(self) -> dict[str, str]:
        return {**HEADERS, REQUEST_ID_KEY: self.headers.request_id}

    def _framed(self, raw: bytes, event: str = "") -> bytes:
        if not self._events:
            return raw + b"\n"
        return (f"event: {event}\n".encode() if event else b"") + b"data: " + raw + b"\n\n"

    def _error_line(self) -> bytes:
        assert self._error is not None
        found = error_object(self._error, self.headers.request_id, connect=not self._route.plain)
        return orjson.dumps({"error": found})

    def _kind(self) -> _Sent:
        """Returns the kind of the body. Raises ServiceError (MEDIA_TYPE_UNSUPPORTED)."""
        if self._media == JSON_TYPE or (not self._media and not self._request.body_exists):
            return _Sent.JSON
        if self._media in _BINARY_TYPES and not self._route.plain and not self._route.method.kind.streams_responses:
            return _Sent.BINARY
        if self._route.plain and (self._media.startswith("image/") or self._media == "application/octet-stream"):
            return _Sent.PICTURE
        if self._route.plain and self._media == "multipart/form-data":
            return _Sent.FORM
        takes_pictures = self._route.path is not None and self._route.path.pictures
        more = ", or a picture with its own, such as image/jpeg" if takes_pictures else ""
        raise _unsupported(f"send JSON with `content-type: {JSON_TYPE}`{more}")

    def _check_lines(self) -> None:
        if self._media and self._media not in (*_LINE_TYPES, JSON_TYPE):
            raise _unsupported(f"send one JSON object per line, with `content-type: {_LINE_TYPES[0]}`")


def error_response(error: ServiceError, request_id: str, *, connect: bool) -> web.Response:
    """Returns the response for an error. `connect`: in the form of Connect's unary protocol."""
    answer = error_answer(error, request_id, connect=connect)
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _unsupported(message: str) -> ServiceError:
    return ServiceError(Reason.MEDIA_TYPE_UNSUPPORTED, message)


def _timeout(request: web.Request) -> float | None:
    """Returns the caller's timeout in seconds. Raises ServiceError (ARGUMENT_INVALID)."""
    for name, pattern, unit_s in (("Connect-Timeout-Ms", _MILLISECONDS, 0.001), ("X-Timeout", _SECONDS, 1.0)):
        text = request.headers.get(name)
        if text is None:
            continue
        found = pattern.fullmatch(text.strip())
        if found is None:
            unit = "milliseconds" if unit_s < 1 else "seconds"
            raise ServiceError(Reason.ARGUMENT_INVALID, f"the header {name} must be a number of {unit}", field=name)
        return float(found[found.lastindex or 0]) * unit_s
    return None
