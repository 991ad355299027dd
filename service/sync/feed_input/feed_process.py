"""Parses feeds in a sandboxed process, like the decoding of pictures.

A bug in a parser, or a feed that exhausts memory, costs that feed and not the server. The process overwrites freed
memory, as the server does. It requests bytes block by block, and returns items in batches. All output is validated,
because a hostile feed may control the process.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

import orjson
from pydantic import TypeAdapter, ValidationError

from service.config import process_environment
from service.intake.sandbox import ProcessDied, ProcessTimedOut, SandboxedProcess
from service.runtime.process import decoder_environment
from service.sync.feeds.model import FeedError, FeedFormat, FeedOptions, Item, Problem
from service.sync.feeds.preview import Preview

_MODULE = f"{__package__}.feed_worker"
_BLOCK = 1 << 20
_BATCH = 16 << 20
_SMALL = 8 << 20  # feeds up to this size fragment the memory of a process little
_RETIRE_AFTER = 50
_STEP_S = 120.0  # time limit between two messages
_ITEM_FIELDS = (int, str, str, list, dict, bool, list, list)
_PROBLEM_FIELDS = (int, str, str)
_PREVIEW: TypeAdapter[Preview] = TypeAdapter(Preview)


class FeedReaders:
    """Processes that parse feeds.

    A process that has read a small feed to its end is reused once. All others are terminated. Any number of threads
    without an event loop may read concurrently.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: SandboxedProcess | None = None
        self._reads = 0
        self._closed = False

    def read_feed(
        self, raw: BinaryIO, size: int, options: FeedOptions, base_url: str
    ) -> tuple[FeedFormat, Iterator[Item | Problem]]:
        """The format and the items of a feed, as `feeds.reader.read_feed` returns them.

        Closing the items ends the process. Raises FeedError, and whatever `raw` raises.
        """
        reading = _Reading(self, raw, size, options, base_url, preview=0)
        try:
            found = FeedFormat(reading.next()["format"])
        except (KeyError, ValueError):
            reading.close()
            raise _damaged() from None
        except BaseException:
            reading.close()
            raise
        return found, _items(reading)

    def preview(self, raw: BinaryIO, size: int, options: FeedOptions, count: int = 20, base_url: str = "") -> Preview:
        """The preview of a feed, as `feeds.preview.preview` returns it."""
        reading = _Reading(self, raw, size, options, base_url, preview=count)
        try:
            seen = _PREVIEW.validate_python(orjson.loads(reading.take(reading.next())))
            reading.next()
            return seen
        except (ValidationError, ValueError):
            raise _damaged() from None
        finally:
            reading.close()

    async def close(self) -> None:
        """Ends the idle process."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, None, True
        if idle is not None:
            await idle.end()

    def take(self) -> tuple[SandboxedProcess, bool]:
        """Returns a process, and whether it has read feeds before."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            return idle, True
        environment = decoder_environment(process_environment()) | {"PYTHONMALLOC": "malloc"}
        return SandboxedProcess(_MODULE, _BLOCK, _BATCH, environment), False

    def keep(self, process: SandboxedProcess, size: int) -> bool:
        """Keeps a process for the next feed if it is still fit for one, and returns whether it does.

        `size`: bytes of the feed that it has read to its end.
        """
        with self._lock:
            self._reads += 1
            if self._idle is not None or self._closed or size > _SMALL or self._reads % _RETIRE_AFTER == 0:
                return False
            self._idle = process
            return True


def _items(reading: _Reading) -> Iterator[Item | Problem]:
    try:
        while not (answer := reading.next()).get("end"):
            for line in reading.take(answer).split(b"\n"):
                yield _item(line)
    finally:
        reading.close()


