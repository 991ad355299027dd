"""gzip on the API: bodies of requests, with bounded size, and of responses."""

from __future__ import annotations

import re
import zlib

from aiohttp import web

from service.errors import Reason, ServiceError

PIECE_BYTES = 64 * 1024
_LEAST_BYTES = 16 * 1024  # smaller responses gain less than the time that they take
_ON_LOOP_BYTES = 128 * 1024  # a larger response is compressed in a thread
_GZIP = ("gzip", "x-gzip")
_ACCEPTED = re.compile(r"\s*(x-gzip|gzip|\*)\s*(?:;\s*q=([0-9.]{1,5})\s*)?", re.IGNORECASE | re.ASCII)


class Inflater:
    """Decompresses a gzip body of any number of members, in pieces of at most PIECE_BYTES."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)
        self._left = b""
        self._fed = False

    def feed(self, compressed: bytes) -> None:
        """Adds a part of the body."""
        self._left += compressed
        self._fed = self._fed or bool(compressed)

    def piece(self) -> bytes:
        """Returns the next piece; empty: more input is needed. Raises ServiceError (ARGUMENT_INVALID)."""
        while True:
            if self._inflate.eof and self._left:
                self._inflate = zlib.decompressobj(31)
            if self._inflate.eof:
                return b""
            try:
                piece = self._inflate.decompress(self._left, PIECE_BYTES)
            except zlib.error:
                raise _damaged() from None
            self._left = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if piece or not self._left:
                return piece

    def end(self) -> None:
        """Raises ServiceError (ARGUMENT_INVALID) if the body is not complete."""
        if self._fed and not self._inflate.eof:
            raise _damaged()


def is_compressed(request: web.Request) -> bool:
    """Whether the body of a request is gzip. Raises ServiceError (MEDIA_TYPE_UNSUPPORTED) for other codings."""
    given = ",".join(request.headers.getall("Content-Encoding", [])).split(",")
    codings = [name for name in (part.strip().lower() for part in given) if name not in ("", "identity")]
    if len(codings) > 1 or (codings and codings[0] not in _GZIP):
        raise ServiceError(Reason.MEDIA_TYPE_UNSUPPORTED, "send the body with `content-encoding: gzip`, or without one")
    return bool(codings)


def compress(response: web.Response, request: web.Request) -> None:
    """Has a response compressed if it is large and the client accepts gzip.

    Calls without a key are excluded: a browser presents its client certificate by itself, so a web page of somebody
    else could make it send requests and learn from the sizes of the responses what they contain (BREACH).
    """
    if not isinstance(response.body, bytes) or len(response.body) < _LEAST_BYTES:
        return
    response.headers["Vary"] = "Accept-Encoding"
    if "Authorization" in request.headers and accepts_gzip(request):
        response.enable_compression(web.ContentCoding.gzip)


def json_response(body: bytes, headers: dict[str, str]) -> web.Response:
    """A response that is compressed in a thread if it is large."""
    return web.Response(body=body, headers=headers, zlib_executor_size=_ON_LOOP_BYTES)


def accepts_gzip(request: web.Request) -> bool:
    """Whether the client of a request accepts a response in gzip."""
    weights: dict[str, float] = {}
    for part in ",".join(request.headers.getall("Accept-Encoding", [])).split(","):
        if found := _ACCEPTED.fullmatch(part):
            try:
                weights[found[1].lower()] = float(found[2] or 1)
            except ValueError:
                continue
    given = [weights[name] for name in _GZIP if name in weights] or [weights.get("*", 0.0)]
    return max(given) > 0


def _damaged() -> ServiceError:
    return ServiceError(Reason.ARGUMENT_INVALID, "the body is not valid gzip, or broke off")
