"""The base of files whose bytes come from somewhere else: seeking and reading, in terms of one method."""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from typing import Any


class SeekableReader(io.RawIOBase):
    """A file that is only read. size: bytes in it; it may grow before the first read."""

    def __init__(self, size: int = 0) -> None:
        self.size, self._at = size, 0

    @abstractmethod
    def _read_at(self, offset: int, most: int) -> bytes:
        """Bytes from `offset` on, below `size`: at least one, at most `most`."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        part = self._read_at(self._at, len(view)) if self._at < self.size else b""
        view[: len(part)] = part
        self._at += len(part)
        return len(part)
