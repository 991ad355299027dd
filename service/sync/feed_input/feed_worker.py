"""The program of the sandboxed feed parser: bytes of a feed in, items out. Started by `feed_process`.

It loads everything that needs a file, then confines itself, and only then reports that it is ready. It requests one
block of bytes at a time, and returns items in batches.
"""

from __future__ import annotations

import contextlib
import encodings
import importlib
import io
import json
import mmap
import os
import pkgutil
import socket
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, cast

import orjson
from pydantic import TypeAdapter

from service.intake.confinement import confine
from service.sync.feed_input.seekable import SeekableReader
from service.sync.feeds.model import FeedError, FeedOptions, Item, Problem
from service.sync.feeds.preview import Preview, preview
from service.sync.feeds.reader import read_feed

MOST_MEMORY = 64 << 20  # memory limit for a feed, in addition to the program itself
_MAX_MESSAGE = 16 * 1024
_AT_ONCE = 500
_BLOCK = 1 << 20
_OPTIONS: TypeAdapter[FeedOptions] = TypeAdapter(FeedOptions)
_PREVIEW: TypeAdapter[Preview] = TypeAdapter(Preview)
_SAMPLES = (
    b"id,title,image_link,price\n1,a,https://a.example/1.jpg,5 EUR\n",
    b'{"id": 1, "image_link": "https://a.example/1.jpg"}\n',
    b'{"products": [{"id": 1, "title": "a", "images": [{"src": "https://a.example/1.jpg"}], "variants": []}]}',
    b"Handle,Title,Image Src,Variant SKU,Option1 Name,Option1 Value\na,b,https://a.example/1.jpg,c,d,e\n",
    b"<rss xmlns:g='http://base.google.com/ns/1.0'><channel><item><g:id>1</g:id></item></channel></rss>",
)


class Channel:
    """The connection to the server: a socket for short messages, shared memory for content."""

    def __init__(self, server: socket.socket, payload: memoryview, result: memoryview) -> None:
        self._server, self._payload, self._result = server, payload, result

    def receive(self) -> dict[str, Any]:
        """The server's next message. Raises EOFError when the server has closed the socket."""
        message = self._server.recv(_MAX_MESSAGE)
        if not message:
            raise EOFError
        return cast(dict[str, Any], json.loads(message))

    def ask(self, **said: object) -> dict[str, Any]:
        """Sends a message, and returns the server's answer."""
        self._server.send(json.dumps(said).encode())
        return self.receive()

    def read(self, offset: int, size: int) -> bytes:
        """Requests bytes of the feed."""
        answer = self.ask(want=offset, size=min(size, len(self._payload)))
        return bytes(self._payload[: answer["given"]])

    def give(self, content: bytes) -> None:
        """Sends a batch: first its size, then its content."""
        self._result[: len(content)] = content
        self.ask(batch=len(content))
        self.ask(taken=True)


class _Remote(SeekableReader):
    """The feed as a seekable file whose bytes the server has."""

    def __init__(self, channel: Channel, size: int) -> None:
        super().__init__(size)
        self._channel = channel

    def _read_at(self, offset: int, most: int) -> bytes:
        return self._channel.read(offset, most)


def main() -> None:
    """Reads feeds, one after the other, until the server closes the socket."""
    channel, memory, payload_bytes, result_bytes = (int(a) for a in sys.argv[1:])
    shared = mmap.mmap(memory, payload_bytes + result_bytes)
    payload, result = memoryview(shared)[:payload_bytes], memoryview(shared)[payload_bytes:]
    _warm_up()
    with socket.socket(fileno=channel) as server, open(os.devnull, "wb") as nowhere:
        spoken = Channel(server, payload, result)
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
        confine(_used() + MOST_MEMORY)
        with contextlib.suppress(EOFError):
            last = _served(spoken, spoken.receive())
            while True:  # no data of a feed is held while waiting for the next one
                last = _served(spoken, spoken.ask(**last))


def _served(channel: Channel, job: dict[str, Any]) -> dict[str, object]:
    """Parses one feed. Returns the final message."""
    try:
        raw = cast(BinaryIO, io.BufferedReader(_Remote(channel, job["size"]), _BLOCK))
        options = _OPTIONS.validate_python(job["options"])
        if job["preview"]:
            channel.give(_PREVIEW.dump_json(preview(raw, job["size"], options, job["preview"], job["base_url"])))
        else:
            found, items = read_feed(raw, job["size"], options, job["base_url"])
            channel.ask(format=str(found))
            for batch in _batches(items):
                channel.give(batch)
        return {"end": True}
    except FeedError as error:
        return {"reason": error.reason, "message": str(error)[:2000]}
    except MemoryError:
        message = f"reading the feed needs more than {MOST_MEMORY >> 20} MiB of memory"
        return {"reason": "FEED_TOO_LARGE", "message": message}
    except EOFError:
        raise
    except Exception as error:  # a bug in a parser fails the feed, not the server
        return {"reason": "FEED_DAMAGED", "message": f"the feed cannot be read ({type(error).__name__})"}


def _batches(items: Iterable[Item | Problem]) -> Iterator[bytes]:
    """Items as JSON lines. Items read before an error are returned before it is raised."""
    lines: list[bytes] = []
    size = 0
    try:
        for item in items:
            lines.append(_line(item))
            size += len(lines[-1])
            if len(lines) == _AT_ONCE or size > 1 << 20:
                yield b"\n".join(lines)
                lines, size = [], 0
    except FeedError:
        if lines:
            yield b"\n".join(lines)
        raise
    if lines:
        yield b"\n".join(lines)


def _line(item: Item | Problem) -> bytes:
    try:
        return orjson.dumps(list(item))
    except TypeError:  # invalid Unicode, or a number that orjson does not support
        return json.dumps(list(item)).encode()


def _used() -> int:
    """Bytes of address space in use."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _warm_up() -> None:
    """Loads everything that is loaded on first use: all encodings, and the reader of each format."""
    for module in pkgutil.iter_modules(encodings.__path__):
        if module.name not in ("mbcs", "oem"):
            importlib.import_module(f"encodings.{module.name}")
    for sample in _SAMPLES:
        with contextlib.suppress(FeedError):
            _, items = read_feed(cast(BinaryIO, io.BytesIO(sample)), len(sample), FeedOptions())
            list(islice(items, 5))
            preview(cast(BinaryIO, io.BytesIO(sample)), len(sample), FeedOptions())


if __name__ == "__main__":
    main()