class _Reading:
    """One feed in one process."""

    def __init__(
        self, readers: FeedReaders, raw: BinaryIO, size: int, options: FeedOptions, base_url: str, *, preview: int
    ) -> None:
        self._readers, self._raw, self._size = readers, raw, size
        self._runner = asyncio.Runner()
        self._process, self._used_before = readers.take()
        self._ended = False
        self._message: dict[str, object] = {
            "size": size, "options": asdict(options), "base_url": base_url, "preview": preview,
        }  # fmt: skip

    def next(self) -> dict[str, Any]:
        """The next message that is not a request for bytes. Raises FeedError."""
        payload = b""
        while True:
            answer, _ = self._call(payload)
            if "reason" in answer:
                raise FeedError(str(answer["reason"])[:40], str(answer.get("message", ""))[:2000])
            self._message, self._used_before = {}, False
            if "want" not in answer:
                self._ended = bool(answer.get("end"))
                return answer
            payload = self._block(answer)
            self._message = {"given": len(payload)}

    def take(self, answer: dict[str, Any]) -> bytes:
        """The batch that a message announced."""
        size = answer.get("batch")
        if not isinstance(size, int) or not 0 < size <= _BATCH:
            raise _damaged()
        _, content = self._call(b"", size)
        self._message = {}
        return content

    def close(self) -> None:
        """Returns the process for reuse, or ends it if the feed was not read to its end."""
        if self._process.alive and not (self._ended and self._readers.keep(self._process, self._size)):
            self._runner.run(self._process.end())
        self._runner.close()

    def _call(self, payload: bytes, result_bytes: int = 0) -> tuple[dict[str, Any], bytes]:
        message = json.dumps(self._message).encode()
        try:
            raw_answer, result = self._runner.run(self._process.call(message, payload, result_bytes, _STEP_S))
            answer = json.loads(raw_answer)
        except ProcessTimedOut:
            raise FeedError("FEED_DAMAGED", f"reading the feed made no progress for {_STEP_S:g} s") from None
        except ProcessDied:
            if not self._used_before:
                raise _damaged() from None
            self._process, self._used_before = self._readers.take()  # the process died while it was idle
            return self._call(payload, result_bytes)
        except ValueError:
            raise _damaged() from None
        if not isinstance(answer, dict):
            raise _damaged()
        content = result.tobytes()
        result[:] = 0  # NumPy reuses small buffers without clearing them
        return answer, content

    def _block(self, answer: dict[str, Any]) -> bytes:
        offset, size = answer["want"], answer.get("size")
        if not isinstance(offset, int) or not isinstance(size, int) or offset < 0 or not 0 <= size <= _BLOCK:
            raise _damaged()
        self._raw.seek(offset)
        return self._raw.read(size)


def _item(line: bytes) -> Item | Problem:
    try:
        fields = orjson.loads(line)
    except ValueError:
        fields = _parsed(line)  # text that is not valid Unicode
    if not isinstance(fields, list):
        raise _damaged()
    if len(fields) == len(_PROBLEM_FIELDS) and _fit(fields, _PROBLEM_FIELDS):
        return Problem(*fields)
    if len(fields) != len(_ITEM_FIELDS) or not _fit(fields, _ITEM_FIELDS):
        raise _damaged()
    number, item_id, product_id, pictures, attributes, deleted, left_out, notes = fields
    if not all(isinstance(v, str) for v in (*pictures, *left_out, *notes)):
        raise _damaged()
    values = {name: _value(value) for name, value in attributes.items()}
    return Item(number, item_id, product_id, tuple(pictures), values, deleted, tuple(left_out), tuple(notes))


def _value(value: object) -> Any:
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if not isinstance(value, str | bool | int | float):
        raise _damaged()
    return value


def _fit(fields: list[object], kinds: tuple[type, ...]) -> bool:
    return all(type(value) is kind for value, kind in zip(fields, kinds, strict=True))


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise _damaged() from None


def _damaged() -> FeedError:
    return FeedError("FEED_DAMAGED", "the process that read the feed crashed, or exceeded its memory limit")
