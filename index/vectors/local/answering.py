"""Answers from a view: the filter, the rows that are searched, the hits and what they show."""

from __future__ import annotations

import time
from itertools import islice
from typing import NamedTuple

import numpy as np
from pyroaring import BitMap

from index.types.answer import MOST_PASSED_OVER, Hit, PassedOver, SearchAnswer, ShownHit
from index.types.errors import AnswerTooLarge, InvalidInput
from index.types.query import ScanStrategy, SearchQuery
from index.types.record import StoredRecord
from index.vectors.ann.centering import QueryMean
from index.vectors.ann.faiss_index import RowNumbers
from index.vectors.arrange.pages import Page, Passed, arranged
from index.vectors.filters.evaluate import allowed_slots
from index.vectors.filters.hints import hints_of
from index.vectors.filters.syntax import parse_filter
from index.vectors.local.showing import Showing
from index.vectors.query.boost_values import Boosts, boosts_of
from index.vectors.query.execute import THROUGH_BASE, Query
from index.vectors.query.filter_cache import FilterCache, FilteredRows
from index.vectors.query.recall import RecallCheck
from index.vectors.query.search import nearest
from index.vectors.query.together import Looked
from index.vectors.segment.view import View

_MOST_DROPPED = 16
_WITHOUT_FILTER = {
    ScanStrategy.EXACT_FILTERED: ScanStrategy.EXACT,
    ScanStrategy.SKETCHES_FILTERED: ScanStrategy.SKETCHES,
    ScanStrategy.GRAPH_FILTERED: ScanStrategy.GRAPH,
}
_new = tuple.__new__  # as in index.vectors.segment.payloads


class Chosen(NamedTuple):
    """Rows that a query names, by row id. excluded: in no answer. only: searched alone; None: all rows are."""

    excluded: frozenset[int] = frozenset()
    only: frozenset[int] | None = None


