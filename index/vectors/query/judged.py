"""Groups of duplicates under the verdicts of people.

Records of the same product, by verdicts and whatever follows from them, are one node; every other record is a node of
its own. Two nodes are different if any of their records were judged so. Two nodes are near if any of their records are
within the distance and the nodes are not different. A group is a node and later ones near it (see `duplicates`), so

- records of the same product are together wherever one of them is;
- no group has two different nodes: a pair that was judged different is never together, though both may be near a third
  record; then each is in a group with that one. The exception is a pair that other verdicts say is the same product.

Groups of single records come as they are found, unless their first is near a product of several records. Those, and the
products, come last: which groups repeat a part of a product's group is known only then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from index.speed.roaring_arrays import members
from index.types.feedback.judgements import RowVerdicts, VerdictTally
from index.vectors.query.covering import Covering
from index.vectors.query.pairs import Near

Places = NDArray[np.int64]


@dataclass(frozen=True)
class JudgedGroup:
    """Places of a group, ascending. max_distance: of one to the first; None: not worked out. merged: pairs in it that
    were judged to be of the same product. contradictions: pairs in it that were judged different."""

    places: Places
    max_distance: float | None = None
    merged: int = 0
    contradictions: tuple[tuple[int, int], ...] = ()


@dataclass
class PlaceVerdicts:
    """The verdicts on some rows, by their places in order of row id.

    - `node`: the first place of the same product, of each place.
    - `products`: the places of products with several, by the first of them.
    - `different`: nodes by node, both ways.
    """

    node: Places
    products: dict[int, Places]
    different: dict[int, Places]
    merged: dict[int, int] = field(default_factory=dict)
    contradictions: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def over(cls, row_ids: NDArray[np.int64], verdicts: RowVerdicts) -> PlaceVerdicts:
        """Those verdicts both of whose rows are among `row_ids`, which ascend."""
        same, different = (_places(row_ids, pairs) for pairs in (verdicts.same_product, verdicts.different))
        node = _joined(len(row_ids), same)
        firsts = np.unique(node[node != np.arange(len(node))])
        order = np.argsort(node, kind="stable")
        starts, ends = (np.searchsorted(node[order], firsts, side).tolist() for side in ("left", "right"))
        products = {p: order[s:e] for p, s, e in zip(firsts.tolist(), starts, ends, strict=True)}
        made = cls(node, products, {})
        for first in node[same[:, 0]].tolist():
            made.merged[first] = made.merged.get(first, 0) + 1
        apart: dict[int, set[int]] = defaultdict(set)
        for pair, (one, other) in zip(different.tolist(), node[different].tolist(), strict=True):
            if one == other:
                made.contradictions.setdefault(one, []).append((pair[0], pair[1]))
            else:
                apart[one].add(other)
                apart[other].add(one)
        made.different = {one: np.array(sorted(others), np.int64) for one, others in apart.items()}
        return made


class JudgedGrouping:
    """Makes the groups of one search. `tally` is complete when `groups` has ended."""

    def __init__(self, verdicts: PlaceVerdicts) -> None:
        count = len(verdicts.node)
        self._verdicts, self._covering = verdicts, Covering(count, verdicts.different)
        self._several = np.zeros(count, np.bool_)
        self._several[list(verdicts.products)] = True
        self._near: dict[int, BitMap] = {product: BitMap() for product in verdicts.products}
        self._touching = np.zeros(count, np.bool_)  # single records near a product
        self._held: list[tuple[Places, float]] = []
        self._left_out = 0

    @property
    def tally(self) -> VerdictTally:
        """What the verdicts did so far."""
        return VerdictTally(self._left_out, sum(self._verdicts.merged.values()))

    def groups(self, near: Iterator[Near]) -> Iterator[JudgedGroup]:
        """The groups. near: each place with the later ones within the distance, in order."""
        for place, others, distances in near:
            yield from self._of_place(place, others, distances)
        yield from self._of_products()

    def _of_place(self, place: int, others: Places, distances: NDArray[np.float32]) -> Iterator[JudgedGroup]:
        """The groups that are certain now."""
        verdicts = self._verdicts
        node, nodes = int(verdicts.node[place]), verdicts.node[others]
        if node in verdicts.different:
            apart = np.isin(nodes, verdicts.different[node])
            self._left_out += int(apart.sum())
            others, nodes, distances = others[~apart], nodes[~apart], distances[~apart]
        if self._verdicts.products:
            several = self._several[nodes]
            if self._several[node]:
                self._note(node, nodes, several)
                return
            for product in np.unique(nodes[several]).tolist():
                self._near[product].add(node)
                self._touching[node] = True
            nodes, distances = nodes[~several], distances[~several]
        for group, distance in self._covering.groups(node, nodes, distances):
            if self._touching[node]:
                self._held.append((group, distance))
            else:
                yield JudgedGroup(group, distance)

    def _note(self, product: int, nodes: Places, several: NDArray[np.bool_]) -> None:
        others = np.unique(nodes[nodes != product])
        self._near[product].update(others.tolist())
        for other in np.unique(nodes[several]).tolist():
            if other != product:
                self._near[other].add(product)
        self._touching[nodes[~several]] = True

    def _of_products(self) -> Iterator[JudgedGroup]:
        """The groups with products, and those that waited and are not part of one."""
        of_products: dict[int, list[Places]] = defaultdict(list)
        for product in sorted(self._verdicts.products):
            nodes = members(self._near.pop(product))
            found = [g for g, _ in self._covering.groups(product, nodes, np.zeros(len(nodes), np.float32))]
            if not found and not self._covering.has(product):
                found = [self._covering.alone(product)]
            for group in found:
                for node in group.tolist():
                    of_products[node].append(group)
                yield self._expanded(group)
        for group, distance in self._held:
            if not any(np.isin(group, larger).all() for larger in of_products.get(int(group[0]), ())):
                yield JudgedGroup(group, distance)

    def _expanded(self, nodes: Places) -> JudgedGroup:
        verdicts = self._verdicts
        parts = [verdicts.products.get(n, np.array([n], np.int64)) for n in nodes.tolist()]
        return JudgedGroup(
            np.sort(np.concatenate(parts)),
            merged=sum(verdicts.merged.get(n, 0) for n in nodes.tolist()),
            contradictions=tuple(pair for n in nodes.tolist() for pair in verdicts.contradictions.get(n, ())),
        )


def _places(row_ids: NDArray[np.int64], pairs: NDArray[np.int64]) -> Places:
    """The pairs both of whose rows are there, as places."""
    if not len(row_ids):
        return np.empty((0, 2), np.int64)
    places = np.minimum(np.searchsorted(row_ids, pairs), len(row_ids) - 1)
    return np.asarray(places[(row_ids[places] == pairs).all(1)], np.int64)


def _joined(count: int, pairs: Iterable[Iterable[int]]) -> Places:
    """The lowest place that each place is connected with (union-find)."""
    node = np.arange(count)
    parent: dict[int, int] = {}

    def root(place: int) -> int:
        while (above := parent.get(place, place)) != place:
            parent[place] = parent.get(above, above)
            place = above
        return place

    for one, other in pairs:
        low, high = sorted((root(int(one)), root(int(other))))
        parent[high] = low
    for place in list(parent):
        node[place] = root(place)
    return node
