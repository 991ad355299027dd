"""Orders of hits in plain Python, the oracle of the other index."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from index.types.answer import Hit, PassedOver
from index.types.boosts import Boost
from index.types.ordering import Order
from index.types.query import SearchQuery
from index.types.record import StoredRecord
from index.vectors.filters.syntax import parse_filter
from tests.support.oracles.plain_rows import Rows, matches

Groups = list[list[Hit]]


def diverse(groups: Groups, rows: Rows, query: SearchQuery) -> tuple[Groups, tuple[PassedOver, ...]]:
    """The groups up to the end of the page by maximal marginal relevance of their first hits, and those passed over."""
    place_of = {record.row_id: place for place, record in enumerate(rows.by_age)}
    vectors = np.array([rows.vectors[place_of[group[0].record.row_id]] for group in groups])
    if not groups:
        return groups, ()
    likeness = (query.scale * (vectors @ query.vector.astype(np.float64))).astype(np.float32)
    likeness += np.array([group[0].boost for group in groups], np.float32)
    alike = (vectors @ vectors.T).astype(np.float32)
    picked = [0]
    end = min(query.offset + query.k, len(groups))
    while len(picked) < end:
        reach = min(len(groups), 4 * query.k * (len(picked) // query.k + 1))
        left = [n for n in range(reach) if n not in picked]
        gains = [(1 - query.diversity) * likeness[n] - query.diversity * max(alike[n, p] for p in picked) for n in left]
        picked.append(left[int(np.argmax(gains))])
    page = picked[query.offset : end]
    passed = [n for n in range(max(page, default=0)) if n not in picked]
    like = [picked[int(np.argmax([alike[n, p] for p in picked]))] for n in passed]
    told = [
        PassedOver(groups[n][0].record.record_id, groups[n][0].distance, groups[p][0].record.record_id)
        for n, p in zip(passed, like, strict=True)
    ]
    return [groups[n] for n in picked], tuple(told)


def by_attribute(groups: Groups, order: Order) -> Groups:
    """The groups by an attribute of their first hits; those without a value last."""

    def key(group: list[Hit]) -> tuple[int, Any]:
        value: Any = group[0].record.attributes.get(order.attribute)
        kind = next((n for n, types in enumerate(((bool,), (str,), (int, float))) if isinstance(value, types)), None)
        return (-1, 0) if kind is None else (2 - kind, value)

    with_value = [g for g in groups if key(g)[0] >= 0]
    return sorted(with_value, key=key, reverse=order.descending) + [g for g in groups if key(g)[0] < 0]


def boosted(groups: dict[object, list[Hit]], query: SearchQuery) -> dict[object, list[Hit]]:
    """The groups and their hits by likeness plus boost, each boost worked out record by record."""

    def explained(hit: Hit) -> Hit:
        parts = tuple(boost.weight * _factor(boost, hit.record) for boost in query.boosts)
        cap = math.inf if query.boost_cap is None else query.boost_cap
        return hit._replace(boosts=parts, boost=max(-cap, min(cap, sum(parts))))

    hits = [(key, explained(hit)) for key, group in groups.items() for hit in group]
    hits.sort(
        key=lambda pair: (-round(1 - pair[1].distance + pair[1].boost, 6), pair[1].distance, pair[1].record.sequence)
    )
    ordered: dict[object, list[Hit]] = {}
    for key, hit in hits:
        ordered.setdefault(key, []).append(hit)
    return ordered


def _factor(boost: Boost, record: StoredRecord) -> float:
    number = boost.number
    if number is None:
        tree = parse_filter(boost.filter)
        return float(tree is None or matches(tree, record))
    value = record.attributes.get(number.attribute)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    if (number.side == "more" and value > number.origin) or (number.side == "less" and value < number.origin):
        return 1.0
    steps = max(0.0, abs(value - number.origin) - number.offset) / number.scale
    return {"linear": max(0.0, 1 - steps / 2), "exponential": 0.5**steps, "gauss": 0.5 ** (steps * steps)}[number.decay]
