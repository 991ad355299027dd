"""How far a search looks: how many candidates are asked for, when it stops, and what it makes of what it found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

from index import ScanStrategy
from index.vectors.query import by_distance as distant
from index.vectors.query import groups as grouping
from index.vectors.query import search as searching
from index.vectors.query.by_distance import nearest_by_distance
from index.vectors.query.distances import distance_scores
from index.vectors.query.execute import Hits, Query
from index.vectors.query.groups import nearest_groups
from index.vectors.query.plan import Plan
from index.vectors.query.search import ends, nearest, ordered, reported_scores, within

ZERO = np.zeros(2, np.float32)
THROUGH_BASE = ("SKETCHES_FILTERED", "GRAPH", "GRAPH_FILTERED", "CLUSTERS_FILTERED")


def rows(count: int, **more: Any) -> Any:
    """Allowed rows of a scripted view."""
    view = SimpleNamespace(**{"transform": None, "ann_index": object(), "records": count, **more})
    return SimpleNamespace(view=view, count=count, everything=True, rows=BitMap(range(count)))


def learnt(distances: np.ndarray) -> Any:
    """Rows whose order is another than that of their distances."""
    return rows(len(distances), transform=object(), distances=lambda _, slots, scale: distances[slots])


def hits(distances: list[float], path: ScanStrategy = ScanStrategy.GRAPH) -> Hits:
    count = len(distances)
    told = np.array(distances, np.float32)
    return Hits(np.arange(count), np.linspace(1, 0, count, dtype=np.float32), path, told)


class Scripted:
    """The order of a search: the slots of `scores`, best first. It notes how many were asked for."""

    def __init__(self, scores: list[float], path: ScanStrategy = ScanStrategy.GRAPH) -> None:
        self.scores, self.path = np.array(scores, np.float32), path
        self.asked: list[int] = []

    def ordered(self, query: Query, k: int) -> Hits:
        self.asked.append(k)
        slots = np.arange(min(k, len(self.scores)))
        return Hits(slots, self.scores[slots], self.path)


# ---- where the looking ends


@pytest.mark.parametrize("path", ScanStrategy)
def test_of_another_order_the_last_sixteen_of_the_base_say_whether_more_lies_within(path: ScanStrategy) -> None:
    asked = Query(ZERO, ZERO, learnt(np.zeros(100)), max_distance=0.5)
    through_base = path.name in THROUGH_BASE
    for near in range(40):
        found = [0.6] * 40
        found[near] = 0.5
        assert ends(asked, hits(found, path)) is (through_base and near < 24), near
    assert ends(asked, hits([0.51] * 3, path)) is through_base
    assert not ends(asked, hits([0.5] * 3, path))


def test_of_the_order_of_distances_the_last_one_says_it() -> None:
    for asked in (
        Query(ZERO, ZERO, rows(100), max_distance=0.5),
        Query(ZERO, ZERO, learnt(np.zeros(100)), max_distance=0.5, by_distance=True),
    ):
        for path in (ScanStrategy.EXACT, ScanStrategy.GRAPH):
            assert ends(asked, hits([0.1, 0.5, 0.75], path))
            assert ends(asked, hits([0.75], path))
            assert not ends(asked, hits([0.1, 0.75, 0.5], path))
            assert not ends(asked, hits([0.5], path))
            assert not ends(asked, hits([], path))
            assert not ends(asked._replace(max_distance=None), hits([0.9], path))


def test_what_is_all_ends_whatever_it_holds() -> None:
    for dropped in range(4):
        for found in range(7):
            asked = Query(ZERO, ZERO, rows(5), dropped=tuple(range(dropped)))
            assert ends(asked, hits([0.0] * found)) is (found + dropped >= 5)


def test_scores_are_rounded_to_distances_only_where_those_make_the_order() -> None:
    exact = np.array([1 + 2**-23, 1.0, 0.5, 3e-8, -3e-8], np.float32)
    of_distances, of_another = Query(ZERO, ZERO, rows(100)), Query(ZERO, ZERO, learnt(np.zeros(100)))
    assert reported_scores(of_another, exact).tolist() == exact.tolist()
    told = reported_scores(of_distances, exact)
    assert told.tolist() == distance_scores(exact, of_distances.scale).tolist() != exact.tolist()
    assert reported_scores(of_another._replace(by_distance=True), exact).tolist() == told.tolist()


# ---- how many are looked for within a distance


@pytest.mark.parametrize(
    ("count", "looks"), [(1, [1, 48, 192, 768]), (12, [12, 48, 192, 768]), (13, [13, 52, 208, 832]), (300, [300, 1200])]
)
def test_four_times_as_many_are_looked_for_where_too_many_were_too_far(
    monkeypatch: pytest.MonkeyPatch, count: int, looks: list[int]
) -> None:
    script = Scripted([0.5] * 2000, ScanStrategy.EXACT)
    monkeypatch.setattr(searching, "ordered", script.ordered)
    distances = np.where(np.arange(2000) < 200, 0.4, 0.1)
    found = within(Query(ZERO, ZERO, learnt(distances), max_distance=0.2), count)
    assert script.asked == looks
    assert found.slots.tolist() == list(range(200, 200 + count))


@pytest.mark.parametrize(("near", "looks"), [(4, [5, 48]), (5, [5]), (3, [5, 48])])
def test_looking_stops_as_soon_as_enough_are_within_the_distance(
    monkeypatch: pytest.MonkeyPatch, near: int, looks: list[int]
) -> None:
    script = Scripted([0.5] * 900, ScanStrategy.EXACT)
    monkeypatch.setattr(searching, "ordered", script.ordered)
    distances = np.full(900, 0.4)
    distances[:near] = 0.1
    distances[30:48] = 0.25  # more than are wanted
    found = within(Query(ZERO, ZERO, learnt(distances), max_distance=0.25), 5)
    assert script.asked == looks
    assert found.slots.tolist() == [*range(near), *range(30, 40)][:5]
    assert found.distances.tolist() == pytest.approx(distances[found.slots].tolist())
    assert within(Query(ZERO, ZERO, learnt(distances)), 7).slots.tolist() == list(range(7))
    assert script.asked == [*looks, 7]


# ---- one page


@pytest.mark.parametrize("dropped", [0, 1, 15])
@pytest.mark.parametrize("k", [1, 16, 17, 40])
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_what_one_look_found_is_in_order_and_what_several_found_is_put_in_order(
    monkeypatch: pytest.MonkeyPatch, dropped: int, k: int, offset: int
) -> None:
    end = offset + k
    scores = np.array([0.5, 0.7] * end, np.float32)[:end]
    found = Hits(np.arange(end)[::-1], scores, ScanStrategy.GRAPH, 1 - scores)
    monkeypatch.setattr(searching, "within", lambda _, count: found if count == end else None)
    page = nearest(Query(ZERO, ZERO, rows(100), k, offset, dropped=tuple(range(dropped))))
    if not offset and k + dropped <= 16:
        assert page is found
        return
    listed = sorted(
        zip(found.slots[offset:].tolist(), found.scores[offset:].tolist(), strict=True),
        key=lambda hit: (-hit[1], hit[0]),
    )
    assert list(zip(page.slots.tolist(), page.scores.tolist(), strict=True)) == listed
    assert page.distances.tolist() == [float(np.float32(1) - np.float32(score)) for _, score in listed]


# ---- several looks

MISSED = (0, 3, 15, 17, 20, 27, 40)


def graph(monkeypatch: pytest.MonkeyPatch, scores: np.ndarray, deep: int) -> list[int]:
    """Has searches go along a graph that finds what is MISSED only where it looks for at least `deep`."""
    reaches: list[int] = []

    def run(_way: Plan, _asked: Query, count_wanted: int) -> tuple[np.ndarray, np.ndarray, ScanStrategy]:
        reaches.append(count_wanted)
        found = np.array([s for s in range(len(scores)) if count_wanted >= deep or s not in MISSED])
        best = found[np.argsort(-scores[found], kind="stable")][:count_wanted]
        return best, scores[best].astype(np.float32), ScanStrategy.GRAPH if count_wanted < 2048 else ScanStrategy.EXACT

    def plan(*_: Any, ef_factor: float, unlike: bool) -> Plan:
        return Plan(ScanStrategy.SKETCHES_FILTERED if unlike else ScanStrategy.GRAPH, 100)

    monkeypatch.setattr(searching, "run", run)
    monkeypatch.setattr(searching, "plan", plan)
    return reaches


@pytest.mark.parametrize("dropped", [0, 1, 14, 15, 16, 17, 25])
@pytest.mark.parametrize("deep", [48, 128, 512])
def test_the_first_of_an_order_are_the_same_however_many_are_wanted(
    monkeypatch: pytest.MonkeyPatch, dropped: int, deep: int
) -> None:
    scores = np.linspace(0.9, -0.9, 900)
    graph(monkeypatch, scores, deep)
    ann_index = SimpleNamespace(familiar_score=-1.0)
    asked = Query(ZERO, ZERO, rows(900, ann_index=ann_index), dropped=tuple(range(100, 100 + dropped)))
    whole = ordered(asked, 560).slots.tolist()
    assert sorted(whole) == [s for s in range(560 + dropped) if s not in asked.dropped]
    for k in (1, 2, 8, 14, 15, 16, 17, 18, 24, 34, 35, 36, 37, 100, 114, 115, 116, 117, 300, 499, 500, 501):
        found = ordered(asked, k)
        assert found.slots.tolist() == whole[:k], k
        assert found.scores.tolist() == pytest.approx(scores[found.slots].tolist(), abs=1e-6)
    first = 16 - dropped  # what the first look is relied on for
    if 0 < first < 16 or not dropped:
        assert whole[:first] == [s for s in range(60) if s not in MISSED][:first]
    assert nearest(asked._replace(k=40)).slots.tolist() == sorted(whole[:40])


def test_the_reported_strategy_is_that_of_the_first_search_through_the_ann_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph(monkeypatch, np.linspace(0.9, -0.9, 3000), 48)
    asked = Query(ZERO, ZERO, rows(3000, ann_index=SimpleNamespace(familiar_score=-1.0)))
    assert ordered(asked, 1500).path is ScanStrategy.GRAPH
    assert ordered(asked._replace(allowed=rows(3000, ann_index=None)), 1500).path is ScanStrategy.EXACT


@pytest.mark.parametrize(("equal", "looks"), [(27, [28]), (28, [28, 56]), (55, [28, 56]), (56, [28, 56, 112])])
def test_further_is_looked_only_while_the_last_ones_are_equal(
    monkeypatch: pytest.MonkeyPatch, equal: int, looks: list[int]
) -> None:
    ann_index = SimpleNamespace(familiar_score=-1.0)
    reaches = graph(monkeypatch, np.array([0.5] * equal + [0.25] * 300), 1)
    assert ordered(Query(ZERO, ZERO, rows(equal + 300, ann_index=ann_index)), 5).slots.tolist() == list(range(5))
    assert reaches == looks
    for better in (1, 5, 16):  # what lies at the cut is better than those that are equal
        reaches = graph(monkeypatch, np.array([0.9] * better + [0.5] * 300), 1)
        ordered(Query(ZERO, ZERO, rows(better + 300, ann_index=ann_index)), better)
        assert reaches == [28]
        reaches = graph(monkeypatch, np.array([0.9] * (better - 1) + [0.5] * 40), 1)
        ordered(Query(ZERO, ZERO, rows(better + 39, ann_index=ann_index)), better)
        assert reaches == [28, 56]


# ---- groups


def grouped(
    monkeypatch: pytest.MonkeyPatch, script: Scripted, products: list[int], query: Query, size: int
) -> tuple[list[list[tuple[int, float]]], list[Query]]:
    """The groups, and which members were asked for."""
    view: Any = query.allowed.view
    members: list[Query] = []
    view.products = np.array(products, np.int32)

    def best(asked: Query) -> Hits:
        members.append(asked)
        slots = np.array(list(asked.allowed.rows))[: asked.k]
        return Hits(slots, script.scores[slots], ScanStrategy.EXACT, 1 - script.scores[slots])

    monkeypatch.setattr(grouping, "ordered", script.ordered)
    monkeypatch.setattr(grouping, "nearest", best)
    groups, path = nearest_groups(query, size)
    assert path is script.path
    return groups, members


@pytest.mark.parametrize(
    ("k", "offset", "first_products", "looks"),
    [
        (1, 0, 1, [4]), (2, 0, 8, [8, 32]), (2, 0, 7, [8]), (3, 2, 19, [20, 80]), (3, 2, 16, [20]),
        (3, 2, 17, [20, 80]),
        (2, 0, 40, [8, 32, 128]), (5, 0, 2, [20]),
    ],
)  # fmt: skip
def test_four_times_as_many_hits_are_looked_for_as_groups_and_then_four_times_as_many(
    monkeypatch: pytest.MonkeyPatch, k: int, offset: int, first_products: int, looks: list[int]
) -> None:
    script = Scripted(np.linspace(0.9, 0.1, 400).tolist())
    products = [1] * first_products + [0] * (400 - first_products)
    groups, _ = grouped(monkeypatch, script, products, Query(ZERO, ZERO, rows(400), k, offset), 1)
    assert script.asked == looks
    leaders = [0, *range(first_products, 400)][offset : offset + k]
    assert [group[0][0] for group in groups] == leaders
    assert [len(group) for group in groups] == [1] * k


def test_members_of_a_group_are_asked_for_among_its_allowed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Scripted(np.linspace(0.9, 0.1, 30).tolist())
    products = [n % 5 for n in range(30)]  # every fifth has none
    allowed = rows(30)
    allowed.rows = BitMap(range(0, 30, 2))
    query = Query(ZERO, ZERO, allowed, 4, 1, max_distance=0.75, ef_factor=2.0)
    groups, members = grouped(monkeypatch, script, products, query, 3)
    assert [[slot for slot, _ in group] for group in groups] == [[2, 12, 22], [4, 14, 24], [6, 16, 26], [8, 18, 28]]
    assert [group[0][1] for group in groups] == sorted(group[0][1] for group in groups)
    for asked in members:
        assert (asked.k, asked.offset, asked.exact, asked.max_distance, asked.ef_factor) == (3, 0, True, 0.75, 2.0)
        assert not asked.allowed.everything
    groups, members = grouped(monkeypatch, script, products, query, 1)
    assert [[slot for slot, _ in group] for group in groups] == [[1], [2], [3], [4]]
    assert members == []


def test_groups_keep_the_learnt_order_and_leave_it_for_nearer_members_where_it_is_that_of_distances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Scripted([0.9, 0.8, 0.7, 0.7, 0.95])
    products = [0, 2, 1, 0, 1]
    groups, _ = grouped(monkeypatch, script, products, Query(ZERO, ZERO, rows(5), 4), 2)
    assert [[slot for slot, _ in group] for group in groups] == [[0], [1], [2, 4], [3]]
    script = Scripted([0.9, 0.7, 0.8])  # the look-up misses that slot 2 is better than slot 1
    groups, _ = grouped(monkeypatch, script, [0, 0, 0], Query(ZERO, ZERO, rows(3), 3), 1)
    assert [group[0][0] for group in groups] == [0, 2, 1]
    distances = np.array([0.1, 0.3, 0.2])
    groups, _ = grouped(monkeypatch, script, [0, 0, 0], Query(ZERO, ZERO, learnt(distances), 3), 1)
    assert [[slot for slot, _ in group] for group in groups] == [[0], [1], [2]]
    assert [group[0][1] for group in groups] == pytest.approx([0.1, 0.3, 0.2])


def test_a_product_whose_first_hit_is_too_far_may_have_a_nearer_one_later(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Scripted([0.9] * 6)
    distances = np.array([0.6, 0.5, 0.4, 0.6, 0.3, 0.2])
    query = Query(ZERO, ZERO, learnt(distances), 9, max_distance=0.5)
    groups, _ = grouped(monkeypatch, script, [1, 0, 1, 2, 0, 1], query, 1)
    assert [group[0][0] for group in groups] == [1, 2, 4]


# ---- the order of distances where rows are compared otherwise


class Centred:
    """Rows of given lengths and inner products; it notes how many were compared."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lengths: np.ndarray, own: np.ndarray, common: float) -> None:
        self.lengths, self.own, self.reaches = lengths.astype(np.float32), own.astype(np.float32), list[int]()
        transform = SimpleNamespace(catalogue_mean=np.array([common, 0], np.float32))
        self.allowed = rows(len(own), transform=transform, lengths=self.lengths)
        self.vector = np.array([1, 0], np.float32)
        monkeypatch.setattr(distant, "compared_all", self.compared)
        monkeypatch.setattr(distant, "exactly", lambda _: (Plan(ScanStrategy.EXACT), 1.0))

    def compared(self, _way: Plan, _query: Query, count_wanted: int) -> tuple[np.ndarray, np.ndarray]:
        self.reaches.append(count_wanted)
        best = np.argsort(-self.own, kind="stable")[:count_wanted]
        return best, self.own[best]

    def nearest(self, k: int, scale: float = 1.0) -> tuple[list[int], list[float]]:
        query = Query(self.vector, self.vector, self.allowed, k, by_distance=True, scale=scale)
        slots, scores, path = nearest_by_distance(query, k)
        assert path is ScanStrategy.EXACT
        return slots.tolist(), scores.tolist()


