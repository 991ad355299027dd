"""What the files of a snapshot hold, and rows made of them again."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from index.columns import Columns
from index.errors import SnapshotDamaged
from index.growing import SlotTable
from index.halves import HalfMatrix
from index.learning import Frame
from index.payloads import CHUNK_ROWS, PackedChunk, Payloads
from index.rows import Rows
from index.view import View


def pack_vectors(view: View, start: int, end: int) -> bytes:
    """The vectors of slots start..end, float16, one row after another; rows that are not live are zeros."""
    dead = _dead(view, start, end)
    rows = view.halves[start:end]
    if len(dead):
        rows = rows.copy()
        rows[dead] = 0
    return rows.tobytes()


def pack_chunk(view: View, start: int, end: int) -> bytes:
    """The packed records of the slots: one offset more than there are (uint32), and the bytes; those that are not live
    are zeros."""
    chunk = view.payloads.chunk(start // CHUNK_ROWS, end - start).without(_dead(view, start, end))
    return chunk.offsets[: end - start + 1].tobytes() + bytes(chunk.content[: int(chunk.offsets[end - start])])


def pack_rows(view: View) -> bytes:
    """Row ids and sequence numbers (int64), product numbers (int32), the lengths that rows had before they were seen
    from a frame (float32, only where there is one), and the live rows as a Roaring bitmap."""
    arrays = (view.row_ids, view.sequences, view.products, view.lengths[: view.count])
    return b"".join((*(a.tobytes() for a in arrays), BitMap(view.live).serialize()))


def pack_columns(view: View) -> bytes:
    """The attributes of the live rows by value."""
    return view.columns.to_bytes(view.live)


class LoadingRows:
    """Rows that are being loaded: vectors go straight to where they will lie."""

    def __init__(self, count: int, dimension: int, frame: Frame | None) -> None:
        self._count, self._frame = count, frame
        self._matrix = HalfMatrix(dimension, max(count, 64))
        starts = range(0, count, CHUNK_ROWS)
        rooms = [self._matrix.room_for(min(CHUNK_ROWS, count - s)) for s in starts]
        self._rooms = {f"vectors-{number:05d}.enc": room for number, room in enumerate(rooms)}

    def destination(self, name: str) -> memoryview | None:
        """Where the plain content of a file is to be written, if it has a place already."""
        return self._rooms.get(name)

    def finished(self, contents: Mapping[str, bytes | memoryview]) -> Rows:
        """The rows, once all files are there. Raises SnapshotDamaged."""
        try:
            missing = set(self._rooms) - set(contents)
            if missing:
                raise ValueError(f"{sorted(missing)[0]} is missing")
            return Rows.of(self._view(contents), self._matrix)
        except (ValueError, KeyError, IndexError, struct.error) as error:
            raise SnapshotDamaged(f"the rows do not parse: {error}") from error

    def _view(self, contents: Mapping[str, bytes | memoryview]) -> View:
        count, packed = self._count, contents["rows.enc"]
        row_ids, sequences = _array(packed, np.int64, count, 0), _array(packed, np.int64, count, 8 * count)
        products = _array(packed, np.int32, count, 16 * count)
        lengths = _array(packed, np.float32, count if self._frame is not None else 0, 20 * count)
        live = FrozenBitMap(BitMap.deserialize(bytes(packed[20 * count + lengths.nbytes :])))
        if live and live.max() >= count:
            raise ValueError("a live row is not there")
        payloads = Payloads()
        for number, start in enumerate(range(0, count, CHUNK_ROWS)):
            rows, content = min(CHUNK_ROWS, count - start), contents[f"records-{number:05d}.enc"]
            offsets = _array(content, np.uint32, rows + 1, 0)
            payloads.append_chunk(PackedChunk(offsets, bytearray(content[offsets.nbytes :])))
        columns = Columns.from_bytes(bytes(contents["columns.enc"]))
        return View(
            count, live, self._matrix.view(0, count), None, columns, payloads, row_ids, sequences, products, 0, 0,
            SlotTable(), self._frame, lengths, np.zeros(0, np.int32),
        )  # fmt: skip


def load_rows(manifest: Mapping[str, Any], dimension: int, frame: Frame | None) -> LoadingRows:
    """Room for what the manifest speaks of, rows that are seen from `frame`. Raises SnapshotDamaged."""
    if manifest["dimension"] != dimension:
        raise SnapshotDamaged("the vectors have another dimension than the collection")
    return LoadingRows(manifest["rows"], dimension, frame)


def _dead(view: View, start: int, end: int) -> NDArray[np.int64]:
    dead = BitMap(range(start, end)) - view.live
    return np.array(dead, np.int64) - start


def _array(content: bytes | memoryview, dtype: Any, count: int, at: int) -> NDArray[Any]:
    return np.frombuffer(content, dtype, count, at) if count else np.zeros(0, dtype)
