"""Groups of duplicates in plain Python, under verdicts: what is near, the same product or different, pair by pair."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from itertools import combinations, pairwise

import numpy as np

from index.contract import RowGroup
from index.types.feedback.judgements import RowVerdicts, VerdictTally
from index.types.record import Vector

Pairs = set[tuple[int, int]]


class PlainVerdicts:
    """What verdicts say of some rows, once all that follows from them is worked out."""

    def __init__(self, rows: set[int], verdicts: RowVerdicts) -> None:
        self.same: Pairs = {(a, b) for a, b in verdicts.same_product.tolist() if {a, b} <= rows}
        self.judged: Pairs = {(a, b) for a, b in verdicts.different.tolist() if {a, b} <= rows}
        self.products: dict[int, frozenset[int]] = {row: frozenset([row]) for row in rows}
        for a, b in self.same:
            joined = self.products[a] | self.products[b]
            self.products.update(dict.fromkeys(joined, joined))
        self._different = {(self.products[a], self.products[b]) for a, b in self.judged}

    def different(self, one: int, other: int) -> bool:
        """Whether two rows of two products are different."""
        a, b = self.products[one], self.products[other]
        return a != b and ((a, b) in self._different or (b, a) in self._different)

    def contradictions(self, group: frozenset[int]) -> Pairs:
        """Pairs of one product that were judged different."""
        return {(a, b) for a, b in self.judged if a in group and self.products[a] == self.products[b]}


def plain_near(vectors: Mapping[int, Vector], max_distance: float) -> dict[tuple[int, int], float]:
    """Pairs of rows within the distance, with it."""
    pairs = combinations(sorted(vectors), 2)
    found = {(a, b): max(0.0, 1 - float(vectors[a] @ vectors[b])) for a, b in pairs}
    return {pair: distance for pair, distance in found.items() if distance <= max_distance}


def plain_groups(
    vectors: Mapping[int, Vector], max_distance: float, verdicts: RowVerdicts
) -> Generator[RowGroup, None, VerdictTally]:
    """Groups of rows, whose vectors are given by row id: products in order, each with those near it, again and again
    until every pair was together."""
    said, near = PlainVerdicts(set(vectors), verdicts), plain_near(vectors, max_distance)
    left_out = {pair for pair in near if said.different(*pair)}
    products = sorted(set(said.products.values()), key=min)
    neighbours: dict[frozenset[int], set[frozenset[int]]] = {p: set() for p in products}
    for a, b in near.keys() - left_out:
        if said.products[a] != said.products[b]:
            neighbours[said.products[a]].add(said.products[b])
            neighbours[said.products[b]].add(said.products[a])
    together: set[frozenset[frozenset[int]]] = set()
    grouped: set[frozenset[int]] = set()
    for product in products:
        left = [n for n in sorted(neighbours[product], key=min) if frozenset([product, n]) not in together]
        while left or (len(product) > 1 and product not in grouped):
            group = [product]
            for other in list(left):
                if not any(said.different(min(other), min(member)) for member in group):
                    group.append(other)
                    left.remove(other)
            grouped.update(group)
            together.update(frozenset(pair) for pair in combinations(group, 2))
            rows = frozenset().union(*group)
            first, *rest = sorted(rows)
            yield RowGroup(
                (first, *rest), max(max(0.0, 1 - float(vectors[first] @ vectors[r])) for r in rest),
                sum(a in rows and b in rows for a, b in said.same), tuple(sorted(said.contradictions(rows))),
            )  # fmt: skip
    return VerdictTally(len(left_out), len(said.same))


def random_verdicts(chance: np.random.Generator, vectors: Mapping[int, Vector], limit: float) -> RowVerdicts:
    """Verdicts on near and on other pairs, a few of which contradict each other or are on rows that are not there."""
    near, rows = list(plain_near(vectors, limit)), [*vectors, 10**6, 10**6 + 1]
    given: dict[tuple[int, int], bool] = {}
    for _ in range(int(chance.integers(1, 25))):
        one, other = near[chance.integers(len(near))] if near and chance.random() < 0.6 else chance.choice(rows, 2)
        if one != other:
            given[min(int(one), int(other)), max(int(one), int(other))] = bool(chance.random() < 0.4)
    return RowVerdicts.of((p for p, same in given.items() if not same), (p for p, same in given.items() if same))


def gap_near(vectors: Mapping[int, Vector], distance: float) -> float:
    """A distance that no pair has, nor nearly: the middle of the widest gap between half and twice a distance."""
    held = sorted(d for d in plain_near(vectors, 2 * distance).values() if d >= distance / 2)
    edges = [distance / 2, *held, 2 * distance]
    low, high = max(pairwise(edges), key=lambda gap: gap[1] - gap[0])
    return (low + high) / 2


def unlike(
    found: Generator[RowGroup, None, VerdictTally], vectors: Mapping[int, Vector], limit: float, verdicts: RowVerdicts
) -> Iterator[str]:
    """What is wrong with the groups of an index, a line each. No pair is nearly at the limit."""
    groups: list[RowGroup] = []

    while True:
        try:
            groups.append(next(found))
        except StopIteration as end:
            tally: VerdictTally = end.value
            break
    said, near = PlainVerdicts(set(vectors), verdicts), plain_near(vectors, limit)
    left_out = sum(said.different(*pair) for pair in near)
    if tally != VerdictTally(left_out, len(said.same)):
        yield f"{tally}, not {left_out} and {len(said.same)}"
    sets = [frozenset(g.row_ids) for g in groups]
    for group, rows in zip(groups, sets, strict=True):
        if list(group.row_ids) != sorted(rows) or len(rows) < 2:
            yield f"{group} is not in order, or too small"
        if any(not said.products[row] <= rows for row in rows):
            yield f"{group} divides a product"
        if any(said.different(a, b) for a, b in combinations(rows, 2)):
            yield f"{group} joins what is different"
        if set(group.contradictions) != said.contradictions(rows):
            yield f"{group} has other contradictions"
        if group.merged != sum(a in rows and b in rows for a, b in said.same):
            yield f"{group} has other merged pairs"
        apart = max(1 - float(vectors[group.row_ids[0]] @ vectors[row]) for row in group.row_ids[1:])
        if abs(max(0.0, apart) - group.max_distance) > 2e-3:
            yield f"{group} is {apart} wide"
        products = {said.products[row] for row in rows}
        if not any(all(_near(one, other, near) for other in products - {one}) for one in products):
            yield f"{group} has no product that all are near"
    for pair in near:
        if not said.different(*pair) and not any(set(pair) <= rows for rows in sets):
            yield f"{pair} is in no group"
    for product in set(said.products.values()):
        if len(product) > 1 and not any(product <= rows for rows in sets):
            yield f"product {product} is in no group"
    if any(one < other for one in sets for other in sets) or len(set(sets)) < len(sets):
        yield f"a group is part of another: {sets}"


def _near(one: frozenset[int], other: frozenset[int], near: Mapping[tuple[int, int], float]) -> bool:
    return any((min(a, b), max(a, b)) in near for a in one for b in other)
