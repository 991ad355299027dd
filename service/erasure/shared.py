"""Finds live records with the same content as erased ones, because their data is not a trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from index import TenantLayout, read_entries
from index.storage import connect, derive_key
from service.erasure.needles import VectorPieces, beginnings_of

_AT_ONCE = 2000  # rows per read


@dataclass(frozen=True)
class Shared:
    """A live record that was not erased and has the same "vector" or "id"."""

    collection: str
    record_id: str
    what: str


@dataclass(frozen=True)
class Erased:
    """What was erased: ids, and byte sequences of vectors.

    `collection`: empty if unknown. A record with such an id then counts as the erased one in every collection.
    """

    collection: str
    ids: frozenset[str]
    pieces: Sequence[bytes]


def shared_with(
    layout: TenantLayout, data_key: bytes, erased: Erased, cut: VectorPieces
) -> tuple[list[Shared], set[bytes]]:
    """The live records that share content with the erased ones, and that content as bytes.

    Raises OSError, and whatever opening a collection raises.
    """
    pieces, beginnings = set(erased.pieces), beginnings_of(erased.pieces)
    found: list[Shared] = []
    held: set[bytes] = set()
    back: set[str] = set()  # erased ids that their collection has again: matches elsewhere are not shared
    for name, ids, vectors in _live_records(layout, data_key):
        own = name in (erased.collection or name,)
        back |= {r for r in ids if own and r in erased.ids}
        others = [i for i, r in enumerate(ids) if not (own and r in erased.ids)]
        found += [Shared(name, ids[i], "id") for i in others if ids[i] in erased.ids]
        kept = vectors[others]
        for row in cut.rows_with(kept, beginnings) if pieces else ():
            same = pieces.intersection(cut.of(kept[row : row + 1]))
            if same:
                found.append(Shared(name, ids[others[row]], "vector"))
                held |= same
    found = [s for s in found if s.what == "vector" or s.record_id not in back]
    return found, held | {s.record_id.encode() for s in found if s.what == "id"}


def _live_records(layout: TenantLayout, data_key: bytes) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """All records of a tenant in blocks: collection, ids, and vectors (float32, shape (n, dimension))."""
    if not layout.collections.exists():
        return
    listed = connect(layout.collections, derive_key(data_key, "tenant collections"))
    try:
        entries = read_entries(listed)
    finally:
        listed.close()
    for entry in entries:
        path = layout.collection(entry.uid).records
        if not path.exists():
            continue
        connection = connect(path, derive_key(data_key, "collection store"))
        try:
            rows = connection.execute("SELECT record_id, vector FROM records")
            while block := rows.fetchmany(_AT_ONCE):
                vectors = np.stack([np.frombuffer(vector, "<f4") for _, vector in block])
                yield entry.spec.name, [record_id for record_id, _ in block], vectors
        finally:
            connection.close()