class Answering:
    """Of one local index. Any number of threads may call any method at once."""

    def __init__(self, encoder_fingerprint: str, queries: QueryMean) -> None:
        """`queries`: takes note of what is searched with."""
        self.queries, self.showing = queries, Showing(encoder_fingerprint)
        self._filters: FilterCache | None = None

    def allowed(self, view: View, filter_text: str) -> FilteredRows:
        """The live rows that the filter allows. Raises FilterSyntaxError."""
        filters = self._filters
        if filters is None or filters.view is not view:
            filters = self._filters = FilterCache(view)
        return filters.get(filter_text, lambda: _allowed(view, filter_text))

    def remembered(self, view: View, filter_text: str) -> FilteredRows | None:
        """As `allowed` where that is remembered for this view, else None. Waits for nothing."""
        filters = self._filters
        return filters.remembered(filter_text) if filters is not None and filters.view is view else None

    def forget_earlier(self, view: View) -> None:
        """Lets go of what is remembered of an earlier view: copies there may hold rows that were deleted since."""
        if self._filters is not None and self._filters.view is not view:
            self._filters = None

    @property
    def copied_bytes(self) -> int:
        """How much memory copies for filters take."""
        return 0 if self._filters is None else self._filters.bytes

    def search(
        self, view: View, query: SearchQuery, chosen: Chosen, check: RecallCheck, looked: Looked | None = None
    ) -> SearchAnswer:
        """The answer. looked: what a plain search found in this view already. Raises FilterSyntaxError, InvalidInput or
        AnswerTooLarge."""
        vector = query.vector
        transform, learned = view.transform, view.transform is not None and not query.by_distance
        asked = vector if query.unweighted is None else query.unweighted
        if not query.own_record and not query.by_distance:
            self.queries.add(asked)
        began = time.perf_counter() if query.filter else 0.0
        allowed = self.allowed(view, query.filter)
        filter_s = time.perf_counter() - began if query.filter else 0.0
        if chosen.only is not None:
            allowed = allowed.only(view.slots_of(chosen.only))
        searched, dropped = self._excluding(allowed, chosen.excluded)
        compared = vector
        if transform is not None and learned:
            compared = transform.query(asked, own_record=query.own_record, weights=query.weights)
        resolved = Query(
            compared, vector, searched, query.k, query.offset, query.max_distance, dropped,
            query.exact or chosen.only is not None, check.ef_factor, query.by_distance, query.composed, query.scale,
            query.diversity, query.order, self._boosts(view, query), looked,
        )  # fmt: skip
        passed: tuple[Passed, ...] = ()
        groups: tuple[tuple[Hit, ...], ...] = ()
        told_hits: tuple[ShownHit, ...] = ()
        if query.group_by_product or resolved.is_arranged:
            page = arranged(resolved, query.group_size if query.group_by_product else None)
            shown = np.array([slot for group in page.groups for slot, _ in group], np.int64)
            groups = self._groups(allowed, shown, page, query, resolved.boosts)
            path, passed = page.path, page.passed_over
        else:
            slots, _, path, distances = nearest(resolved)
            if path in THROUGH_BASE and check.wants_sample and not query.offset and query.max_distance is None:
                check.offer(resolved, slots.tolist(), query.k)
            _check_bytes(allowed, slots, query)
            shown = slots
            if query.show is None:
                groups = tuple(zip(self._hits(allowed, slots, distances.tolist(), query.include_vectors), strict=True))
            else:
                contents = self.showing.at(view, slots.tolist(), query.show)
                told_hits = tuple(map(ShownHit, contents, distances.tolist()))
        counted = allowed.only(shown.tolist()) if query.facets_over_hits else allowed
        facets = tuple([counted.facet(name) for name in query.facets])
        way = _as_told(path, allowed)
        told = self._passed_over(allowed, passed) if passed else ()
        return SearchAnswer(
            groups, allowed.count, way, view.sequence, view.index_time_ms, facets, learned, allowed.hints, told,
            len(passed), filter_s, told_hits,
        )  # fmt: skip

    def _groups(
        self, allowed: FilteredRows, slots: RowNumbers, page: Page, query: SearchQuery, boosts: Boosts | None
    ) -> tuple[tuple[Hit, ...], ...]:
        near = [distance for group in page.groups for _, distance in group]
        _check_bytes(allowed, slots, query)
        found = self._hits(allowed, slots, near, query.include_vectors)
        if boosts is not None:
            parts, totals = boosts.parts[:, slots].T.tolist(), boosts.totals[slots].tolist()
            explained = zip(found, parts, totals, strict=True)
            found = [hit._replace(boosts=tuple(each), boost=total) for hit, each, total in explained]
        hits = iter(found)
        return tuple([tuple(islice(hits, len(group))) for group in page.groups])

    def _passed_over(self, allowed: FilteredRows, passed: tuple[Passed, ...]) -> tuple[PassedOver, ...]:
        shown = passed[:MOST_PASSED_OVER]
        slots = np.unique([slot for one in shown for slot in (one.slot, one.similar_to)]).astype(np.int64)
        records = dict(zip(slots.tolist(), self._records(allowed, slots, slots.tolist()), strict=True))
        return tuple([
            PassedOver(records[one.slot].record_id, one.distance, records[one.similar_to].record_id) for one in shown
        ])  # fmt: skip

    def _boosts(self, view: View, query: SearchQuery) -> Boosts | None:
        if not query.boosts:
            return None

        def make() -> Boosts:
            try:
                matching = [self.allowed(view, boost.filter).rows for boost in query.boosts]
            except InvalidInput as error:
                error.field = "boosts.filter"  # not that of the search
                raise
            return boosts_of(view, query.boosts, query.boost_cap, matching)

        self.allowed(view, "")  # of this view
        filters = self._filters
        if filters is None or filters.view is not view:  # a newer view was searched meanwhile
            return make()
        return filters.boosts((query.boosts, query.boost_cap), make)

    def _excluding(self, allowed: FilteredRows, row_ids: frozenset[int]) -> tuple[FilteredRows, tuple[int, ...]]:
        """What is searched without some rows: other ones, or the same with a few slots to be dropped from what is
        found, so that what is kept for a filter is of use."""
        if not row_ids:
            return allowed, ()
        excluded = [s for s in allowed.view.slots_of(row_ids) if s in allowed.rows]
        if len(excluded) > _MOST_DROPPED:
            return allowed.without(excluded), ()
        return allowed, tuple(excluded)

    def _hits(self, allowed: FilteredRows, at: RowNumbers, distances: list[float], vectors: bool) -> list[Hit]:
        slots = at.tolist()
        records = self._records(allowed, at, slots)
        if vectors:
            own = allowed.view.originals(at)
            records = [r._replace(vector=v) for r, v in zip(records, own, strict=True)]
        return [_new(Hit, (record, near, (), 0.0)) for record, near in zip(records, distances, strict=True)]

    def _records(self, allowed: FilteredRows, at: RowNumbers, slots: list[int]) -> list[StoredRecord]:
        view, shown = allowed.view, allowed.shown
        if shown is not None and shown.keys() >= set(slots):
            return [shown[slot] for slot in slots]
        records = self.showing.read(view, at)
        allowed.show_again(slots, records)
        return records


def _check_bytes(allowed: FilteredRows, at: RowNumbers, query: SearchQuery) -> None:
    """Raises AnswerTooLarge, before any record is unpacked."""
    payloads, vectors = allowed.view.payloads, len(at) * 4 * len(query.vector) if query.include_vectors else 0
    if len(at) * payloads.largest + vectors <= query.max_bytes:
        return
    if sum(map(len, payloads.records(at.tolist()))) + vectors > query.max_bytes:
        raise AnswerTooLarge(f"the hits take more than {query.max_bytes} bytes")


def _allowed(view: View, filter_text: str) -> FilteredRows:
    tree = parse_filter(filter_text)
    if tree is None:
        return FilteredRows(view, view.live, True)
    rows = allowed_slots(tree, view.columns, view.products, BitMap(view.live))
    return FilteredRows(view, rows, False, find_hints=lambda: hints_of(tree, view.columns, view.live))


def _as_told(path: ScanStrategy, allowed: FilteredRows) -> ScanStrategy:
    """The way, as an answer names it. Excluded records make no filter, and leave a search with something to allow."""
    if path is ScanStrategy.EMPTY:
        return (
            ScanStrategy.EMPTY
            if not allowed.count
            else ScanStrategy.EXACT
            if allowed.everything
            else ScanStrategy.EXACT_FILTERED
        )
    return _WITHOUT_FILTER.get(path, path) if allowed.everything else path
