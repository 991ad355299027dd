"""The expected answers of searches, computed with NumPy from the stored vectors alone.

The order is by distance, and equal vectors by their last write. In a centred collection it is by the cosine of the
centred vectors. Two vectors may be swapped if their distances differ by less than single precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterimage.v1 import search_service_pb2 as pb
from service.encoder.manifest import BlockSpec, ScoreSpec
from tests.support.data.filters import Predicate

TOLERANCE = 4e-6


@dataclass
class Held:
    """A record: its vector as given, normalised, and the number of its last write."""

    vector: NDArray[np.float32]
    product_id: str
    attributes: Mapping[str, Any]
    written: int


@dataclass(frozen=True)
class Asked:
    """A request and its meaning: the vectors of its terms, its filter, and records that must not be hits."""

    request: pb.SearchRequest
    vectors: Sequence[NDArray[np.float32]]
    matches: Predicate | None
    excluded: frozenset[str]


@dataclass(frozen=True)
class Learned:
    """Means of a centred collection."""

    catalogue_mean: NDArray[np.float32]
    query_mean: NDArray[np.float32]


@dataclass(frozen=True)
class Expected:
    """The expected answer: row numbers in order and in groups, and the sort keys of all rows, lowest first."""

    groups: list[list[int]]
    keys: NDArray[np.float64]
    distances: NDArray[np.float64]
    tolerance: float
    allowed: int
    facets: dict[str, dict[Any, int]]


@dataclass
class Oracle:
    """The content of a collection at one moment."""

    held: Mapping[str, Held]
    blocks: Sequence[BlockSpec]
    score: ScoreSpec
    learned: Learned | None = None
    _filtered: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ids = sorted(self.held, key=lambda i: self.held[i].written)
        self.row_of = {record_id: row for row, record_id in enumerate(self.ids)}
        self.records = [self.held[i] for i in self.ids]
        vectors = np.stack([r.vector for r in self.records])
        if self.learned is None:
            self.rows = vectors.astype(np.float16).astype(np.float64)
        else:  # held centred, with the length that was lost
            centred = vectors - self.learned.catalogue_mean
            lengths = np.linalg.norm(centred, axis=1).astype(np.float32)
            self.centred = (centred / lengths[:, None]).astype(np.float16).astype(np.float64)
            self.rows = self.centred * lengths[:, None] + self.learned.catalogue_mean.astype(np.float64)
        self.products = np.array([r.product_id for r in self.records])
        _, self._first, alike, counts = np.unique(
            self.rows, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        self.alike = alike.reshape(-1)
        self._shared = counts > 1

    def allowed(self, asked: Asked) -> NDArray[np.bool_]:
        """The rows that the filter allows, of those that are searched."""
        matching = self._matching(asked)
        if not asked.request.only_record_ids:
            return matching
        named = np.zeros(len(self.ids), np.bool_)
        named[[self.row_of[i] for i in asked.request.only_record_ids if i in self.row_of]] = True
        return matching & named

    def _matching(self, asked: Asked) -> NDArray[np.bool_]:
        if asked.matches is None:
            return np.ones(len(self.ids), np.bool_)
        known = self._filtered.get(id(asked.matches))
        if known is None:
            known = np.array([asked.matches(r.product_id, r.attributes) for r in self.records], np.bool_)
            self._filtered[id(asked.matches)] = known
        return known

    def expected(self, asked: Asked) -> Expected:
        """The whole answer, before offset and k."""
        request = asked.request
        distances, tolerance = self._distances(asked)
        keys = distances if self.learned is None or request.emphasis else self._learned_keys(asked)
        keys = keys[self._first][self.alike]  # numpy rounds the last bit of equal rows as they lie in memory
        allowed = self.allowed(asked)
        near = allowed.copy()
        near[[self.row_of[i] for i in asked.excluded if i in self.row_of]] = False
        near &= distances <= self._farthest(request) + tolerance
        rows = np.flatnonzero(near)
        rows = rows[np.lexsort((rows, keys[rows]))]
        groups = self._groups(rows) if request.group_by else [[row] for row in rows.tolist()]
        facets = {name: self._facet(name, allowed) for name in request.facets}
        return Expected(groups, keys, distances, tolerance, int(allowed.sum()), facets)

    def _farthest(self, request: pb.SearchRequest) -> float:
        limit = request.max_distance if request.HasField("max_distance") else 2.0
        return min(limit, self.score.distance(request.min_score) if request.HasField("min_score") else 2.0)

    def _combined(self, asked: Asked) -> NDArray[np.float64]:
        total = np.zeros(self.rows.shape[1])
        for term, vector in zip(asked.request.query, asked.vectors, strict=True):
            total += (term.weight or 1.0) * vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64))
        total /= np.linalg.norm(total)
        said = asked.request.feedback
        likes = said.liked_weight if said.HasField("liked_weight") else 1.5
        dislikes = said.disliked_weight if said.HasField("disliked_weight") else 0.75
        for ids, weight in ((said.liked_record_ids, likes), (said.disliked_record_ids, -dislikes)):
            known = [self.held[i].vector.astype(np.float64) for i in ids if i in self.held]
            if known:
                total += weight * sum(known) / len(known)
        return np.asarray(total / np.linalg.norm(total))

    def _distances(self, asked: Asked) -> tuple[NDArray[np.float64], float]:
        query = self._combined(asked)
        if not asked.request.emphasis:
            return np.clip(1 - self.rows @ query, 0, 2), TOLERANCE
        weights = np.array([asked.request.emphasis.get(b.name, 1.0) for b in self.blocks])
        numbers = np.repeat(weights, [b.size for b in self.blocks])
        of_query = np.sqrt((numbers * query * query).sum())
        of_rows = np.sqrt((weights * [b.share for b in self.blocks]).sum())
        cosines = self.rows @ (numbers * query) / (of_query * of_rows)
        scale = np.linalg.norm(numbers * query) / (of_query * of_rows)
        return np.clip(1 - cosines, 0, 2), TOLERANCE * max(1.0, float(scale))

    def _learned_keys(self, asked: Asked) -> NDArray[np.float64]:
        assert self.learned is not None
        own = all(t.WhichOneof("source") == "record_id" for t in asked.request.query)
        query = self._combined(asked) - (self.learned.catalogue_mean if own else self.learned.query_mean)
        return -(self.centred @ (query / np.linalg.norm(query)))

    def _groups(self, rows: NDArray[np.int64]) -> list[list[int]]:
        groups: dict[Any, list[int]] = {}
        for row in rows.tolist():
            groups.setdefault(self.products[row] or row, []).append(row)
        return list(groups.values())

    def _facet(self, name: str, allowed: NDArray[np.bool_]) -> dict[Any, int]:
        counts: dict[Any, int] = {}
        for row in np.flatnonzero(allowed).tolist():
            value = self.records[row].attributes.get(name)
            for one in value if isinstance(value, tuple) else () if value is None or type(value) is float else (value,):
                counts[type(one), one] = counts.get((type(one), one), 0) + 1
        return {one: count for (_, one), count in counts.items()}

    # ---- comparing

    def problems(self, asked: Asked, answer: pb.SearchResponse, *, exact: bool) -> tuple[list[str], float]:
        """What is wrong with an answer, and its recall (1 if nothing was expected).

        An exact answer must be completely correct, any other except for the selection of records.
        """
        request, expected = asked.request, self.expected(asked)
        size = (request.group_size or 1) if request.group_by else 1
        wanted = [g[:size] for g in expected.groups[request.offset : request.offset + request.k]]
        groups = answer.groups if request.group_by else [pb.HitGroup(hits=[h]) for h in answer.hits]
        found = [[self.row_of.get(h.record_id, -1) for h in g.hits] for g in groups]
        wrong = list(self._always(asked, answer, expected, groups, found))
        if wrong:
            return wrong, 0.0
        if exact:
            wrong += self._exactly(request, expected, wanted, found)
        return wrong, self._share(expected, wanted, found)

    def _always(self, asked: Any, answer: Any, expected: Any, groups: Any, found: Any) -> Iterator[str]:
        request = asked.request
        if answer.allowed_count != expected.allowed:
            yield f"allowed_count {answer.allowed_count}, not {expected.allowed}"
        facets = {f.attribute: {_value(c): c.count for c in f.counts} for f in answer.facets}
        if facets != expected.facets:
            yield f"facets {facets}, not {expected.facets}"
        rows = [row for group in found for row in group]
        if len(found) > request.k or any(len(g) > (request.group_size or 1) for g in found if request.group_by):
            yield f"{[len(g) for g in found]} hits for k={request.k}"
        if len(set(rows)) < len(rows):
            yield "a record twice"
        allowed = self.allowed(asked)
        for group, members in zip(groups, found, strict=True):
            for hit, row in zip(group.hits, members, strict=True):
                if row < 0 or not allowed[row] or hit.record_id in asked.excluded:
                    yield f"{hit.record_id} may not be a hit"
                elif abs(hit.distance - expected.distances[row]) > expected.tolerance:
                    yield f"distance {hit.distance}, not {expected.distances[row]}"
                elif request.HasField("max_distance") and hit.distance > request.max_distance:
                    yield f"distance {hit.distance} above {request.max_distance}"
                elif request.HasField("min_score") and hit.score < request.min_score:
                    yield f"score {hit.score} below {request.min_score}"
                elif abs(hit.score - self.score.score(hit.distance)) > 1e-4:
                    yield f"score {hit.score} at distance {hit.distance}"
                if request.group_by and hit.product_id != group.product_id:
                    yield "a hit of another product"
        if self.learned is None or request.emphasis:
            told = [
                [(h.distance, row) for h, row in zip(g.hits, m, strict=True)]
                for g, m in zip(groups, found, strict=True)
            ]
            if any(pairs != sorted(pairs) for pairs in ([g[0] for g in told], *told)):
                yield f"equal distances not in the order of their last write: {told}"
        firsts = [expected.keys[g[0]] for g in found if g and g[0] >= 0]
        orders = [firsts, *([expected.keys[r] for r in g if r >= 0] for g in found)]
        if any(a > b + expected.tolerance for keys in orders for a, b in pairwise(keys)):
            yield f"not in order: {orders}"

    def _exactly(self, request: Any, expected: Any, wanted: Any, found: Any) -> Iterator[str]:
        """Each place must have the expected row, or another one at the same distance.

        Records with equal vectors keep their order. A row exactly at a limit may be present or absent.
        """
        edge = self._farthest(request) - expected.tolerance
        size = (request.group_size or 1) if request.group_by else 1
        for place, (right, members) in enumerate(zip(wanted, found, strict=False)):
            if size > 1 and members and members[0] not in right:  # another group, which must be as near
                if abs(expected.keys[right[0]] - expected.keys[members[0]]) > 2 * expected.tolerance:
                    yield f"{self.ids[members[0]]} leads the group at place {place}, not {self.ids[right[0]]}"
                right = next((g for g in expected.groups if members[0] in g), right)[:size]
            sure = [row for row in right if expected.distances[row] < edge]
            if not len(sure) <= len(members) <= len(right):
                yield f"group {place} has {len(members)} members, not {len(right)}"
            for one, other in zip(right, members, strict=False):
                if one != other and abs(expected.keys[one] - expected.keys[other]) > 2 * expected.tolerance:
                    yield f"{self.ids[other]} at place {place}, not {self.ids[one]}"
        sure_groups = [g for g in wanted if expected.distances[g[0]] < edge]
        if not len(sure_groups) <= len(found) <= len(wanted):
            yield f"{len(found)} groups, not {len(wanted)}"
        leaders = [g[0] for g in expected.groups]
        if not request.group_by:
            yield from self._ties(leaders, [g[0] for g in found], request.offset)
        else:
            for right, members in zip(wanted, found, strict=False):
                whole = next((g for g in expected.groups if members and members[0] in g), right)
                yield from self._ties(whole, members, 0)

    def _ties(self, whole: list[int], found: list[int], offset: int):  # type: ignore[no-untyped-def]
        """Hits with equal vectors must be consecutive in the order of all, from the first on if nothing was left out
        before."""
        by_class: dict[int, list[int]] = {}
        for row in found:
            if self._shared[self.alike[row]]:
                by_class.setdefault(int(self.alike[row]), []).append(row)
        for kind, rows in by_class.items():
            order = [row for row in whole if self.alike[row] == kind]
            at = order.index(rows[0]) if rows[0] in order else -1
            if at < 0 or order[at : at + len(rows)] != rows or (at > 0 and not offset):
                yield f"equal vectors out of order: {[self.ids[r] for r in rows]} of {[self.ids[r] for r in order]}"

    def _share(self, expected: Expected, wanted: list[list[int]], found: list[list[int]]) -> float:
        if not wanted:
            return 1.0
        right, got = {r for g in wanted for r in g}, {r for g in found for r in g}
        low = min(expected.keys[g[0]] for g in wanted) - expected.tolerance
        high = max(expected.keys[g[0]] for g in wanted) + expected.tolerance
        as_good = sum(1 for r in got - right if low <= expected.keys[r] <= high)
        return min(1.0, (len(right & got) + min(as_good, 0 if len(wanted[0]) > 1 else as_good)) / len(right))


def _value(count: pb.FacetCount) -> Any:
    return count.bool_value if count.HasField("bool_value") else count.string_value
