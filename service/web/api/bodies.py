"""The body of a request: read as a stream, within a limit, into memory alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol

from service.errors import Reason, ServiceError
from service.web.api.content_coding import Inflater, is_compressed

_MOST_PARTS = 1100
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Part:
    """A part of a form. `name`: the name of its field."""

    name: str
    content: bytes


class Body:
    """The body of a request. Nothing is read before a method is called."""

    def __init__(self, request: web.Request, most_bytes: int) -> None:
        """`most_bytes`: maximum size of the whole body, or of each line, after decompression."""
        self._request, self._most = request, most_bytes
        self._waits = request.headers.get("Expect", "").lower() == "100-continue"
        self._inflater: Inflater | None = None
        self._lines: deque[bytes] = deque()
        self._rest: list[bytes] = []
        self.line_number = 0  # of the line that `line` returned last, from 1

    def check_coding(self) -> None:
        """Raises ServiceError (MEDIA_TYPE_UNSUPPORTED) if the body has another content coding than gzip."""
        if is_compressed(self._request) and self._inflater is None:
            self._inflater = Inflater()

    async def whole(self) -> bytes:
        """Returns all of it, decompressed. Raises ServiceError (BODY_TOO_LARGE, ARGUMENT_INVALID)."""
        length = self._request.content_length
        if length is not None and length > self._most:
            raise too_large(self._most)
        parts, size = [], 0
        async for chunk in self._chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > self._most:
                raise too_large(self._most)
        return b"".join(parts)

    async def line(self) -> bytes | None:
        """Returns the next line that is not empty, or None at the end.

        Raises as `whole` does. May be cancelled: what was read of a line is kept.
        """
        while True:
            while self._lines:
                self.line_number += 1
                if line := self._lines.popleft().strip():
                    return line
            chunk = await self._chunk()
            if not chunk:
                self.line_number += 1
                rest, self._rest = b"".join(self._rest).strip(), []
                return rest or None
            self._split(chunk)

    async def form(self) -> list[Part]:
        """Returns the parts of a form, which never reach a disk. Raises as `whole` does."""
        found: list[Part] = []
        size = 0
        try:
            reader = await self._form_reader()
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader) or not part.name or len(found) >= _MOST_PARTS:
                    raise ServiceError(Reason.ARGUMENT_INVALID, "the form has a part without a name, or too many parts")
                chunks = []
                while chunk := await part.read_chunk(_CHUNK):
                    chunks.append(bytes(chunk))
                    size += len(chunk)
                    if size > self._most:
                        raise too_large(self._most)
                found.append(Part(part.name, b"".join(chunks)))
        except ServiceError:
            raise
        except Exception:  # aiohttp's reader of forms fails in many ways on bytes that are none
            raise ServiceError(Reason.ARGUMENT_INVALID, "the body is not a valid multipart form") from None
        return found

    async def _form_reader(self) -> MultipartReader:
        if self._inflater is None:
            self._go_on()
            return await self._request.multipart()
        content = StreamReader(BaseProtocol(asyncio.get_running_loop()), limit=self._most)
        content.feed_data(await self.whole())
        content.feed_eof()
        return MultipartReader(self._request.headers, content)

    def _split(self, chunk: bytes) -> None:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._lines.append(b"".join((*self._rest, line)))
            self._rest = []
        self._rest.append(rest)
        if any(len(line) > self._most for line in self._lines) or sum(map(len, self._rest)) > self._most:
            raise too_large(self._most)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self._chunk():
            yield chunk

    async def _chunk(self) -> bytes:
        inflater = self._inflater
        if inflater is None:
            return await self._sent()
        await asyncio.sleep(0)  # other calls go on between two pieces; nothing is lost if this one is cancelled here
        while not (piece := inflater.piece()):
            sent = await self._sent()
            if not sent:
                inflater.end()
                return b""
            inflater.feed(sent)
        return piece

    async def _sent(self) -> bytes:
        self._go_on()
        try:
            return await self._request.content.readany()
        except (web.RequestPayloadError, ConnectionError):
            raise ServiceError(Reason.ARGUMENT_INVALID, "the body broke off") from None

    def _go_on(self) -> None:
        """Tells a client that waits for it to send the body: only now is its key known to be good."""
        if self._waits and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._waits = False


def too_large(most_bytes: int) -> ServiceError:
    """The error for a body, or a line of it, beyond the limit."""
    return ServiceError(Reason.BODY_TOO_LARGE, f"the body, or a line of it, is larger than {most_bytes} bytes")
