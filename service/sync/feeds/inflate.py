"""Decompresses feeds: gzip, and zip with a single file, with limits on the decompressed size."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from typing import Any, BinaryIO

from service.sync.feeds.model import FeedError
from service.sync.feeds.other_files import refuse_office_documents

MAX_FEED_BYTES = 4 << 30
_MAX_RATIO = 100
_ALWAYS_ALLOWED = 16 << 20


def inflated(raw: BinaryIO, size: int) -> io.BufferedReader:
    """The decompressed feed. `raw` must be seekable and have `size` bytes. Raises FeedError, also in later reads."""
    raw.seek(0)
    head = raw.read(4)
    raw.seek(0)
    limit = min(MAX_FEED_BYTES, max(_ALWAYS_ALLOWED, size * _MAX_RATIO))
    if head[:2] == b"\x1f\x8b":
        return io.BufferedReader(_Guarded(gzip.GzipFile(fileobj=raw), limit), 1 << 16)
    if head == b"PK\x03\x04":
        return io.BufferedReader(_Guarded(_only_member(raw), limit), 1 << 16)
    return io.BufferedReader(_Guarded(raw, MAX_FEED_BYTES), 1 << 16)


def _only_member(raw: BinaryIO) -> BinaryIO:
    try:
        archive = zipfile.ZipFile(raw)
        names = [i for i in archive.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX/")]
        refuse_office_documents([n.filename for n in names])
        if len(names) != 1:
            raise FeedError(
                "FEED_DAMAGED", f"the zip archive contains {len(names)} files; a feed must be a single file"
            )
        if names[0].flag_bits & 1:
            raise FeedError("FEED_DAMAGED", "the zip archive is encrypted")
        return archive.open(names[0])  # type: ignore[return-value]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise FeedError("FEED_TRUNCATED", f"the zip archive is damaged or truncated: {error}") from None


class _Guarded(io.RawIOBase):
    """Counts decompressed bytes, and converts errors to FeedError."""

    def __init__(self, source: BinaryIO | gzip.GzipFile, limit: int) -> None:
        self._source, self._left = source, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        try:
            part = self._source.read(len(view))
        except EOFError:
            raise FeedError("FEED_TRUNCATED", "the compressed feed is truncated") from None
        except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise FeedError("FEED_DAMAGED", f"the compressed feed is damaged: {error}") from None
        self._left -= len(part)
        if self._left < 0:
            raise FeedError(
                "FEED_TOO_LARGE",
                "the decompressed feed is larger than 4 GiB, or more than a hundred times its compressed size",
            )
        view[: len(part)] = part
        return len(part)
