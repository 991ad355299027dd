"""Feeds as shops publish them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from service.sync.feeds.model import FeedFormat, FeedOptions, Item, Problem
from service.sync.feeds.reader import read_feed

RSS = '<?xml version="1.0"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>\n'
Fields = Mapping[str, object]


def rss(items: Sequence[Fields]) -> bytes:
    """Google Merchant XML with all fields in the g: namespace. A list repeats its element."""
    parts = [RSS]
    for item in items:
        parts.append("<item>")
        for name, value in item.items():
            for one in value if isinstance(value, list) else [value]:
                parts.append(f"<g:{name}>{escape(str(one))}</g:{name}>")
        parts.append("</item>\n")
    return "".join([*parts, "</channel></rss>\n"]).encode()


def table(items: Sequence[Fields], delimiter: str = "\t") -> bytes:
    """A table with a header; lists separated by commas."""
    import csv

    names = list(dict.fromkeys(n for i in items for n in i))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(names)
    for item in items:
        writer.writerow([",".join(v) if isinstance(v := item.get(n, ""), list) else v for n in names])
    return out.getvalue().encode()


def jsonl(items: Sequence[Fields]) -> bytes:
    """A JSON object in each line."""
    return "".join(json.dumps(i) + "\n" for i in items).encode()


def read(content: bytes, options: FeedOptions | None = None) -> tuple[FeedFormat, list[Item], list[Problem]]:
    """The complete result of a feed."""
    found, items = read_feed(io.BytesIO(content), len(content), options or FeedOptions())
    everything = list(items)
    return (
        found,
        [i for i in everything if isinstance(i, Item)],
        [p for p in everything if isinstance(p, Problem)],
    )


class MadeFile(io.RawIOBase):
    """A head, a filler repeated up to a length, and a tail, none of which is completely in memory."""

    def __init__(self, head: bytes, filler: bytes, tail: bytes, length: int) -> None:
        self._head, self._filler, self._tail = head, filler, tail
        self._repeated = length // len(filler) * len(filler)
        self.size, self._at = len(head) + self._repeated + len(tail), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        at, wanted = self._at, len(buffer)
        if at < len(self._head):
            part = self._head[at : at + wanted]
        elif at < len(self._head) + self._repeated:
            offset = at - len(self._head)
            begun = offset % len(self._filler)
            part = (self._filler * (wanted // len(self._filler) + 2))[begun : begun + wanted]
            part = part[: self._repeated - offset]
        else:
            part = self._tail[at - len(self._head) - self._repeated :][:wanted]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
