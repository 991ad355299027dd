"""Files that a process has open: how many a collection takes, and what happens where there are no more to be had."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TypeVar

from index.types.errors import StoreUnavailable

T = TypeVar("T")
FreeFiles = Callable[[], int]  # returns how many collections it closed
_NEEDED = 16
WRITER_FILES, READER_FILES = 3, 2  # a database, its log and its shared memory; the last is opened once


def few_left() -> bool:
    """Whether this process cannot open as many files as opening a collection takes."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_NEEDED))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    finally:
        for number in opened:
            os.close(number)
    return False


def with_room(opening: Callable[[], T], free_files: FreeFiles) -> T:
    """What `opening` opens. While no file can be opened and `free_files` closes some, it is tried again."""
    while True:
        try:
            return opening()
        except (StoreUnavailable, OSError):
            if not few_left() or not free_files():
                raise


def none_freed() -> int:
    """Frees no files, for what is used by itself."""
    return 0
