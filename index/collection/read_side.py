"""The read side of a collection: searches, records, counts."""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Callable, Generator, Sequence

from index.collection.collection_handle import CollectionHandle
from index.contract import Selection
from index.speed.gil_yield import searches
from index.types.answer import DuplicateGroup, Facet, FilterHints, Matching, SearchAnswer
from index.types.checks import normalised
from index.types.errors import InvalidInput
from index.types.feedback.judgements import VerdictTally
from index.types.ordering import Order, Position
from index.types.query import SearchQuery
from index.types.record import UNLIMITED_BYTES, RecordPage, Show, StoredRecord, Vector

BinOf = Callable[[SearchAnswer], tuple[int, int | None]]


class ReadSide:
    """Part of Collection. Any number of threads may call any method at once."""

    handle: CollectionHandle

    def search(self, query: SearchQuery) -> SearchAnswer:
        """The nearest records. Raises InvalidInput, FilterSyntaxError or AnswerTooLarge."""
        vector = normalised("query", query.vector, self.handle.place.spec.dimension)
        with self.handle as loaded, searches:
            return loaded.reading.search(_of_length_one(query, vector))

    def search_together(
        self,
        queries: Sequence[SearchQuery],
        bin_of: BinOf | None = None,
        before_longer: Callable[[], object] = lambda: None,
    ) -> builtins.list[SearchAnswer | None]:
        """As `search` for each of some queries, where they are answered together in less time; None for each that
        `search` is to be asked, or would raise an error of.

        - `bin_of`: of searches that count, day and bin as `count_search` takes them.
        - `before_longer`: called before each query that takes longer than the others; what it raises ends all.
        """
        dimension = self.handle.place.spec.dimension
        found: builtins.list[SearchAnswer | None] = [None] * len(queries)
        places, valid = builtins.list[int](), builtins.list[SearchQuery]()
        for place, query in enumerate(queries):
            with contextlib.suppress(InvalidInput):
                valid.append(_of_length_one(query, normalised("query", query.vector, dimension)))
                places.append(place)
        if valid:
            with self.handle as loaded, searches:
                for place, answer in zip(places, loaded.reading.search_together(valid, before_longer), strict=True):
                    found[place] = answer
                    if answer is not None and bin_of is not None:
                        loaded.searches.add(*bin_of(answer))
        return found

    def search_at_once(self, query: SearchQuery, most_s: float, bin_of: BinOf | None = None) -> SearchAnswer | None:
        """As `search` where that waits for nothing and is expected to take at most `most_s` seconds, else None. For
        event loops, where a hop to a thread costs as much as such a search.

        `bin_of`: of a search that counts, its day and bin as `count_search` takes them.
        """
        vector = normalised("query", query.vector, self.handle.place.spec.dimension)
        with self.handle.at_once() as loaded, searches:
            answer = None if loaded is None else loaded.reading.search_at_once(_of_length_one(query, vector), most_s)
            if loaded is not None and answer is not None and bin_of is not None:
                loaded.searches.add(*bin_of(answer))
            return answer

    def count_search(self, day: int, bin_number: int | None) -> None:
        """Counts a search for `search_tally`. day: since 1970-01-01, UTC. bin_number: of its best score; None: it has
        no hit."""
        with self.handle as loaded:
            loaded.searches.add(day, bin_number)

    def get(
        self, record_ids: Sequence[str], *, vectors: bool = False, max_bytes: int = UNLIMITED_BYTES
    ) -> dict[str, StoredRecord]:
        """Records by id; ids that do not exist are left out. Raises AnswerTooLarge beyond `max_bytes`."""
        with self.handle as loaded:
            return loaded.store.records(record_ids, vectors=vectors, max_bytes=max_bytes)

    def show(self, record_ids: Sequence[str], show: Show, *, max_bytes: int = UNLIMITED_BYTES) -> dict[str, bytes]:
        """What `show` makes of records, without their vectors, by id; ids that do not exist are left out. It may be
        kept while a record is there. Raises AnswerTooLarge beyond `max_bytes`."""
        with self.handle as loaded:
            return loaded.reading.show(record_ids, show, max_bytes)

    def shown_at_once(self, record_ids: Sequence[str], show: Show) -> builtins.list[bytes] | None:
        """As `show`, in the order of the ids, where it is kept of each record, else None. Waits for nothing."""
        with self.handle.at_once() as loaded:
            return None if loaded is None else loaded.index.shown(record_ids, show)

    def count(self, filter_text: str = "") -> int:
        """How many records match."""
        with self.handle as loaded:
            return loaded.index.select(filter_text).count

    def matching(self, filter_text: str = "") -> Matching:
        """How many records match, and what is odd about the filter."""
        with self.handle as loaded:
            return _matching(loaded.index.select(filter_text))

    def matching_at_once(self, filter_text: str = "") -> Matching | None:
        """As `matching` where a search or a count has used the filter since the last write, else None. Waits for
        nothing."""
        with self.handle.at_once() as loaded:
            selected = loaded.index.remembered(filter_text) if loaded is not None else None
            return None if selected is None else _matching(selected)

    def filter_hints(self, filter_text: str) -> FilterHints:
        """What is odd about a filter: names that no record has, values of another type than the records'."""
        with self.handle as loaded:
            return loaded.index.select(filter_text).hints

    def facets(self, attributes: Sequence[str], filter_text: str = "") -> list[Facet]:
        """How many matching records have each value of these attributes."""
        with self.handle as loaded:
            selected = loaded.index.select(filter_text)
            return [selected.facet(name) for name in attributes]

    def list(
        self, after_row_id: int, limit: int, filter_text: str = "", *, vectors: bool = False
    ) -> builtins.list[StoredRecord]:
        """Up to `limit` matching records whose row id is higher than `after_row_id`, in order of row id."""
        return self.page(after_row_id, limit, filter_text, vectors=vectors).records

    def page(
        self,
        after_row_id: int,
        limit: int,
        filter_text: str = "",
        *,
        vectors: bool = False,
        max_bytes: int = UNLIMITED_BYTES,
    ) -> RecordPage:
        """As `list`; it ends before `max_bytes`, but for a record that alone takes more."""
        with self.handle as loaded:
            return loaded.reading.page(after_row_id, limit, filter_text, vectors=vectors, max_bytes=max_bytes)

    def page_in_order(
        self,
        order: Order,
        after: Position | None,
        limit: int,
        filter_text: str = "",
        *,
        vectors: bool = False,
        max_bytes: int = UNLIMITED_BYTES,
    ) -> tuple[RecordPage, Position | None]:
        """A page of matching records by an attribute, which begins after a position; and where the next one begins,
        None after the last. Page after page no record comes twice, unless its attribute changes meanwhile."""
        with self.handle as loaded:
            return loaded.reading.page_in_order(order, after, limit, filter_text, vectors=vectors, max_bytes=max_bytes)

    def sample(
        self,
        size: int,
        filter_text: str = "",
        *,
        seed: int,
        excluded_ids: Sequence[str] = (),
        vectors: bool = False,
        max_bytes: int = UNLIMITED_BYTES,
    ) -> builtins.list[StoredRecord]:
        """`size` matching records, or all where there are fewer: each set of them is equally likely. They come in
        random order. The same seed draws the same ones while nothing is written. Raises AnswerTooLarge."""
        with self.handle as loaded:
            return loaded.reading.sample(size, filter_text, excluded_ids, seed, vectors=vectors, max_bytes=max_bytes)

    def duplicates(
        self, filter_text: str, max_distance: float, *, judged: bool = True
    ) -> Generator[DuplicateGroup, None, VerdictTally]:
        """Groups of matching records within a cosine distance of their first, under the verdicts of people (see
        `judged_pairs`) unless `judged` is false. The generator returns what the verdicts did. Raises InvalidInput."""
        with self.handle as loaded:
            return (yield from loaded.reading.duplicates(filter_text, max_distance, judged=judged))


def _of_length_one(query: SearchQuery, vector: Vector) -> SearchQuery:
    return query if vector is query.vector else query._replace(vector=vector)


def _matching(selected: Selection) -> Matching:
    return Matching(selected.count, selected.hints)
