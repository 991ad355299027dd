"""Vectors in half precision: a matrix that grows at the end.

The memory is mapped, private and anonymous: it reaches no disk, is zero at first, and costs nothing until it is
written. So a matrix reserves more than it holds, and is copied only each time it has grown eightfold; readers keep the
mapping that they hold. Large ones ask for huge pages: a walk through a graph touches rows all over, and small pages
make every step wait for an address, too. A process that builds an ANN index is handed a copy under a file descriptor
without a name.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Float16Matrix = NDArray[np.float16]
_FIRST_ROWS, _RESERVED = 64, 8
_NO_RESERVE = 0x4000  # MAP_NORESERVE, which the module mmap names from Python 3.13 on
_HUGE_BYTES = 8 << 20
_WRITTEN_AT_ONCE = 1 << 30


class RowMatrix:
    """Rows of `width` numbers, float16 where nothing else is said. One writer, any number of readers: rows below a
    published length never change, but for those that are erased."""

    def __init__(self, width: int, capacity: int = _FIRST_ROWS, dtype: DTypeLike = np.float16) -> None:
        self.width = width
        self.rows = 0
        self._dtype = np.dtype(dtype)
        self._memory = self._mapped(max(capacity, 1))

    def append(self, rows: NDArray[Any]) -> None:
        """Adds rows, shape (n, width)."""
        needed = self.rows + len(rows)
        if needed > len(self._memory):
            larger = self._mapped(needed * _RESERVED)
            larger[: self.rows] = self._memory[: self.rows]
            self._memory = larger
        self._memory[self.rows : needed] = rows
        self.rows = needed

    def room_for(self, rows: int) -> memoryview:
        """The bytes of `rows` further rows, to be filled by the caller before anybody reads them; there must be
        capacity for them."""
        start, self.rows = self.rows, self.rows + rows
        return self._memory[start : self.rows].view(np.uint8).reshape(-1).data

    def view(self, start: int, end: int) -> NDArray[Any]:
        """Rows start..end in place; they stay valid as long as somebody holds them."""
        return self._memory[start:end]

    def erase(self, rows: NDArray[np.int64]) -> None:
        """Overwrites rows with zeros."""
        self._memory[rows] = 0

    def _mapped(self, capacity: int) -> NDArray[Any]:
        size = capacity * self.width * self._dtype.itemsize
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
        if size >= _HUGE_BYTES:
            with contextlib.suppress(OSError):  # a kernel without huge pages
                memory.madvise(mmap.MADV_HUGEPAGE)
        return np.frombuffer(memory, self._dtype).reshape(-1, self.width)


@contextlib.contextmanager
def handed_over(float16: Float16Matrix) -> Iterator[int]:
    """A file descriptor of a copy of the rows, for another process to map; the copy goes with the last to hold it."""
    descriptor = os.memfd_create("vectors", os.MFD_CLOEXEC)
    try:
        content, at = float16.view(np.uint8).reshape(-1).data, 0
        while at < len(content):
            at += os.pwrite(descriptor, content[at : at + _WRITTEN_AT_ONCE], at)
        yield descriptor
    finally:
        os.close(descriptor)


def mapped_float16(descriptor: int, size: int, dimension: int) -> Float16Matrix:
    """`size` bytes of a handed-over copy as rows."""
    return np.frombuffer(mmap.mmap(descriptor, size), np.float16).reshape(-1, dimension)
