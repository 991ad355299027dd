"""From bytes to text."""

from __future__ import annotations

import codecs
import io

from service.sync.feeds.model import FeedError

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def encoding_of(head: bytes, wanted: str = "") -> str:
    """The encoding of a feed that begins so: as wanted, by its byte order mark, UTF-8, or else Windows-1252. Raises
    FeedError where nobody knows the wanted one."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if wanted:
        try:
            return codecs.lookup(wanted).name
        except LookupError:
            raise FeedError("FEED_DAMAGED", f"no encoding is called {wanted[:40]!r}") from None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


class TextLines:
    """Lines of a feed, with their ends. `number` is that of the last one, from 1; `ended` whether it had an end."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self._text, self._encoding = io.TextIOWrapper(stream, encoding, newline=""), encoding
        self.number = 0
        self.ended = True

    def __iter__(self) -> TextLines:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._text)
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                raise FeedError("FEED_TRUNCATED", f"the feed ends within line {self.number + 1}") from None
            message = f"line {self.number + 1} is not {self._encoding}; set the source's encoding, such as cp1252"
            raise FeedError("FEED_DAMAGED", message) from None
        self.number += 1
        self.ended = line.endswith(("\n", "\r"))
        return line.replace("\0", "")
