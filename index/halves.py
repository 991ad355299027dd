"""Vectors in half precision: one matrix that grows at the end, in anonymous memory that another process can be handed.

The memory is a memfd: it has no name and reaches no disk, growing it copies nothing (a larger mapping of the same pages
takes over, readers keep the one they hold), and a process that builds a base from it is given the file descriptor.
"""

from __future__ import annotations

import mmap
import os
import weakref

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]
_FIRST_ROWS = 64


class HalfMatrix:
    """Rows of `dimension` float16. One writer, any number of readers: rows below a published length never change, but
    for those that are erased."""

    def __init__(self, dimension: int, capacity: int = _FIRST_ROWS) -> None:
        self.dimension = dimension
        self.rows = 0
        self._descriptor = os.memfd_create("vectors", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._memory = self._mapped(max(capacity, 1))

    def append(self, vectors: NDArray[np.floating]) -> None:
        """Adds rows, shape (n, dimension)."""
        needed = self.rows + len(vectors)
        if needed > len(self._memory):
            self._memory = self._mapped(max(needed, len(self._memory) * 2))
        self._memory[self.rows : needed] = vectors
        self.rows = needed

    def room_for(self, rows: int) -> memoryview:
        """The bytes of `rows` further rows, to be filled by the caller before anybody reads them."""
        needed = self.rows + rows
        if needed > len(self._memory):
            self._memory = self._mapped(needed)
        start, self.rows = self.rows, needed
        return self._memory[start:needed].view(np.uint8).reshape(-1).data

    def view(self, start: int, end: int) -> Halves:
        """Rows start..end in place; they stay valid as long as somebody holds them."""
        return self._memory[start:end]

    def erase(self, rows: NDArray[np.int64]) -> None:
        """Overwrites rows with zeros."""
        self._memory[rows] = 0

    def fileno(self) -> int:
        """The descriptor of the memory."""
        return self._descriptor

    def _mapped(self, capacity: int) -> Halves:
        size = capacity * self.dimension * 2
        os.ftruncate(self._descriptor, size)
        return mapped_halves(self._descriptor, size, self.dimension)


def mapped_halves(descriptor: int, size: int, dimension: int) -> Halves:
    """`size` bytes of a matrix's memory as rows, shared with all who map them."""
    return np.frombuffer(mmap.mmap(descriptor, size), np.float16).reshape(-1, dimension)
