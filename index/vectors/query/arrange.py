"""Pages in another order than that of likeness alone. Each arrangement is in a module of its own."""

from __future__ import annotations

from typing import NamedTuple

from index.types.query import ScanStrategy
from index.vectors.query.diversity import diversified
from index.vectors.query.execute import Query
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
    if not query.diversity:
        assert group_size is not None  # `search.nearest` is for that
        return Page(*nearest_groups(query, group_size))
    diverse = diversified(query, within if group_size is None else leading)
    slots, distances = diverse.candidates.slots.tolist(), diverse.candidates.distances.tolist()
    passed = tuple(Passed(slots[one], distances[one], slots[hit]) for one, hit in diverse.passed_over)
    page = diverse.hits.slots.tolist(), diverse.hits.distances.tolist()
    if group_size is None:
        return Page([[member] for member in zip(*page, strict=True)], diverse.hits.path, passed)
    return Page(members_of(query, *page, group_size), diverse.hits.path, passed)
