"""What a SQLCipher database holds on the disk, page by page and decrypted: rows, and whatever is left in pages that no
table uses any more. For proving that something is gone; nothing is read through SQLite.

The file format is SQLCipher 4's with its defaults: 4,096-byte pages, each ending in 80 bytes of which the first 16 are
the initialisation vector of AES-256-CBC; the first 16 bytes of the file are a salt. The write-ahead log is SQLite's:
a header of 32 bytes, then frames of 24 bytes and a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_PAGE, _RESERVE, _IV, _SALT = 4096, 80, 16, 16
_LOG_HEADER, _FRAME_HEADER = 32, 24


def plain_pages(path: Path, key: bytes) -> Iterator[bytes]:
    """The decrypted content of every page of a database, and of every frame of its write-ahead log. key: 32 bytes, as
    `index.sqlite.connect` takes it. Raises OSError."""
    content = path.read_bytes()
    for start in range(0, len(content) - _PAGE + 1, _PAGE):
        yield _decrypted(content[start : start + _PAGE], key, first=start == 0)
    log = path.with_name(path.name + "-wal")
    frames = log.read_bytes()[_LOG_HEADER:] if log.exists() else b""
    step = _FRAME_HEADER + _PAGE
    for start in range(0, len(frames) - step + 1, step):
        number = int.from_bytes(frames[start : start + 4], "big")
        yield _decrypted(frames[start + _FRAME_HEADER : start + step], key, first=number == 1)


def _decrypted(page: bytes, key: bytes, *, first: bool) -> bytes:
    body = page[_SALT if first else 0 : _PAGE - _RESERVE]
    vector = page[_PAGE - _RESERVE : _PAGE - _RESERVE + _IV]
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    return decryptor.update(body) + decryptor.finalize()
