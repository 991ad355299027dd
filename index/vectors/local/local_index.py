"""A vector index in this process's memory: exact over few rows, FAISS over many, snapshots for fast starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import numpy as np

from index.contract import Capabilities, IndexSite, RecordStore, RowGroup, StagedChanges
from index.types.answer import SearchAnswer
from index.types.attributes import attributes_to_json
from index.types.changes import RowChange
from index.types.collection import CollectionSpec, CollectionStats
from index.types.errors import AfterimageIndexError
from index.types.feedback.judgements import RowVerdicts, VerdictTally
from index.types.query import QuerySum, SearchQuery
from index.types.record import Show, StoredRecord
from index.vectors.ann.ann_build_job import AnnBuilds
from index.vectors.ann.centering import CenteringTransform, QueryMean
from index.vectors.local.answering import Answering, Chosen
from index.vectors.local.centering_policy import CenteringPolicy
from index.vectors.local.plain_answering import answered_together, is_plain
from index.vectors.local.rebuilding import Rebuilding
from index.vectors.local.state import load
from index.vectors.query.duplicates import duplicate_groups
from index.vectors.query.filter_cache import FilteredRows
from index.vectors.query.plan import expected_s
from index.vectors.query.recall import RecallCheck
from index.vectors.query.together import Looked
from index.vectors.segment.payloads import pack_record
from index.vectors.segment.rows import memory_of
from index.vectors.segment.view import View
from index.vectors.snapshots.files import SnapshotFiles

# Fields of a query whose cost is not foreseen.
_TAKES_LONGER = (
    "boosts",
    "by_distance",
    "diversity",
    "facets",
    "group_by_product",
    "include_vectors",
    "offset",
    "order",
)
_CAPABILITIES = Capabilities(approximate=True, learning=True, saves=True)


class LocalVectorIndexes:
    """Implements `index.contract.VectorIndexFactory`."""

    def __init__(self, builders: AnnBuilds | None = None) -> None:
        """`builders`: how many ANN indexes are built at once."""
        self._builders = builders or AnnBuilds()

    def open(self, spec: CollectionSpec, store: RecordStore, site: IndexSite) -> LocalVectorIndex:
        return LocalVectorIndex(spec, store, site, self._builders)

    def close(self) -> None:
        self._builders.close()


class LocalVectorIndex:
    """Implements `index.contract.VectorIndex`."""

    def __init__(self, spec: CollectionSpec, store: RecordStore, site: IndexSite, builders: AnnBuilds) -> None:
        """Raises as the factory does."""
        self._snapshots = SnapshotFiles(spec, site)
        queries = QueryMean(spec.dimension, store.learnt("queries"))
        self.state, self.damaged_files = load(self._snapshots, store, spec.dimension)
        self.answering = Answering(spec.encoder_fingerprint, queries)
        self.rebuilding = Rebuilding(self.state, store, self._snapshots, builders, CenteringPolicy(queries))
        self.set_learning(spec.learning)

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def view(self) -> View:
        """What searches see now."""
        return self.state.rows.view

    @property
    def recall(self) -> RecallCheck:
        """Does the ANN index find what it must?"""
        return self.rebuilding.recall

    @property
    def learning(self) -> CenteringPolicy:
        """Whether centring helps."""
        return self.rebuilding.learning

    @property
    def ann_index_is_unsaved(self) -> bool:
        """Whether an ANN index was built after the last snapshot."""
        return self.rebuilding.ann_index_is_unsaved

    @property
    def sequence(self) -> int:
        return self.view.sequence

    @property
    def needs_changes_after(self) -> int:
        return self.rebuilding.needs_changes_after

    @property
    def memory_bytes(self) -> int:
        return memory_of(self.view) + self.answering.copied_bytes

    def stage(self, changes: Sequence[RowChange]) -> StagedChanges:
        return self.state.rows.stage(changes)

    def search(
        self, query: SearchQuery, excluded: frozenset[int] = frozenset(), only: frozenset[int] | None = None
    ) -> SearchAnswer:
        view, looked = self.view, None
        if is_plain(query) and not excluded and only is None:
            found = answered_together(self.answering, view, (query,), self.recall)[0]
            if isinstance(found, SearchAnswer):
                return found
            looked = found
        return self.answering.search(view, query, Chosen(excluded, only), self.recall, looked)

    def search_together(
        self, queries: Sequence[SearchQuery], before_longer: Callable[[], object]
    ) -> list[SearchAnswer | None]:
        first = queries[0]
        if not all(
            is_plain(q) and (q.k, q.show, q.max_bytes) == (first.k, first.show, first.max_bytes) for q in queries
        ):
            return [None] * len(queries)
        view, answers = self.view, list[SearchAnswer | None]()
        for query, found in zip(queries, answered_together(self.answering, view, queries, self.recall), strict=True):
            if isinstance(found, Looked):
                before_longer()
                answers.append(self._looked_further(view, query, found))
            else:
                answers.append(found)
        return answers

    def _looked_further(self, view: View, query: SearchQuery, looked: Looked) -> SearchAnswer | None:
        try:
            return self.answering.search(view, query, Chosen(), self.recall, looked)
        except AfterimageIndexError:
            return None

    def select(self, filter_text: str = "") -> FilteredRows:
        return self.answering.allowed(self.view, filter_text)

    def note_queries(self, queries: QuerySum) -> None:
        self.answering.queries.merge(queries.number, queries.total)

    def remembered(self, filter_text: str = "") -> FilteredRows | None:
        return self.answering.remembered(self.view, filter_text)

    def expected_s(self, query: SearchQuery) -> float:
        longer = not is_plain(query) and any(getattr(query, field) for field in _TAKES_LONGER)
        if longer or query.max_distance is not None:
            return math.inf
        allowed = self.answering.remembered(self.view, query.filter)
        return math.inf if allowed is None else expected_s(allowed, query.k, ef_factor=self.recall.ef_factor)

    def shown(self, record_ids: Sequence[str], show: Show) -> list[bytes] | None:
        return self.answering.showing.shown(self.view, record_ids, show)

    def show(self, row_ids: Iterable[int], show: Show, max_bytes: int) -> dict[str, bytes]:
        return self.answering.showing.show(self.view, row_ids, show, max_bytes)

    def rows_of_products(self, product_ids: Sequence[str]) -> list[tuple[int, int]]:
        view = self.view
        slots = [s for p in product_ids for s in view.slots_of_product(p)]
        return list(zip(view.row_ids[slots].tolist(), view.sequences[slots].tolist(), strict=True))

    def duplicates(
        self, filter_text: str, max_distance: float, verdicts: RowVerdicts
    ) -> Generator[RowGroup, None, VerdictTally]:
        view = self.view
        return (yield from duplicate_groups(self.answering.allowed(view, filter_text), max_distance, verdicts))

    def erase(self) -> int:
        sequence = self.rebuilding.erase()
        self.answering.forget_earlier(self.view)
        return sequence

    def maintain(self) -> str | None:
        done = self.rebuilding.maintain()
        self.answering.forget_earlier(self.view)
        return done

    def optimise(self, *, anew: bool = False) -> bool:
        return self.rebuilding.build_ann_index(anew=anew)

    def compact(self) -> None:
        self.rebuilding.compact()

    def learn(self, transform: CenteringTransform | None) -> None:
        """Compares from another transform from now on, None: as the encoder made the vectors."""
        self.rebuilding.learn(transform)

    def set_learning(self, wanted: bool) -> None:
        self.learning.allowed = self.answering.queries.wanted = wanted

    def stats(self) -> CollectionStats:
        view, check = self.view, self.recall
        parameters = view.ann_index.parameters if view.ann_index is not None else None
        built = parameters.recall if parameters is not None else None
        return CollectionStats(
            view.records, view.count - view.records, view.sequence, view.index_time_ms, 0,
            self.state.snapshot_sequence, view.ann_rows, self.memory_bytes,
            check.measured if check.comparisons else built, check.comparisons,
            0 if parameters is None else int(parameters.candidates * check.ef_factor), self.learning.gain,
            view.transform is not None, self.ann_index_is_unsaved,
        )  # fmt: skip

    def save(self) -> int:
        return self.rebuilding.snapshot()

    def file_problems(self) -> Iterator[str]:
        return self._snapshots.all_problems()

    def differences(self, records: Iterable[StoredRecord]) -> Iterator[str]:
        return _differences(self.view, records)

    def close(self) -> None:
        self.rebuilding.close()


def _differences(view: View, records: Iterable[StoredRecord]) -> Iterator[str]:
    found = 0
    for record in records:
        slots = view.slots_of([record.row_id])
        if not slots:
            yield f"memory: the record of row {record.row_id} is missing"
            continue
        found += 1
        assert record.vector is not None
        vector = record.vector[None, :] if view.transform is None else view.transform.rows(record.vector[None, :])[0]
        if not np.array_equal(vector[0].astype(np.float16), view.float16[slots[0]]):
            yield f"memory: the vector of row {record.row_id} differs from the stored one"
        if bytes(view.payloads.record(slots[0])) != pack_record(record, attributes_to_json(record.attributes)):
            yield f"memory: the record of row {record.row_id} differs from the stored one"
    if found != view.records:
        yield f"memory: {view.records} records are searchable, {found} are stored"
