"""Records in plain Python, and which of them a filter allows: the oracle's part of a vector index."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from pyroaring import BitMap

from index.types.answer import MOST_FACET_VALUES, Facet, FilterHints
from index.types.errors import InvalidInput
from index.types.facets import NumberRange, parse_facet
from index.types.ordering import Order, Position, sort_key
from index.types.record import StoredRecord
from index.vectors.fields.columns import Columns
from index.vectors.filters.hints import hints_of
from index.vectors.filters.syntax import Combination, Comparison, Has, Node, Text, parse_filter

_COMPARE = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def matches(node: Node, record: StoredRecord) -> bool:
    """Whether a filter allows a record. Raises InvalidInput where it names `record_id`."""
    if isinstance(node, Combination):
        parts = [matches(part, record) for part in node.parts]
        return not parts[0] if node.operator == "NOT" else all(parts) if node.operator == "AND" else any(parts)
    if node.name == "record_id":
        raise InvalidInput("filter", "record_id cannot be used in a filter; list the ids in the request instead")
    held = (record.product_id or None) if node.name == "product_id" else record.attributes.get(node.name)
    if held is None or node.value is None:
        return held is not None
    if isinstance(held, tuple):
        return isinstance(node, Has) and any(_compare("=", value, node.value) for value in held)
    return _compare(node.operator if isinstance(node, Comparison) else "=", held, node.value)


def _compare(name: str, held: str | float | bool, literal: Text | float | bool) -> bool:
    if isinstance(literal, Text):
        if not isinstance(held, str):
            return False
        if literal.prefix:
            return held.startswith(literal.value) == (name == "=")
        return bool(_COMPARE[name](held, literal.value))
    return type(held) is type(literal) and bool(_COMPARE[name](held, literal))


def _is_in(number: float, wanted: NumberRange) -> bool:
    return (wanted.low is None or number >= wanted.low) and (wanted.high is None or number < wanted.high)


def _begin(whole: list[Position], order: Order, after: Position | None) -> int:
    """The place of the first one that comes after a position, which need not be there any more."""
    if after is None:
        return 0
    key = sort_key(after.value)
    for place, one in enumerate(whole):
        other = sort_key(one.value)
        if other == key:
            if one.row_id > after.row_id:
                return place
        elif other is None or (key is not None and (other < key if order.descending else other > key)):
            return place
    return len(whole)


@dataclass(frozen=True)
class Rows:
    """The records after one commit, by row id. As a Selection: those that a filter allows."""

    held: dict[int, StoredRecord]
    sequence: int = 0
    time_ms: int = 0
    hints: FilterHints = field(default_factory=FilterHints)

    @property
    def count(self) -> int:
        return len(self.held)

    @cached_property
    def by_age(self) -> list[StoredRecord]:
        return sorted(self.held.values(), key=lambda record: record.sequence)

    @cached_property
    def vectors(self) -> np.ndarray:
        """In half precision, as the other index keeps them: shape (rows, dimension), float64."""
        return np.array([r.vector for r in self.by_age], np.float16).astype(np.float64)

    def chosen(self, filter_text: str) -> Rows:
        tree = parse_filter(filter_text)
        if tree is None:
            return self
        columns = Columns()
        columns.extend(0, [r.attributes for r in self.held.values()])
        hints = hints_of(tree, columns, BitMap(range(self.count)))
        return Rows({i: r for i, r in self.held.items() if matches(tree, r)}, self.sequence, self.time_ms, hints)

    def only(self, row_ids: frozenset[int]) -> Rows:
        held = {i: r for i, r in self.held.items() if i in row_ids}
        return Rows(held, self.sequence, self.time_ms, self.hints)

    def in_order(self, order: Order, after: Position | None, limit: int) -> list[Position]:
        by_row = sorted(self.held.items())
        keys = [(sort_key(r.attributes.get(order.attribute)), i) for i, r in by_row]
        known = sorted((k for k in keys if k[0]), key=lambda pair: pair[0], reverse=order.descending)  # type: ignore[arg-type,return-value]
        whole = [Position(k[1], i) for k, i in known if k] + [Position(None, i) for k, i in keys if k is None]
        return whole[_begin(whole, order, after) :][:limit]

    def facet(self, text: str) -> Facet:
        attribute, edges = wanted = parse_facet(text)
        if edges:
            held = [r.attributes.get(attribute) for r in self.held.values()]
            numbers = [v for v in held if isinstance(v, float | int) and not isinstance(v, bool)]
            counted = tuple((r, sum(_is_in(v, r) for v in numbers)) for r in wanted.ranges)
            return Facet(attribute, counted, len(counted))
        counts: Counter[str | bool] = Counter()
        for record in self.held.values():
            value = record.attributes.get(attribute)
            counts.update(set(value) if isinstance(value, tuple) else [value] if isinstance(value, str | bool) else [])
        best = sorted(counts.items(), key=lambda entry: (-entry[1], str(entry[0])))
        return Facet(attribute, tuple(best[:MOST_FACET_VALUES]), len(best))

    def row_ids(self, after: int, limit: int) -> list[int]:
        return sorted(i for i in self.held if i > after)[:limit]

    def row_ids_at(self, positions: Sequence[int]) -> list[int]:
        row_ids = sorted(self.held)
        return [row_ids[position] for position in positions]

    def versions(self) -> list[tuple[int, int]]:
        return sorted((i, record.sequence) for i, record in self.held.items())
