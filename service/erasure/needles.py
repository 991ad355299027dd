"""The byte sequences that a stored vector leaves, for the search for traces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from index import CenteringTransform

PIECE = 32  # length of a sequence in bytes
_BEGINNING = 8  # bytes of a piece that are compared first


class VectorPieces:
    """Cuts vectors into byte sequences to search for, as stored and in half precision under each centring transform.

    A row may be split over pages, so that several sequences of each row are used.
    """

    def __init__(self, frames: Sequence[CenteringTransform]) -> None:
        self._frames = [None, *frames]

    def of(self, vectors: np.ndarray) -> dict[bytes, str]:
        """The sequences of vectors (float32, shape (n, dimension)), each with a description."""
        found = {}
        for what, rows in self._stored(vectors):
            for content in rows:
                for start in _starts(len(content)):
                    piece = content[start : start + PIECE].tobytes()
                    if any(piece):
                        found[piece] = what
        return found

    def rows_with(self, vectors: np.ndarray, beginnings: np.ndarray) -> list[int]:
        """The indices of vectors that have a sequence with one of these beginnings (uint64)."""
        mask = np.zeros(len(vectors), bool)
        for _, rows in self._stored(vectors):
            for start in _starts(rows.shape[1]):
                words = np.ascontiguousarray(rows[:, start : start + _BEGINNING]).view("<u8").ravel()
                mask |= np.isin(words, beginnings)
        return [int(row) for row in np.flatnonzero(mask)]

    def _stored(self, vectors: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """For each stored representation: its description and the bytes of the rows, shape (n, bytes)."""
        if not len(vectors):
            return
        yield "a stored vector", _bytes(vectors.astype("<f4"))
        for frame in self._frames:
            if frame is None:
                yield "a vector in half precision", _bytes(vectors.astype("<f2"))
            elif frame.catalogue_mean.shape[0] == vectors.shape[1]:
                yield "a vector in half precision", _bytes(frame.rows(vectors)[0].astype("<f2"))


def beginnings_of(pieces: Sequence[bytes]) -> np.ndarray:
    """The beginnings of sequences, for `rows_with`."""
    return np.array(sorted({int.from_bytes(p[:_BEGINNING], "little") for p in pieces}), np.uint64)


def _bytes(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)


def _starts(size: int) -> range:
    return range(0, size - PIECE + 1, max(PIECE, size // 6))
