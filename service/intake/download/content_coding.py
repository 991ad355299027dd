"""Decompresses response bodies in small pieces, within limits.

Requests ask for uncompressed bodies, but some hosts compress anyway.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import brotli

_PIECE = 64 * 1024
_MAX_CODINGS = 3
_IDENTITY_NAMES = frozenset({"", "identity", "none", "binary", "utf-8", "8bit"})  # some hosts send these for "identity"
_GZIP_MAGIC = b"\x1f\x8b"


class CodingUnknown(Exception):
    """The host uses an unsupported content coding. The message is its name."""


class CodingDamaged(Exception):
    """The body does not match its content coding, or is truncated."""


class Decoder(Protocol):
    """One layer of compression."""

    def feed(self, part: bytes) -> Iterator[bytes]:
        """Yields the decompressed bytes of the next part, in pieces of bounded size. Raises CodingDamaged."""

    def end(self) -> None:
        """Marks the end of the body. Raises CodingDamaged if it is incomplete."""


def decoders(header: str) -> list[Decoder]:
    """The layers of a `Content-Encoding` header, outermost first. Raises CodingUnknown."""
    names = [n for n in (part.strip().lower() for part in header.split(",")) if n not in _IDENTITY_NAMES]
    if len(names) > _MAX_CODINGS:
        raise CodingUnknown(f"{len(names)} layers")
    return [_decoder(name) for name in reversed(names)]


def inflated(part: bytes, layers: list[Decoder]) -> Iterator[bytes]:
    """Passes a part of a body through all layers. Raises CodingDamaged."""
    pieces: Iterable[bytes] = (part,)
    for layer in layers:
        pieces = _through(pieces, layer)
    yield from pieces


def _through(pieces: Iterable[bytes], layer: Decoder) -> Iterator[bytes]:
    for piece in pieces:
        yield from layer.feed(piece)


def _decoder(name: str) -> Decoder:
    if name in ("gzip", "x-gzip"):
        return _Gzip()
    if name == "deflate":
        return _Deflate()
    if name == "br":
        return _Brotli()
    raise CodingUnknown(name[:40])


class _Gzip:
    """gzip with any number of members.

    A body without the gzip magic bytes is passed on unchanged: some hosts set the header by the file name alone.
    """

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)
        self._begun, self._plain, self._head = False, False, b""

    def feed(self, part: bytes) -> Iterator[bytes]:
        if not self._begun:
            self._head += part
            if len(self._head) < len(_GZIP_MAGIC):
                return
            part, self._begun, self._head = self._head, True, b""
            self._plain = not part.startswith(_GZIP_MAGIC)
        if self._plain:
            yield part
            return
        while part:
            if self._inflate.eof:
                if not part.startswith(_GZIP_MAGIC[:1]):
                    return  # padding after the last member
                self._inflate = zlib.decompressobj(31)
            yield from _steps(self._inflate, part)
            part = self._inflate.unused_data

    def end(self) -> None:
        if not self._plain and self._begun and not self._inflate.eof:
            raise CodingDamaged


class _Deflate:
    """zlib, or the raw deflate that some hosts send under that name."""

    def __init__(self) -> None:
        self._head = b""
        self._inflate: zlib._Decompress | None = None

    def feed(self, part: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            self._head += part
            if len(self._head) < 2:
                return
            part, self._head = self._head, b""
            wrapped = part[0] & 0x0F == 8 and int.from_bytes(part[:2], "big") % 31 == 0
            self._inflate = zlib.decompressobj(15 if wrapped else -15)
        if not self._inflate.eof:
            yield from _steps(self._inflate, part)

    def end(self) -> None:
        if self._head or (self._inflate is not None and not self._inflate.eof):
            raise CodingDamaged


class _Brotli:
    def __init__(self) -> None:
        self._inflate = brotli.Decompressor()
        self._begun = False

    def feed(self, part: bytes) -> Iterator[bytes]:
        self._begun = True
        try:
            piece = self._inflate.process(part, output_buffer_limit=_PIECE)
            while piece or not self._inflate.can_accept_more_data():
                yield piece
                piece = self._inflate.process(b"", output_buffer_limit=_PIECE)
        except brotli.error:
            raise CodingDamaged from None

    def end(self) -> None:
        if self._begun and not self._inflate.is_finished():
            raise CodingDamaged


def _steps(inflate: zlib._Decompress, part: bytes) -> Iterator[bytes]:
    try:
        while part and not inflate.eof:
            piece = inflate.decompress(part, _PIECE)
            part = inflate.unconsumed_tail
            yield piece
        while not inflate.eof and (piece := inflate.decompress(b"", _PIECE)):
            yield piece
    except zlib.error:
        raise CodingDamaged from None
