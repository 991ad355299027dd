"""What a SQLCipher database holds on the disk, page by page and decrypted: rows, and whatever is left in pages that no
table uses any more. For proving that something is gone; nothing is read through SQLite.

The write-ahead log is SQLite's: a header of 32 bytes, then frames of 24 bytes and a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from index.storage.page_format import format_of
from index.storage.regular_files import read_regular

_LOG_HEADER, _FRAME_HEADER = 32, 24


def plain_pages(path: Path, key: bytes) -> Iterator[bytes]:
    """The decrypted content of every page of a database, and of every frame of its write-ahead log. key: 32 bytes, as
    `index.storage.sqlite.connect` takes it. Raises OSError."""
    content, pages = read_regular(path), format_of(path, key)
    for start in range(0, len(content) - pages.size + 1, pages.size):
        yield pages.decrypted(content[start : start + pages.size], key, first=start == 0)
    log = path.with_name(path.name + "-wal")
    frames = read_regular(log)[_LOG_HEADER:] if log.exists() else b""
    step = _FRAME_HEADER + pages.size
    for start in range(0, len(frames) - step + 1, step):
        number = int.from_bytes(frames[start : start + 4], "big")
        yield pages.decrypted(frames[start + _FRAME_HEADER : start + step], key, first=number == 1)
