"""How the pages of an encrypted database lie on the disk, and what is in them.

SQLCipher 4's format: each page ends in a reserve, whose first 16 bytes are the initialisation vector of AES-256-CBC and
whose next are the page's MAC; the first 16 bytes of the file are a salt. A database does not say outside its pages how
long these are; its first page, decrypted, does.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from index.storage.regular_files import open_regular

_IV, _SALT = 16, 16
_SIZE_AT, _RESERVE_AT = slice(0, 2), 4  # in the first page of a database, behind the salt
_READINGS = 3  # a page that is being written may be read half as it was


class PageFormat(NamedTuple):
    """size, reserve: bytes of a page, and at its end; mac: the algorithm's name in SQLCipher."""

    size: int
    reserve: int
    mac: str

    def decrypted(self, page: bytes, key: bytes, *, first: bool) -> bytes:
        """What is in a page, its reserve left out, and the salt where it is the `first` one. key: 32 bytes. No MAC is
        checked."""
        body, vector = page[_SALT if first else 0 : self.size - self.reserve], page[self.size - self.reserve :][:_IV]
        decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
        return decryptor.update(body) + decryptor.finalize()


NEWEST_PAGE_FORMAT = PageFormat(8192, 48, "HMAC_SHA256")
FORMATS = (NEWEST_PAGE_FORMAT, PageFormat(4096, 80, "HMAC_SHA512"))  # all that are read


def format_of(path: Path, key: bytes) -> PageFormat:
    """The format of a database; the newest where there is none yet, or one that no format fits. Raises OSError."""
    for _ in range(_READINGS):
        start = _start(path)
        for pages in FORMATS:
            if len(start) >= pages.size and _fits(pages, start[: pages.size], key):
                return pages
    return NEWEST_PAGE_FORMAT


def _start(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(max(f.size for f in FORMATS))
    except FileNotFoundError:
        return b""


def _fits(pages: PageFormat, first: bytes, key: bytes) -> bool:
    head = pages.decrypted(first, key, first=True)
    return int.from_bytes(head[_SIZE_AT], "big") == pages.size and head[_RESERVE_AT] == pages.reserve
