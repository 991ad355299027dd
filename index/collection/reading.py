"""Reading a collection: the index says which rows, the store says what they are."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence

from index.contract import JUDGED_PAIRS, RecordStore, VectorIndex
from index.types.answer import DuplicateGroup, Hit, SearchAnswer
from index.types.errors import AnswerTooLarge, InvalidInput
from index.types.feedback.judgements import RowVerdicts, VerdictTally
from index.types.ordering import Order, Position
from index.types.query import SearchQuery
from index.types.record import RecordPage, Show, StoredRecord

_READ_BLOCK = 100


class Reading:
    """Of one collection. Any number of threads may call any method at once."""

    def __init__(self, store: RecordStore, index: VectorIndex) -> None:
        self._store, self._index = store, index
        able = index.capabilities
        self._unable = tuple(
            field for field, can in (
                ("exact", able.exact), ("composed", able.emphasis), ("by_distance", able.emphasis),
                ("group_by_product", able.grouping), ("diversity", able.diversity),
                ("boosts", able.boosts),
            ) if not can
        )  # fmt: skip

    def search(self, query: SearchQuery) -> SearchAnswer:
        """The nearest records; the query's vector has length 1. Raises InvalidInput, FilterSyntaxError or
        AnswerTooLarge."""
        for field in self._unable:
            if getattr(query, field):
                raise InvalidInput(field, "the index of this collection does not do that")
        names = query.exclude_record_ids
        excluded: frozenset[int] = self._store.row_ids(sorted(names)) if names else frozenset()
        wanted = query.only_record_ids
        only = None if wanted is None else self._store.row_ids(sorted(wanted))
        answer = self._index.search(query, excluded, only)
        return self._with_stored_vectors(answer) if query.include_vectors else answer

    def search_together(
        self, queries: Sequence[SearchQuery], before_longer: Callable[[], object]
    ) -> list[SearchAnswer | None]:
        """As `search` for each query where that takes less time for all together; None for the others."""
        if any(q.exclude_record_ids or q.only_record_ids is not None or q.include_vectors for q in queries):
            return [None] * len(queries)
        return self._index.search_together(queries, before_longer)

    def search_at_once(self, query: SearchQuery, most_s: float) -> SearchAnswer | None:
        """As `search` where nothing is read from the store and at most `most_s` seconds are expected, else None."""
        if query.exclude_record_ids or query.only_record_ids is not None or query.include_vectors:
            return None
        return self.search(query) if self._index.expected_s(query) <= most_s else None

    def show(self, record_ids: Sequence[str], show: Show, max_bytes: int) -> dict[str, bytes]:
        """What `show` makes of records, by id; ids that do not exist are left out. Raises AnswerTooLarge."""
        row_ids = self._store.row_ids(record_ids)
        shown = self._index.show(row_ids, show, max_bytes)
        if len(shown) == len(row_ids):
            return shown
        # The index does not show yet what is stored.
        stored = self._store.records(record_ids, vectors=False, max_bytes=max_bytes)
        return {record_id: show(record) for record_id, record in stored.items()}

    def _with_stored_vectors(self, answer: SearchAnswer) -> SearchAnswer:
        """The vectors as they were given; the index's own for a row that was written anew since."""
        shown = [hit.record for group in answer.groups for hit in group]
        stored = self._store.rows([record.row_id for record in shown], vectors=True)

        def given(hit: Hit) -> Hit:
            record = stored.get(hit.record.row_id)
            if record is None or record.vector is None or record.sequence != hit.record.sequence:
                return hit
            return hit._replace(record=hit.record._replace(vector=record.vector))

        return answer._replace(groups=tuple(tuple(given(hit) for hit in group) for group in answer.groups))

    def page(self, after_row_id: int, limit: int, filter_text: str, *, vectors: bool, max_bytes: int) -> RecordPage:
        """Up to `limit` matching records whose row id is higher than `after_row_id`, in order of row id; at least one,
        but else not more than `max_bytes`. Raises FilterSyntaxError."""
        if not filter_text.strip():
            return self._store.page(after_row_id, limit, vectors=vectors, max_bytes=max_bytes)
        row_ids = self._index.select(filter_text).row_ids(after_row_id, limit + 1)
        return self._store.page_of(row_ids, limit, vectors=vectors, max_bytes=max_bytes)

    def page_in_order(
        self, order: Order, after: Position | None, limit: int, filter_text: str, *, vectors: bool, max_bytes: int
    ) -> tuple[RecordPage, Position | None]:
        """Up to `limit` matching records by an attribute, after a position or the first ones; at least one, but else
        not more than `max_bytes`. And the position of the last one, None where no further ones follow."""
        positions = self._index.select(filter_text).in_order(order, after, limit + 1)
        row_ids = [position.row_id for position in positions[:limit]]
        records: list[StoredRecord] = []
        total, read, size = 0, 0, _READ_BLOCK
        while read < len(row_ids):
            block = row_ids[read : read + size]
            page = self._store.page_of(sorted(block), len(block), vectors=vectors, max_bytes=max_bytes - total)
            too_large = bool(records) and total + page.bytes > max_bytes
            if size > 1 and (page.more or too_large):
                size = 1  # up to the one that does not fit
                continue
            if too_large:
                break
            found = {record.row_id: record for record in page.records}
            records += [found[row_id] for row_id in block if row_id in found]
            total, read = total + page.bytes, read + len(block)
        last = positions[read - 1] if read and read < len(positions) else None
        return RecordPage(records, last is not None, total), last

    def sample(
        self, size: int, filter_text: str, excluded_ids: Sequence[str], seed: int, *, vectors: bool, max_bytes: int
    ) -> list[StoredRecord]:
        """A uniform sample of the matching records but some, in random order; fewer where there are no more. Raises
        FilterSyntaxError, or AnswerTooLarge beyond `max_bytes`."""
        excluded = self._store.row_ids(excluded_ids) if excluded_ids else frozenset()
        selected = self._index.select(filter_text)
        # In a random order of all, those that come first and are not excluded are a sample of the others.
        drawn = min(selected.count, size + len(excluded))
        positions = random.Random(seed).sample(range(selected.count), drawn)  # noqa: S311 - it guards nothing
        row_ids = [row_id for row_id in selected.row_ids_at(positions) if row_id not in excluded][:size]
        page = self._store.page_of(sorted(row_ids), size, vectors=vectors, max_bytes=max_bytes)
        if page.more:
            raise AnswerTooLarge(f"the records take more than {max_bytes} bytes")
        found = {record.row_id: record for record in page.records}
        return [found[row_id] for row_id in row_ids if row_id in found]

    def duplicates(
        self, filter_text: str, max_distance: float, *, judged: bool
    ) -> Generator[DuplicateGroup, None, VerdictTally]:
        """Groups of matching records within a cosine distance of their first, without those that were deleted
        meanwhile. judged: under the verdicts of people. Returns what these did."""
        verdicts = self._store.companion(JUDGED_PAIRS).rows() if judged else RowVerdicts.of()
        groups = self._index.duplicates(filter_text, max_distance, verdicts)
        while True:
            try:
                group = next(groups)
            except StopIteration as end:
                tally: VerdictTally = end.value
                return tally
            found = self._store.rows(group.row_ids)
            ids = [found[r].record_id for r in group.row_ids if r in found]
            if len(ids) > 1 and group.row_ids[0] in found:  # the others need not be near each other
                contradictions = tuple(
                    (found[a].record_id, found[b].record_id)
                    for a, b in group.contradictions
                    if a in found and b in found
                )
                identical = _identical(ids, self._store.digests(ids))
                yield DuplicateGroup(tuple(ids), group.max_distance, identical, group.merged, contradictions)


def _identical(ids: Sequence[str], digests: Mapping[str, bytes]) -> tuple[tuple[str, ...], ...]:
    """Those of the ids whose content is the same as that of others, together, in order."""
    by_digest: dict[bytes, list[str]] = {}
    for record_id in ids:
        if record_id in digests:
            by_digest.setdefault(digests[record_id], []).append(record_id)
    return tuple(tuple(same) for same in by_digest.values() if len(same) > 1)
