"""Gives the disk back what deleted records took of a database.

SQLite keeps the pages of deleted rows for new ones, so a file never gets smaller by itself. Databases are made with
`auto_vacuum = INCREMENTAL`: their free pages can be moved to the end and cut off, a few at a time, beside other writes.
Older ones are rewritten once, where that is done in a second or two.
"""

from __future__ import annotations

import threading

from index.storage.sqlite import Connection

_LEAST_BYTES, _LEAST_SHARE = 8 << 20, 0.25
_PAGES_AT_ONCE = 256
_REWRITTEN_BYTES = 256 << 20
_INCREMENTAL = 2


def give_back_free_pages(connection: Connection, lock: threading.Lock) -> int:
    """Shrinks a database of which a quarter and 8 MiB are free; returns how many bytes the file is to lose, which it
    does when the write-ahead log is next moved into it. lock: the write lock, held for a piece at a time. Raises
    DatabaseError."""
    with lock:
        page_bytes, pages, free = (_number(connection, name) for name in ("page_size", "page_count", "freelist_count"))
        if free * page_bytes < _LEAST_BYTES or free < pages * _LEAST_SHARE:
            return 0
        if _number(connection, "auto_vacuum") != _INCREMENTAL:
            if (pages - free) * page_bytes > _REWRITTEN_BYTES:
                return 0
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")
            return free * page_bytes
    left = free
    while left:
        with lock:
            connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
            before, left = left, _number(connection, "freelist_count")
        if left >= before:
            break
    return (free - left) * page_bytes


def _number(connection: Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
