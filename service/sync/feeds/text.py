"""Decodes bytes to text, in lines or blocks of bounded size."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import NamedTuple

from service.sync.feeds.encodings import Encoding
from service.sync.feeds.model import MAX_ITEM_CHARS

_BLOCK = 1 << 16
_ENDS = ("\n", "\r")


class Line(NamedTuple):
    """`number`: from 1. `text`: with its line break; only its beginning if `too_long`."""

    number: int
    text: str
    too_long: bool = False


class TextLines:
    """The lines of a feed, with their line breaks. `ended`: whether the last one had a line break."""

    def __init__(self, stream: io.BufferedReader, encoding: Encoding, limit: int = MAX_ITEM_CHARS) -> None:
        stream.read(encoding.mark)
        self._text = io.TextIOWrapper(stream, encoding.name, encoding.errors, newline="")
        self._limit, self._number = limit, 0
        self.ended = True

    def __iter__(self) -> TextLines:
        return self

    def __next__(self) -> Line:
        text = self._text.readline(self._limit)
        if not text:
            raise StopIteration
        self._number += 1
        too_long = len(text) >= self._limit and not text.endswith(_ENDS)
        last = text
        while too_long and last and not last.endswith(_ENDS):
            last = self._text.readline(_BLOCK) or ""
            text = text[:_BLOCK]
        self.ended = last.endswith(_ENDS)
        if self._number == 1:
            text = text.removeprefix("\ufeff")
        return Line(self._number, text.replace("\0", "") if "\0" in text else text, too_long)


def text_blocks(stream: io.BufferedReader, encoding: Encoding) -> Iterator[str]:
    """The text of a feed in blocks, without a byte order mark and leading blanks."""
    stream.read(encoding.mark)
    decoder = codecs.getincrementaldecoder(encoding.name)(encoding.errors)
    begun = False
    while True:
        block = stream.read(_BLOCK)
        text = decoder.decode(block, final=not block)
        if not begun:
            text = text.lstrip("\ufeff \t\r\n\0")
            begun = bool(text)
        if text:
            yield text
        if not block:
            return