@pytest.mark.parametrize("k", [1, 10, 64, 65, 100, 700])
@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.3), (-0.4, -0.1), (0.1, 0.4)])
def test_the_nearest_by_distance_are_those_of_a_full_listing(
    monkeypatch: pytest.MonkeyPatch, k: int, low: float, high: float
) -> None:
    chance = np.random.default_rng(k)
    for common in (-0.3, 0.0, 0.4):
        own = chance.uniform(low, high, 4000).round(2)  # many are equal
        centred = Centred(monkeypatch, chance.uniform(0.5, 1.5, 4000).round(1), own, common)
        for scale in (1.0, 0.7):
            cosines = np.asarray(centred.lengths * centred.own + np.float32(common), np.float32)
            by_cosine = np.argsort(-cosines)
            scores = np.zeros(4000)
            scores[by_cosine] = distance_scores(cosines[by_cosine], scale)
            wanted = sorted(range(4000), key=lambda slot: (-scores[slot], slot))[:k]
            centred.reaches.clear()
            assert centred.nearest(k, scale)[0] == wanted
            first = max(4 * k, 256)
            assert centred.reaches == [first, 8 * first, 64 * first][: len(centred.reaches)]


@pytest.mark.parametrize("common", [-0.25, 0.0, 0.25])
@pytest.mark.parametrize("last", [0.25, 0.0, -0.25])
def test_no_more_are_compared_once_no_row_that_is_left_can_be_nearer(
    monkeypatch: pytest.MonkeyPatch, last: float, common: float
) -> None:
    """The first ten have the highest inner product. Their length makes them just as near as what is left could be."""
    shortest, longest = 0.5, 1.0
    bound = last * (longest if last > 0 else shortest)
    for beyond, stops in ((-1e-3, False), (0.0, False), (6e-7, False), (2.5e-6, True), (1e-3, True)):
        own, lengths = np.full(5000, last), np.full(5000, 0.75)
        lengths[100:102] = shortest, longest
        own[:10], lengths[:10] = 0.5, 1.0
        own[:10] = bound + beyond
        if own[0] <= last:  # it is to be among the first that are compared
            continue
        centred = Centred(monkeypatch, lengths, own, common)
        centred.nearest(10)
        assert centred.reaches[:2] == ([256] if stops else [256, 2048])


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257])
def test_all_rows_are_enough(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    centred = Centred(monkeypatch, np.ones(count), np.full(count, 0.5), 0.0)
    if not count:
        query = Query(ZERO, ZERO, centred.allowed, by_distance=True)
        slots, scores, path = nearest_by_distance(query, 3)
        assert (len(slots), len(scores), path) == (0, 0, ScanStrategy.EMPTY)
        return
    assert centred.nearest(3)[0] == list(range(min(3, count)))
    assert centred.reaches == ([256] if count <= 256 else [256, 2048])
