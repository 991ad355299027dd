"""What a hit shows, by slot: ids, attributes, region and times, packed into bytes, so that an answer needs no store.

A packed record is a JSON array: record id, product id, times of creation and of the last change (milliseconds since
1970), region (null or four numbers), attributes. One array is read in a tenth of the time that its parts take one by
one. Full chunks of CHUNK_ROWS slots are one buffer with a table of offsets; later slots are separate. One writer, any
number of readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import orjson
from numpy.typing import NDArray

from index.types.record import Region, StoredRecord
from index.vectors.segment.shown_records import ShownRecords

CHUNK_ROWS = 65_536
_new = tuple.__new__  # a named tuple's own way goes through the interpreter, for each record of an answer


def pack_record(record: StoredRecord, attributes_json: str) -> bytes:
    """The record's bytes; the vector, row id and sequence number are kept elsewhere."""
    region = record.region
    corners = None if region is None else (region.left, region.top, region.right, region.bottom)
    head = orjson.dumps((record.record_id, record.product_id, record.created_ms, record.updated_ms, corners))
    return b"".join((head[:-1], b",", attributes_json.encode(), b"]"))


def unpack_records(
    packed: Sequence[bytes | bytearray], row_ids: Sequence[int], sequences: Sequence[int], fingerprint: str
) -> list[StoredRecord]:
    """The records that `pack_record` packed, read at once. Raises ValueError where one was not."""
    content = b"[%b]" % b",".join(packed)
    lists = content.count(b"[") > len(packed) + 1  # or a text with a bracket in it
    parsed = orjson.loads(content)
    if lists:
        for parts in parsed:
            parts[4] = None if parts[4] is None else Region(*parts[4])
            parts[5] = {name: tuple(v) if type(v) is list else v for name, v in parts[5].items()}
    return [
        _new(StoredRecord, (row_id, id_, product_id, attributes, region, fingerprint, sequence, made, changed, None))
        for row_id, sequence, (id_, product_id, made, changed, region, attributes)
        in zip(row_ids, sequences, parsed, strict=True)
    ]  # fmt: skip


@dataclass(frozen=True)
class PackedChunk:
    """Consecutive packed records: record i is content[offsets[i]:offsets[i + 1]]. Something else may come first."""

    offsets: NDArray[np.uint32]
    content: bytearray

    @cached_property
    def marks(self) -> memoryview:
        """The offsets, each read faster than from an array."""
        return memoryview(self.offsets.data)

    @property
    def count(self) -> int:
        """How many records."""
        return len(self.offsets) - 1

    @classmethod
    def of(cls, records: Sequence[bytes]) -> PackedChunk:
        """A chunk of these."""
        offsets = np.zeros(len(records) + 1, np.uint32)
        np.cumsum([len(r) for r in records], out=offsets[1:])
        return cls(offsets, bytearray(b"".join(records)))

    def record(self, number: int) -> bytearray:
        """One packed record."""
        return self.content[self.offsets[number] : self.offsets[number + 1]]

    def without(self, gone: NDArray[np.int64]) -> PackedChunk:
        """A copy in which some records are zeros."""
        content = bytearray(self.content)
        _erase(content, self.offsets, gone)
        return PackedChunk(self.offsets, content)


class Payloads:
    """Packed records by slot. largest: no record has more bytes. shown: what answers show of them."""

    def __init__(self) -> None:
        self.largest, self.shown = 0, ShownRecords()
        self._chunks: list[PackedChunk] = []
        # The last chunk: what was loaded of it, and what came after. Replaced as one, so that readers see both.
        self._last: tuple[PackedChunk, list[bytes]] = (PackedChunk.of([]), [])

    def append(self, packed: bytes | bytearray) -> None:
        """Adds the record of the next slot."""
        self.largest = max(self.largest, len(packed))
        loaded, tail = self._last
        if loaded.count + len(tail) == CHUNK_ROWS:
            self._chunks.append(_joined(loaded, tail, CHUNK_ROWS))
            loaded, tail = self._last = (PackedChunk.of([]), [])
        tail.append(bytes(packed))

    def append_chunk(self, chunk: PackedChunk) -> None:
        """Adds the records of the next slots at once; only after full chunks."""
        if chunk.count:
            self.largest = max(self.largest, int(np.diff(chunk.offsets).max()))
        if chunk.count == CHUNK_ROWS:
            self._chunks.append(chunk)
        else:
            self._last = (chunk, [])

    def record(self, slot: int) -> bytes | bytearray:
        """One packed record."""
        return self.records([slot])[0]

    def records(self, slots: Sequence[int]) -> list[bytes | bytearray]:
        """Packed records, in the order of the slots."""
        loaded, tail = self._last  # before the chunks are looked at: what was sealed meanwhile still holds its records
        chunks, first = self._chunks, len(loaded.offsets) - 1
        found: list[bytes | bytearray] = []
        for slot in slots:
            number, within = slot // CHUNK_ROWS, slot % CHUNK_ROWS
            if number < len(chunks):
                chunk = chunks[number]
            elif within < first:
                chunk = loaded
            else:
                found.append(tail[within - first])
                continue
            marks = chunk.marks
            found.append(chunk.content[marks[within] : marks[within + 1]])
        return found

    def chunk(self, number: int, rows: int) -> PackedChunk:
        """The first `rows` records of chunk `number`, not to be written to."""
        loaded, tail = self._last
        if number < len(self._chunks):
            return self._chunks[number]
        return _joined(loaded, tail, rows)

    @property
    def bytes(self) -> int:
        """About how many bytes there are."""
        loaded, tail = self._last
        packed = sum(len(c.content) + c.offsets.nbytes for c in (*self._chunks, loaded)) + 160 * len(tail)
        return packed + self.shown.bytes

    def erase(self, slots: NDArray[np.int64]) -> None:
        """Overwrites records with zeros, and drops what is kept of them."""
        for number in np.unique(slots // CHUNK_ROWS).tolist():
            within = slots[slots // CHUNK_ROWS == number] - number * CHUNK_ROWS
            if number < len(self._chunks):
                _erase(self._chunks[number].content, self._chunks[number].offsets, within)
                continue
            loaded, tail = self._last
            _erase(loaded.content, loaded.offsets, within[within < loaded.count])
            for i in (within[within >= loaded.count] - loaded.count).tolist():
                tail[i] = bytes(len(tail[i]))
        self.shown.erase(slots.tolist())


def _joined(loaded: PackedChunk, tail: list[bytes], rows: int) -> PackedChunk:
    if rows <= loaded.count:
        return loaded
    later = PackedChunk.of(tail[: rows - loaded.count])
    offsets = np.concatenate([loaded.offsets, later.offsets[1:] + loaded.offsets[-1]])
    return PackedChunk(offsets, loaded.content + later.content)


def _erase(content: bytearray, offsets: NDArray[np.uint32], records: NDArray[np.int64]) -> None:
    for start, end in zip(offsets[records].tolist(), offsets[records + 1].tolist(), strict=True):
        content[start:end] = bytes(end - start)
