"""Groups of records that look the same.

Each group is a record and later ones within the distance of it; a chain of small steps does not join what is far apart.
Two records within the distance of each other are together in at least one group. So a record can be in several, where
it is near others that are not near each other; no group repeats a pair of its first record that an earlier one has.

Up to SKETCHED_ROWS rows are compared by their signatures and vectors (index/vectors/query/pairs.py), which misses fewer
than one pair in a thousand. More are looked up in the ANN index's graph, so that the cost grows with the rows and not
with their square; there fewer than one pair in a hundred is missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator

import numpy as np
from numpy.typing import NDArray

from index.contract import RowGroup
from index.speed.roaring_arrays import members
from index.types.errors import InvalidInput
from index.types.feedback.judgements import RowVerdicts, VerdictTally
from index.vectors.ann.ann_index import AnnIndex
from index.vectors.query.filter_cache import FilteredRows
from index.vectors.query.judged import JudgedGrouping, PlaceVerdicts
from index.vectors.query.pairs import Near, near_pairs
from index.vectors.segment.view import View

SKETCHED_ROWS = 300_000
_BLOCK = 1024
_NEIGHBOURS, _MOST_NEIGHBOURS = 16, 1024
_LAST = 4  # of the rows found, the last quarter says whether there may be more
_GRAPH_EFFORT = 64

Pairs = list[tuple[int, float]]


def duplicate_groups(
    allowed: FilteredRows, max_distance: float, verdicts: RowVerdicts
) -> Generator[RowGroup, None, VerdictTally]:
    """Groups of two or more allowed rows, as they are found. Returns what the verdicts did. Raises InvalidInput where
    too many rows are allowed of a collection that has no ANN index yet."""
    view = allowed.view
    slots = members(allowed.rows)
    slots = slots[np.argsort(view.row_ids[slots], kind="stable")]
    row_ids = view.row_ids[slots]
    near = _Alike(view, slots).completed(_near_places(allowed, slots, max_distance))
    grouping = JudgedGrouping(PlaceVerdicts.over(row_ids, verdicts))
    for group in grouping.groups(near):
        distance = group.max_distance
        if distance is None:
            first, *rest = slots[group.places].tolist()
            apart = view.distances(view.originals(np.array([first]))[0], np.array(rest, np.int64))
            distance = float(apart.max())
        contradictions = tuple((int(row_ids[a]), int(row_ids[b])) for a, b in group.contradictions)
        yield RowGroup(tuple(row_ids[group.places].tolist()), distance, group.merged, contradictions)
    return grouping.tally


def _near_places(allowed: FilteredRows, slots: NDArray[np.int64], max_distance: float) -> Iterator[Near]:
    view = allowed.view
    if len(slots) <= SKETCHED_ROWS:
        return near_pairs(view, slots, max_distance)
    if view.ann_index is None:
        message = f"{len(slots)} records are more than {SKETCHED_ROWS}, and the index is not built yet"
        raise InvalidInput("filter", f"{message}; reduce them with a filter")
    return _looked_up(allowed, view.ann_index, slots, max_distance)


class _Alike:
    """Places whose vectors are the same to the last bit: at distance 0, whatever rounding says, and each near what the
    others are near to. A graph leads to a few of very many equal rows only."""

    def __init__(self, view: View, slots: NDArray[np.int64]) -> None:
        by_hash: dict[int, list[int]] = defaultdict(list)
        for start in range(0, len(slots), _BLOCK):
            for place, row in enumerate(view.float16[slots[start : start + _BLOCK]], start):
                by_hash[hash(row.tobytes())].append(place)
        self._of = {place: np.array(alike) for alike in by_hash.values() if len(alike) > 1 for place in alike}

    def completed(self, near: Iterator[Near]) -> Iterator[Near]:
        """The places with what they are near to, in order; and those that equal a place, where that is missing."""
        waiting = iter(sorted(self._of))
        following = next(waiting, None)
        for place, others, distances in near:
            while following is not None and following < place:
                yield from self._alone(following)
                following = next(waiting, None)
            if following == place:
                following = next(waiting, None)
                others, distances = self._with_equals(place, others, distances)
            if len(others):
                yield place, others, distances
        while following is not None:
            yield from self._alone(following)
            following = next(waiting, None)

    def _alone(self, place: int) -> Iterator[Near]:
        equal = self._of[place]
        later = equal[equal > place]
        if len(later):
            yield place, later, np.zeros(len(later), np.float32)

    def _with_equals(
        self, place: int, others: NDArray[np.int64], distances: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        equal = self._of[place]
        equal = equal[equal > place]
        rest = ~np.isin(others, equal)
        others = np.concatenate([others[rest], equal])
        distances = np.concatenate([distances[rest], np.zeros(len(equal), np.float32)])
        order = np.argsort(others, kind="stable")
        return others[order], distances[order]


def _looked_up(
    allowed: FilteredRows, ann_index: AnnIndex, slots: NDArray[np.int64], max_distance: float
) -> Iterator[Near]:
    """Each place with the later ones within the distance that the graph finds, and those that the ANN index does not
    cover."""
    view = allowed.view
    place_of = np.full(view.count, -1, np.int64)
    place_of[slots] = np.arange(len(slots))
    newer = np.flatnonzero(slots >= ann_index.rows)
    from_newer: dict[int, Pairs] = defaultdict(
        list
    )  # pairs with a row that the ANN index does not cover, by the earlier
    for place, others, distances in near_pairs(view, slots[newer], max_distance):
        pairs = zip(newer[others].tolist(), distances.tolist(), strict=True)
        from_newer[int(newer[place])] += pairs
    for place, neighbours in _through_graph(allowed, ann_index, slots, newer, max_distance):
        for other, distance in neighbours:
            there = int(place_of[other])
            from_newer[min(place, there)].append((max(place, there), distance))
    old = np.flatnonzero(slots < ann_index.rows)
    found: Iterator[tuple[int, Pairs]] = _through_graph(allowed, ann_index, slots, old, max_distance)
    rest = iter(sorted(newer.tolist()))
    coming = next(rest, None)
    for place, neighbours in found:
        while coming is not None and coming < place:
            yield from _near(coming, from_newer.pop(coming, []))
            coming = next(rest, None)
        later = [(int(place_of[other]), distance) for other, distance in neighbours]
        yield from _near(place, [n for n in later if n[0] > place] + from_newer.pop(place, []))
    while coming is not None:
        yield from _near(coming, from_newer.pop(coming, []))
        coming = next(rest, None)


def _near(place: int, pairs: Pairs) -> Iterator[Near]:
    if pairs:
        pairs = sorted(dict(pairs).items())
        yield place, np.array([p for p, _ in pairs], np.int64), np.array([d for _, d in pairs], np.float32)


def _through_graph(
    allowed: FilteredRows, ann_index: AnnIndex, slots: NDArray[np.int64], places: NDArray[np.int64], max_distance: float
) -> Iterator[tuple[int, Pairs]]:
    """Some places with the slots of the ANN index within the distance. Where the last ones found are still within it,
    more are looked for, up to so many as a block of places may hold in memory."""
    view, bits = allowed.view, allowed.bits
    for start in range(0, len(places), _BLOCK):
        block = slots[places[start : start + _BLOCK]]
        compared, originals = view.float16[block].astype(np.float32), view.originals(block)
        neighbours, wanted = _NEIGHBOURS, np.arange(len(block))
        found: dict[int, Pairs] = {}
        while len(wanted) and neighbours <= _MOST_NEIGHBOURS:
            rows = ann_index.graph.search_many(compared[wanted], neighbours, max(_GRAPH_EFFORT, neighbours), bits)
            more = np.zeros(len(wanted), np.bool_)
            for number, i in enumerate(wanted.tolist()):
                found[i], more[number] = _within(view, originals[i], rows[number], max_distance)
            wanted = wanted[more]
            neighbours *= 4
        for i, slot in enumerate(block.tolist()):
            yield int(places[start + i]), [pair for pair in found[i] if pair[0] != slot]


def _within(view: View, query: NDArray[np.float32], rows: NDArray[np.int64], max_distance: float) -> tuple[Pairs, bool]:
    """Those of the rows found, likeliest first, that are within the distance; and whether there may be more. A
    collection that has learnt finds rows in another order than that of distances."""
    looked_for, rows = len(rows), rows[rows >= 0]
    distances = view.distances(query, rows)
    near = distances <= max_distance
    more = len(rows) == looked_for and bool(near[-(looked_for // _LAST) :].any())
    return list(zip(rows[near].tolist(), distances[near].tolist(), strict=True)), more
