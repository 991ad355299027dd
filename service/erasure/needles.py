"""What of an erased record is looked for: byte strings that its vector leaves where it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from index import Frame

PIECE = 32  # bytes of a vector that are looked for together
_BEGINNING = 8  # bytes of a piece that are compared first


class VectorPieces:
    """Cuts vectors into what is looked for: as they are stored, and in half precision as each frame sees them. A row
    may be spread over pages, its pieces are not all."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = [None, *frames]

    def of(self, vectors: np.ndarray) -> dict[bytes, str]:
        """The pieces of vectors, float32, shape (n, dimension), with what each is."""
        found = {}
        for what, rows in self._stored(vectors):
            for content in rows:
                for start in _starts(len(content)):
                    piece = content[start : start + PIECE].tobytes()
                    if any(piece):
                        found[piece] = what
        return found

    def rows_with(self, vectors: np.ndarray, beginnings: np.ndarray) -> list[int]:
        """Which of the vectors have a piece that begins as one of `beginnings` (uint64) does."""
        mask = np.zeros(len(vectors), bool)
        for _, rows in self._stored(vectors):
            for start in _starts(rows.shape[1]):
                words = np.ascontiguousarray(rows[:, start : start + _BEGINNING]).view("<u8").ravel()
                mask |= np.isin(words, beginnings)
        return [int(row) for row in np.flatnonzero(mask)]

    def _stored(self, vectors: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """The bytes of the rows, shape (n, bytes), with what they are, for each way in which they are stored."""
        if not len(vectors):
            return
        yield "a stored vector", _bytes(vectors.astype("<f4"))
        for frame in self._frames:
            if frame is None:
                yield "a vector in half precision", _bytes(vectors.astype("<f2"))
            elif frame.catalogue_mean.shape[0] == vectors.shape[1]:
                yield "a vector in half precision", _bytes(frame.rows(vectors)[0].astype("<f2"))


def beginnings_of(pieces: Sequence[bytes]) -> np.ndarray:
    """How pieces begin, for `rows_with`."""
    return np.array(sorted({int.from_bytes(p[:_BEGINNING], "little") for p in pieces}), np.uint64)


def _bytes(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)


def _starts(size: int) -> range:
    return range(0, size - PIECE + 1, max(PIECE, size // 6))
