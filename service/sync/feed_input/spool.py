"""Stores a feed between download and parsing, in an anonymous encrypted file.

The key exists only in this process, so that the feed can never be read from the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.sync.feed_input.seekable import SeekableReader

_BLOCK = 1 << 20
_TAG = 16


class Spool(SeekableReader):
    """Written once, from the start to `finish`, then read with seeking. Raises OSError if the disk is full."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._using = threading.Lock()  # a file that is closed while a thread writes may by then be another one
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`
        self._cipher = AESGCM(os.urandom(32))
        self._digest = hashlib.sha256()
        self._tail = bytearray()
        self._blocks = 0
        self._last = b""
        self._cached: tuple[int, bytes] = (-1, b"")

    def take(self, part: bytes) -> None:
        """Appends bytes."""
        self._digest.update(part)
        self._tail += part
        self.size += len(part)
        while len(self._tail) >= _BLOCK:
            self._put(bytes(self._tail[:_BLOCK]))
            del self._tail[:_BLOCK]
        self._last = part[-1:] or self._last

    def finish(self) -> str:
        """Ends writing. Returns the SHA-256 of the content in hexadecimal."""
        if self._tail:
            self._put(bytes(self._tail))
            self._tail.clear()
        return self._digest.hexdigest()

    @property
    def ends_in_newline(self) -> bool:
        """Whether the last byte is a line break."""
        return self._last in (b"\n", b"\r")

    def reader(self) -> io.BufferedReader:
        """A buffered reader from the start. Closing it closes the spool."""
        self.seek(0)
        return io.BufferedReader(self, 1 << 16)

    def _read_at(self, offset: int, most: int) -> bytes:
        number, start = divmod(offset, _BLOCK)
        return self._get(number)[start : start + most]

    def close(self) -> None:
        """Frees the disk space."""
        with self._using:
            self._file.close()
        super().close()

    def _put(self, block: bytes) -> None:
        sealed = self._cipher.encrypt(self._blocks.to_bytes(12, "big"), block, None)
        at = self._blocks * (_BLOCK + _TAG)
        with self._using:
            while sealed:
                written = os.pwrite(self._file.fileno(), sealed, at)
                sealed, at = sealed[written:], at + written
        self._blocks += 1

    def _get(self, number: int) -> bytes:
        if self._cached[0] != number:
            with self._using:
                sealed = os.pread(self._file.fileno(), _BLOCK + _TAG, number * (_BLOCK + _TAG))
            self._cached = (number, self._cipher.decrypt(number.to_bytes(12, "big"), sealed, None))
        return self._cached[1]
