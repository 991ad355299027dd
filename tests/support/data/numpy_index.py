"""A second vector index that keeps nothing but the records and one array, and compares every row by numpy.

It proves that a collection needs nothing of its index but `index.contract`. `install` makes the whole service use it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.contract import Capabilities, IndexSite, RecordStore, RowGroup
from index.types.answer import MOST_PASSED_OVER, Hit, PassedOver, SearchAnswer, ShownHit
from index.types.attributes import attributes_to_json
from index.types.changes import RowChange
from index.types.collection import CollectionSpec, CollectionStats
from index.types.errors import AnswerTooLarge
from index.types.feedback.judgements import RowVerdicts, VerdictTally
from index.types.query import ORDER_REACH, QuerySum, SearchQuery
from index.types.query import ScanStrategy as Strategy
from index.types.record import Show, StoredRecord
from tests.support.oracles.plain_arrangements import boosted, by_attribute, diverse
from tests.support.oracles.plain_duplicates import plain_groups
from tests.support.oracles.plain_rows import Rows

VARIABLE = "TEST_VECTOR_INDEX"  # numpy: tests and their servers use this index


@dataclass(frozen=True)
class Staged:
    index: NumpyIndex
    changes: Sequence[RowChange]

    def publish(self, sequence: int) -> None:
        held = dict(self.index.rows.held)
        for change in self.changes:
            held.pop(change.row_id, None)
            if change.record is not None:
                held[change.row_id] = change.record
        self.index.rows = Rows(held, sequence, time.time_ns() // 1_000_000)

    def discard(self) -> None:
        pass


class NumpyIndex:
    """Implements `index.contract.VectorIndex`."""

    capabilities = Capabilities()
    memory_bytes = 0
    damaged_files: list[Path] = []  # noqa: RUF012 - it has no files

    def __init__(self, store: RecordStore) -> None:
        self.rows, self._saved = Rows({}), 0
        self.stage(list(store.changes(0))).publish(store.sequences().last)

    @property
    def sequence(self) -> int:
        return self.rows.sequence

    needs_changes_after = sequence  # an opening reads everything

    def stage(self, changes: Sequence[RowChange]) -> Staged:
        return Staged(self, changes)

    def search(
        self, query: SearchQuery, excluded: frozenset[int] = frozenset(), only: frozenset[int] | None = None
    ) -> SearchAnswer:
        rows = self.rows
        allowed = rows.chosen(query.filter)
        if only is not None:
            allowed = allowed.only(only)
        distances = np.clip(1 - query.scale * (allowed.vectors.reshape(-1, len(query.vector)) @ query.vector), 0, 2)
        groups: dict[object, list[Hit]] = {}
        for place in np.argsort(distances.astype(np.float32), kind="stable").tolist():
            record, distance = allowed.by_age[place], float(np.float32(distances[place]))
            if record.row_id in excluded or (query.max_distance is not None and distance > query.max_distance):
                continue
            key = record.product_id if query.group_by_product and record.product_id else record.row_id
            vector = np.asarray(allowed.vectors[place], np.float32) if query.include_vectors else None
            groups.setdefault(key, []).append(Hit(record._replace(vector=vector), distance))
        size = query.group_size if query.group_by_product else 1
        if query.boosts:
            groups = boosted(groups, query)
        order, passed = list(groups.values()), tuple[PassedOver, ...]()
        if query.diversity:
            order, passed = diverse(order, rows, query)
        elif query.order is not None:
            order = by_attribute(order[:ORDER_REACH], query.order)
        shown = tuple(tuple(g[:size]) for g in order[query.offset : query.offset + query.k])
        if sum(_size(hit.record) for group in shown for hit in group) > query.max_bytes:
            raise AnswerTooLarge(f"the hits take more than {query.max_bytes} bytes")
        of_hits = frozenset(hit.record.row_id for group in shown for hit in group)
        counted = allowed.only(of_hits) if query.facets_over_hits else allowed
        filtered = Strategy.EXACT if allowed is rows else Strategy.EXACT_FILTERED
        told: tuple[ShownHit, ...] = ()
        if query.show is not None and not (query.group_by_product or query.boosts or query.diversity or query.order):
            told, shown = tuple(ShownHit(query.show(hit.record), hit.distance) for (hit,) in shown), ()
        return SearchAnswer(
            shown, allowed.count, filtered if allowed.count else Strategy.EMPTY, rows.sequence, rows.time_ms,
            tuple(counted.facet(name) for name in query.facets), hints=allowed.hints,
            passed_over=passed[:MOST_PASSED_OVER], passed_over_total=len(passed), shown=told,
        )  # fmt: skip

    def search_together(
        self, queries: Sequence[SearchQuery], before_longer: Callable[[], object]
    ) -> list[SearchAnswer | None]:
        return [None] * len(queries)

    def select(self, filter_text: str = "") -> Rows:
        return self.rows.chosen(filter_text)

    def note_queries(self, queries: QuerySum) -> None:
        """Learns nothing."""

    def remembered(self, filter_text: str = "") -> Rows | None:
        return None  # nothing is remembered

    def expected_s(self, query: SearchQuery) -> float:
        return math.inf  # each row is compared, however many there are

    def shown(self, record_ids: Sequence[str], show: Show) -> list[bytes] | None:
        return None  # nothing is kept

    def show(self, row_ids: Iterable[int], show: Show, max_bytes: int) -> dict[str, bytes]:
        records = [self.rows.held[i] for i in row_ids if i in self.rows.held]
        if sum(map(_size, records)) > max_bytes:
            raise AnswerTooLarge(f"the records take more than {max_bytes} bytes")
        return {record.record_id: show(record) for record in records}

    def rows_of_products(self, product_ids: Sequence[str]) -> list[tuple[int, int]]:
        return [(i, r.sequence) for i, r in self.rows.held.items() if r.product_id in product_ids]

    def duplicates(
        self, filter_text: str, max_distance: float, verdicts: RowVerdicts
    ) -> Generator[RowGroup, None, VerdictTally]:
        allowed = self.rows.chosen(filter_text)
        vectors = {r.row_id: v for r, v in zip(allowed.by_age, allowed.vectors, strict=True)}
        return (yield from plain_groups(vectors, max_distance, verdicts))

    def stats(self) -> CollectionStats:
        return CollectionStats(self.rows.count, 0, self.sequence, self.rows.time_ms, 0, self._saved)

    def differences(self, records: Iterable[StoredRecord]) -> Iterator[str]:
        held = dict(self.rows.held)
        for record in records:
            mine = held.pop(record.row_id, None)
            if mine is None or mine._replace(vector=None) != record._replace(vector=None):
                yield f"memory: the record of row {record.row_id} is another one"
        yield from (f"memory: row {row_id} is not stored" for row_id in held)

    def save(self) -> int:
        self._saved = self.sequence
        return self._saved

    def erase(self) -> int:
        return self.save()

    def maintain(self) -> str | None:
        return None

    def optimise(self, *, anew: bool = False) -> bool:
        return False

    def compact(self) -> None:
        self.save()

    def set_learning(self, wanted: bool) -> None:
        pass

    def file_problems(self) -> Iterator[str]:
        return iter(())

    def close(self) -> None:
        self.rows = Rows({})


class NumpyIndexes:
    """Implements `index.contract.VectorIndexFactory`."""

    def open(self, spec: CollectionSpec, store: RecordStore, site: IndexSite) -> NumpyIndex:
        return NumpyIndex(store)

    def close(self) -> None:
        pass


def install() -> None:
    """Has every composition root of this process open this index instead of the local one."""
    from index.tenant import directory
    from service.composition import server
    from service.tenancy import spaces

    for root in (server, spaces, directory):
        vars(root)["LocalVectorIndexes"] = NumpyIndexes


def _size(record: StoredRecord) -> int:
    text = f"{record.record_id}{record.product_id}{attributes_to_json(record.attributes)}"
    return 64 + len(text.encode()) + (0 if record.vector is None else record.vector.nbytes)
