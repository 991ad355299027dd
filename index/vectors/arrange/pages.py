"""Pages of hits and groups in the order that a query asks for."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from index.types.ordering import Order, sort_key
from index.types.query import ORDER_REACH, ScanStrategy
from index.vectors.arrange.boosts import boosted
from index.vectors.arrange.diversity import diversified
from index.vectors.query.execute import Hits, Query
from index.vectors.query.groups import Member, leading, members_of, nearest_groups
from index.vectors.query.search import within


class Passed(NamedTuple):
    """A slot that is passed over for the sake of diversity, its distance, and the slot of the hit that it is like."""

    slot: int
    distance: float
    similar_to: int


class Page(NamedTuple):
    """The groups of a page; of one slot each where the query does not group."""

    groups: list[list[Member]]
    path: ScanStrategy
    passed_over: tuple[Passed, ...] = ()


def arranged(query: Query, group_size: int | None) -> Page:
    """The part of the order that is wanted. group_size: most members of a group; None: there are no groups."""
    best = None if query.boosts is None else boosted
    first = (best or within) if group_size is None else partial(leading, best=best)
    if query.diversity:
        diverse = diversified(query, first)
        slots, distances = diverse.candidates.slots.tolist(), diverse.candidates.distances.tolist()
        passed = tuple(Passed(slots[one], distances[one], slots[hit]) for one, hit in diverse.passed_over)
        return _page(query, diverse.hits, group_size, passed)
    if query.order is not None:
        return _page(query, _sorted(query, first(query, ORDER_REACH), query.order), group_size)
    if query.boosts is not None:
        hits, wanted = first(query, query.end), slice(query.offset, query.end)
        return _page(query, hits.at(wanted), group_size)
    assert group_size is not None  # `search.nearest` is for that
    return Page(*nearest_groups(query, group_size))


def _sorted(query: Query, hits: Hits, order: Order) -> Hits:
    """The part that is wanted of the hits in the order of an attribute; equal values in the order of likeness."""
    values = query.allowed.view.attribute_values(hits.slots.tolist(), order.attribute)
    keys = [(sort_key(value), position) for position, value in enumerate(values)]
    known = [(key, position) for key, position in keys if key is not None]
    known.sort(key=lambda pair: pair[0], reverse=order.descending)
    places = [position for _, position in known] + [position for key, position in keys if key is None]
    return hits.at(places[query.offset : query.end])


def _page(query: Query, hits: Hits, group_size: int | None, passed: tuple[Passed, ...] = ()) -> Page:
    slots, distances = hits.slots.tolist(), hits.distances.tolist()
    if group_size is None:
        return Page([[member] for member in zip(slots, distances, strict=True)], hits.path, passed)
    best = None if query.boosts is None else boosted
    return Page(members_of(query, slots, distances, group_size, best), hits.path, passed)
