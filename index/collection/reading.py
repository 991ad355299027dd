"""Answers from a view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from pyroaring import BitMap

from index.records.queries import cut_page, read_digests, read_ordered, read_page, read_records, read_rows
from index.speed.roaring_arrays import members
from index.storage.read_connections import ReaderPool
from index.types.errors import AnswerTooLarge
from index.types.model import (
    DuplicateGroup,
    Facet,
    Hit,
    Path,
    RecordPage,
    SearchAnswer,
    SearchQuery,
    StoredRecord,
    Vector,
)
from index.vectors.ann.centering import QueryMean
from index.vectors.ann.faiss_index import RowNumbers
from index.vectors.filters.evaluate import allowed_slots
from index.vectors.filters.hints import hints_of
from index.vectors.filters.syntax import parse_filter
from index.vectors.query.duplicates import duplicate_groups
from index.vectors.query.execute import THROUGH_BASE, Asked
from index.vectors.query.filter_cache import Allowed, AllowedByFilter
from index.vectors.query.groups import nearest_groups
from index.vectors.query.recall import RecallCheck
from index.vectors.query.search import Window, nearest
from index.vectors.segment.payloads import unpack_records
from index.vectors.segment.view import View

MOST_FACET_VALUES = 100
_MOST_DROPPED = 16
_WITHOUT_FILTER = {
    Path.EXACT_FILTERED: Path.EXACT,
    Path.SKETCHES_FILTERED: Path.SKETCHES,
    Path.GRAPH_FILTERED: Path.GRAPH,
}
_new = tuple.__new__  # as in index.vectors.segment.payloads


class Reading:
    """The reading side of a collection. Any number of threads may call any method at once."""

    def __init__(self, readers: ReaderPool, encoder_fingerprint: str, queries: QueryMean) -> None:
        """`queries`: takes note of what is searched with."""
        self._readers, self._fingerprint, self.queries = readers, encoder_fingerprint, queries
        self._filters: AllowedByFilter | None = None

    def allowed(self, view: View, filter_text: str) -> Allowed:
        """The live rows that the filter allows. Raises FilterSyntaxError."""
        filters = self._filters
        if filters is None or filters.view is not view:
            filters = self._filters = AllowedByFilter(view)
        return filters.get(filter_text, lambda: _allowed(view, filter_text))

    def forget_earlier(self, view: View) -> None:
        """Lets go of what is remembered of an earlier view: copies there may hold rows that were deleted since."""
        if self._filters is not None and self._filters.view is not view:
            self._filters = None

    @property
    def copied_bytes(self) -> int:
        """How much memory copies for filters take."""
        return 0 if self._filters is None else self._filters.bytes

    def search(self, view: View, query: SearchQuery, vector: Vector, check: RecallCheck) -> SearchAnswer:
        """The answer. Raises FilterSyntaxError or InvalidInput."""
        frame, learned = view.frame, view.frame is not None and not query.by_distance
        if not query.own_record and not query.by_distance:
            self.queries.add(vector)
        allowed = self.allowed(view, query.filter)
        searched, dropped = self._excluding(allowed, query.exclude_record_ids)
        compared = frame.query(vector, own_record=query.own_record) if frame is not None and learned else vector
        asked = Asked(
            compared, vector, searched, dropped, query.exact, check.effort, query.by_distance, query.composed,
            query.scale,
        )  # fmt: skip
        window = Window(query.k, query.offset, query.max_distance)
        if query.group_by_product:
            found, path = nearest_groups(asked, window, query.group_size)
            slots = np.array([f.slot for group in found for f in group], np.int64)
            near = [f.distance for group in found for f in group]
            _check_bytes(allowed, slots, query)
            hits = iter(self._hits(allowed, slots, near, query.include_vectors))
            groups = tuple([tuple(islice(hits, len(group))) for group in found])
        else:
            slots, distances, path = nearest(asked, window)
            if path in THROUGH_BASE and check.wants_sample and not query.offset and query.max_distance is None:
                check.offer(asked, slots.tolist(), query.k)
            _check_bytes(allowed, slots, query)
            groups = tuple(zip(self._hits(allowed, slots, distances.tolist(), query.include_vectors), strict=True))
        facets = tuple([facet_of(allowed, name) for name in query.facets])
        way = _as_told(path, allowed)
        return SearchAnswer(
            groups, allowed.count, way, view.sequence, view.index_time_ms, facets, learned, allowed.hints
        )  # fmt: skip

    def _excluding(self, allowed: Allowed, record_ids: frozenset[str]) -> tuple[Allowed, tuple[int, ...]]:
        """What is searched without some records: other rows, or the same with a few slots to be dropped from what is
        found, so that what is kept for a filter is of use."""
        if not record_ids:
            return allowed, ()
        excluded = [s for s in allowed.view.slots_of(self._row_ids(record_ids)) if s in allowed.rows]
        if len(excluded) > _MOST_DROPPED:
            return allowed.without(excluded), ()
        return allowed, tuple(excluded)

    def get(self, record_ids: Sequence[str], *, vectors: bool, max_bytes: int) -> dict[str, StoredRecord]:
        """Records by id; ids that do not exist are left out. Raises AnswerTooLarge."""
        with self._readers.connection() as connection:
            return read_records(connection, record_ids, vectors=vectors, max_bytes=max_bytes)

    def page(
        self, view: View, after_row_id: int, limit: int, filter_text: str, *, vectors: bool, max_bytes: int
    ) -> RecordPage:
        """Up to `limit` matching records whose row id is higher than `after_row_id`, in order of row id; at least one,
        but else not more than `max_bytes`."""
        if not filter_text.strip():
            with self._readers.connection() as connection:
                return read_page(connection, after_row_id, limit, vectors=vectors, max_bytes=max_bytes)
        row_ids = view.row_ids[members(self.allowed(view, filter_text).rows)]
        page = np.sort(row_ids[row_ids > after_row_id])[: limit + 1].tolist()
        with self._readers.connection() as connection:
            return cut_page(read_ordered(connection, page, vectors=vectors), limit, max_bytes)

    def duplicates(self, view: View, filter_text: str, max_distance: float) -> Iterator[DuplicateGroup]:
        """Groups of matching records within a cosine distance of their first, without those that were deleted since
        the view."""
        for group in duplicate_groups(self.allowed(view, filter_text), max_distance):
            row_ids = view.row_ids[list(group.slots)].tolist()
            with self._readers.connection() as connection:
                found = read_rows(connection, row_ids)
                ids = [found[r].record_id for r in row_ids if r in found]
                digests = read_digests(connection, ids)
            if len(ids) > 1 and row_ids[0] in found:  # the others need not be near each other
                yield DuplicateGroup(tuple(ids), group.max_distance, _identical(ids, digests))

    def _row_ids(self, record_ids: frozenset[str]) -> frozenset[int]:
        if not record_ids:
            return frozenset()
        with self._readers.connection() as connection:
            return frozenset(r.row_id for r in read_records(connection, sorted(record_ids), vectors=False).values())

    def _hits(self, allowed: Allowed, at: RowNumbers, distances: list[float], vectors: bool) -> list[Hit]:
        slots = at.tolist()
        records = self._records(allowed, at, slots)
        if vectors:
            stored = self._vectors(allowed.view, slots)
            records = [r._replace(vector=stored[s]) for r, s in zip(records, slots, strict=True)]
        return [_new(Hit, pair) for pair in zip(records, distances, strict=True)]

    def _records(self, allowed: Allowed, at: RowNumbers, slots: list[int]) -> list[StoredRecord]:
        view, shown = allowed.view, allowed.shown
        if shown is not None and shown.keys() >= set(slots):
            return [shown[slot] for slot in slots]
        row_ids, sequences = view.row_ids[at].tolist(), view.sequences[at].tolist()
        records = unpack_records(view.payloads.records(slots), row_ids, sequences, self._fingerprint)
        allowed.show_again(slots, records)
        return records

    def _vectors(self, view: View, slots: list[int]) -> dict[int, Vector]:
        """The vectors as they were given; in half precision for a row that was written anew since the view."""
        with self._readers.connection() as connection:
            stored = read_rows(connection, view.row_ids[slots].tolist(), vectors=True)
        vectors = {}
        for slot in slots:
            record = stored.get(int(view.row_ids[slot]))
            if record is not None and record.vector is not None and record.sequence == int(view.sequences[slot]):
                vectors[slot] = record.vector
            else:
                vectors[slot] = view.originals(np.array([slot]))[0]
        return vectors


def _check_bytes(allowed: Allowed, at: RowNumbers, query: SearchQuery) -> None:
    """Raises AnswerTooLarge, before any record is unpacked."""
    payloads, vectors = allowed.view.payloads, len(at) * 4 * len(query.vector) if query.include_vectors else 0
    if len(at) * payloads.largest + vectors <= query.max_bytes:
        return
    if sum(map(len, payloads.records(at.tolist()))) + vectors > query.max_bytes:
        raise AnswerTooLarge(f"the hits take more than {query.max_bytes} bytes")


def _allowed(view: View, filter_text: str) -> Allowed:
    tree = parse_filter(filter_text)
    if tree is None:
        return Allowed(view, view.live, True)
    rows = allowed_slots(tree, view.columns, view.products, BitMap(view.live))
    return Allowed(view, rows, False, find_hints=lambda: hints_of(tree, view.columns, view.live))


def _identical(ids: Sequence[str], digests: Mapping[str, bytes]) -> tuple[tuple[str, ...], ...]:
    """Those of the ids that are of the same picture bytes as others, together, in order."""
    by_digest: dict[bytes, list[str]] = {}
    for record_id in ids:
        if record_id in digests:
            by_digest.setdefault(digests[record_id], []).append(record_id)
    return tuple(tuple(same) for same in by_digest.values() if len(same) > 1)


def _as_told(path: Path, allowed: Allowed) -> Path:
    """The way, as an answer names it. Excluded records make no filter, and leave a search with something to allow."""
    if path is Path.EMPTY:
        return Path.EMPTY if not allowed.count else Path.EXACT if allowed.everything else Path.EXACT_FILTERED
    return _WITHOUT_FILTER.get(path, path) if allowed.everything else path


def facet_of(allowed: Allowed, attribute: str) -> Facet:
    """How many of the allowed rows have each value of an attribute."""
    counts = allowed.view.columns.facet(attribute, allowed.rows)
    counts.sort(key=lambda entry: (-entry[1], str(entry[0])))
    return Facet(attribute, tuple(counts[:MOST_FACET_VALUES]), len(counts))
