"""What the files of a snapshot hold, and rows made of them again."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from index.speed.buffers import joined
from index.speed.roaring_arrays import members
from index.types.errors import SnapshotDamaged
from index.vectors.ann.centering import CenteringTransform
from index.vectors.ann.row_signatures import NO_SKETCHES
from index.vectors.ann.signatures import BYTES, Signatures
from index.vectors.arrays.float16_matrix import Float16Matrix, RowMatrix
from index.vectors.arrays.growing_arrays import SlotTable
from index.vectors.fields.columns import Columns
from index.vectors.segment.payloads import CHUNK_ROWS, PackedChunk, Payloads
from index.vectors.segment.rows import Rows
from index.vectors.segment.view import View

SKETCHES = "sketches"


def pack_vectors(view: View, start: int, end: int) -> memoryview:
    """The vectors of slots start..end, float16, one row after another; rows that are not live are zeros."""
    return _without_dead(view, view.float16, start, end)


def pack_signatures(view: View, start: int, end: int) -> memoryview:
    """The signatures of slots start..end, one after another; those of rows that are not live are zeros."""
    return _without_dead(view, view.signatures, start, end)


def signed_through(view: View) -> str:
    """The same for views whose signatures are seen from the same mean; empty where there are none."""
    return (
        ""
        if view.ann_index is None
        else hashlib.sha256(view.ann_index.signature_encoder.mean.tobytes()).hexdigest()[:16]
    )


def pack_chunk(view: View, start: int, end: int) -> memoryview:
    """The packed records of the slots: one offset more than there are (uint32), and the bytes; those that are not live
    are zeros."""
    chunk, dead = view.payloads.chunk(start // CHUNK_ROWS, end - start), _dead(view, start, end)
    if len(dead):
        chunk = chunk.without(dead)
    offsets = chunk.offsets[: end - start + 1]
    content = memoryview(chunk.content)[int(offsets[0]) : int(offsets[-1])]
    return joined((offsets - offsets[0]).data, content)


def pack_rows(view: View) -> memoryview:
    """Row ids and sequence numbers (int64), product numbers (int32), the lengths that rows had before they were seen
    from a transform (float32, only where there is one), and the live rows as a Roaring bitmap."""
    arrays = (view.row_ids, view.sequences, view.products, view.lengths[: view.count])
    return joined(*(a.data for a in arrays), BitMap(view.live).serialize())


def pack_columns(view: View) -> bytes:
    """The attributes of the live rows by value."""
    return view.columns.to_bytes(view.live)


class LoadingRows:
    """Rows that are being loaded: vectors go straight to where they will lie."""

    def __init__(self, count: int, ann_rows: int, dimension: int, transform: CenteringTransform | None) -> None:
        self._count, self._transform = count, transform
        self._matrix = RowMatrix(dimension, max(count, 64))
        self._signatures = RowMatrix(BYTES, ann_rows, np.uint8)
        # Where the plain content of a file is to be written, for those that have a place already.
        self.rooms = {**_rooms("vectors", self._matrix, count), **_rooms(SKETCHES, self._signatures, ann_rows)}

    @property
    def float16(self) -> Float16Matrix:
        """The vectors, which may not be there yet."""
        return self._matrix.view(0, self._count)

    @property
    def signatures(self) -> Signatures:
        """Of the ANN index's rows."""
        return self._signatures.view(0, self._signatures.rows)

    def finished(self, contents: Mapping[str, bytearray]) -> Rows:
        """The rows, given those files that have no place; the others may still be on their way. Raises
        SnapshotDamaged."""
        try:
            return Rows.of(self._view(contents), self._matrix)
        except (ValueError, KeyError, IndexError, struct.error) as error:
            raise SnapshotDamaged(f"the rows cannot be parsed: {error}") from error

    def _view(self, contents: Mapping[str, bytearray]) -> View:
        count, packed = self._count, contents["rows.enc"]
        row_ids, sequences = _array(packed, np.int64, count, 0), _array(packed, np.int64, count, 8 * count)
        products = _array(packed, np.int32, count, 16 * count)
        lengths = _array(packed, np.float32, count if self._transform is not None else 0, 20 * count)
        live = FrozenBitMap(BitMap.deserialize(bytes(packed[20 * count + lengths.nbytes :])))
        if live and live.max() >= count:
            raise ValueError("a live row is not there")
        payloads = Payloads()
        for number, start in enumerate(range(0, count, CHUNK_ROWS)):
            rows, content = min(CHUNK_ROWS, count - start), contents[f"records-{number:05d}.enc"]
            offsets = _array(content, np.uint32, rows + 1, 0)
            payloads.append_chunk(PackedChunk(offsets + np.uint32(offsets.nbytes), content))
        columns = Columns.from_bytes(bytes(contents["columns.enc"]))
        return View(
            count, live, self.float16, None, columns, payloads, row_ids, sequences, products, 0, 0,
            SlotTable(), self._transform, lengths, NO_SKETCHES,
        )  # fmt: skip


def load_rows(manifest: Mapping[str, Any], dimension: int, transform: CenteringTransform | None) -> LoadingRows:
    """Room for what the manifest speaks of, rows that are seen from `transform`. Raises SnapshotDamaged."""
    if manifest["dimension"] != dimension:
        raise SnapshotDamaged("the dimension of the vectors differs from the collection")
    rows = LoadingRows(manifest["rows"], manifest["base_rows"], dimension, transform)
    if missing := rows.rooms.keys() - manifest["files"].keys():
        raise SnapshotDamaged(f"{min(missing)} is missing")
    return rows


def _rooms(kind: str, matrix: RowMatrix, rows: int) -> dict[str, memoryview]:
    """Where the content of each file goes."""
    sizes = [min(CHUNK_ROWS, rows - start) for start in range(0, rows, CHUNK_ROWS)]
    return {f"{kind}-{number:05d}.enc": matrix.room_for(size) for number, size in enumerate(sizes)}


def _without_dead(view: View, rows: NDArray[Any], start: int, end: int) -> memoryview:
    dead, part = _dead(view, start, end), rows[start:end]
    if len(dead):
        part = part.copy()
        part[dead] = 0
    return part.view(np.uint8).ravel().data


def _dead(view: View, start: int, end: int) -> NDArray[np.int64]:
    dead = BitMap(range(start, end)) - view.live
    return members(dead) - start


def _array(content: bytearray, dtype: Any, count: int, at: int) -> NDArray[Any]:
    return np.frombuffer(content, dtype, count, at) if count else np.zeros(0, dtype)
