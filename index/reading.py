"""Answers from a view, with the records that belong to them from the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pyroaring import BitMap

from index.duplicates import duplicate_groups
from index.filters.evaluate import allowed_slots
from index.filters.syntax import parse_filter
from index.model import DuplicateGroup, Hit, Path, SearchAnswer, SearchQuery, StoredRecord, Vector
from index.readers import ReaderPool
from index.rows import View
from index.search import Found, Window, nearest, nearest_groups
from index.store import read_digests, read_page, read_records, read_rows


class Reading:
    """The reading side of a collection. Any number of threads may call any method at once."""

    def __init__(self, readers: ReaderPool) -> None:
        self._readers = readers

    def allowed(self, view: View, filter_text: str, excluded: frozenset[str] = frozenset()) -> BitMap:
        """The live slots that the filter allows, without the excluded records. Raises FilterSyntaxError."""
        tree = parse_filter(filter_text)
        live = BitMap(view.live)
        found = live if tree is None else allowed_slots(tree, view.columns, view.products, live)
        if excluded:
            with self._readers.connection() as connection:
                named = read_records(connection, sorted(excluded), vectors=False)
            rows = np.array([r.row_id for r in named.values()], np.int64)
            found = found - BitMap(np.flatnonzero(np.isin(view.row_ids, rows)).astype(np.uint32))
        return found

    def search(self, view: View, query: SearchQuery, vector: Vector) -> SearchAnswer | None:
        """The answer, or None where the store has moved on from one of its hits since the view."""
        allowed = self.allowed(view, query.filter, query.exclude_record_ids)
        window = Window(query.k, query.offset, query.max_distance)
        if query.group_by_product:
            found = nearest_groups(view, vector, allowed, window, query.group_size)
        else:
            found = [[f] for f in nearest(view, vector, allowed, window)]
        groups = self._hits(view, found, query.include_vectors)
        if groups is None:
            return None
        path = Path.EMPTY if not allowed else Path.EXACT_FILTERED if query.filter else Path.EXACT
        return SearchAnswer(groups, len(allowed), path, view.sequence, view.index_time_ms)

    def page(self, view: View, after_row_id: int, limit: int, filter_text: str, *, vectors: bool) -> list[StoredRecord]:
        """Up to `limit` matching records whose row id is higher than `after_row_id`, in order of row id."""
        if not filter_text.strip():
            with self._readers.connection() as connection:
                return read_page(connection, after_row_id, limit, vectors=vectors)
        row_ids = view.row_ids[np.array(self.allowed(view, filter_text), np.int64)]
        page = np.sort(row_ids[row_ids > after_row_id])[:limit].tolist()
        with self._readers.connection() as connection:
            found = read_rows(connection, page, vectors=vectors)
        return [found[row_id] for row_id in page if row_id in found]

    def duplicates(self, view: View, filter_text: str, max_distance: float) -> Iterator[DuplicateGroup]:
        """Groups of matching records within a cosine distance of their first."""
        for group in duplicate_groups(view, self.allowed(view, filter_text), max_distance):
            row_ids = view.row_ids[list(group.slots)].tolist()
            with self._readers.connection() as connection:
                found = read_rows(connection, row_ids)
                ids = [found[r].record_id for r in row_ids if r in found]
                digests = read_digests(connection, ids)
            if len(ids) > 1:
                identical = len(digests) == len(ids) and len(set(digests.values())) == 1
                yield DuplicateGroup(tuple(ids), group.max_distance, identical)

    def _hits(self, view: View, found: Sequence[Sequence[Found]], vectors: bool) -> tuple[tuple[Hit, ...], ...] | None:
        """Hits for slots, or None where a slot's record was written since the view: it would not fit its distance."""
        slots = [f.slot for group in found for f in group]
        with self._readers.connection() as connection:
            stored = read_rows(connection, view.row_ids[slots].tolist(), vectors=vectors)
        groups = []
        for group in found:
            hits = []
            for f in group:
                record = stored.get(int(view.row_ids[f.slot]))
                if record is None or record.sequence != int(view.sequences[f.slot]):
                    return None
                hits.append(Hit(record, f.distance))
            groups.append(tuple(hits))
        return tuple(groups)
