"""Order and paging of a search over a scripted ANN index, with its hits and misses."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from index import ScanStrategy
from index.vectors.query import search as searching
from index.vectors.query.execute import Query
from index.vectors.query.plan import FREE_RESULTS, MAX_ANN_RESULTS, Plan
from index.vectors.query.search import nearest, ordered, within

CANDIDATES = 100


@dataclass
class Base:
    """A graph over `scores`, one for each slot. It misses `missed`, unless it searches for at least `deep`."""

    scores: np.ndarray
    missed: frozenset[int] = frozenset()
    deep: int = 10**9
    path: ScanStrategy = ScanStrategy.GRAPH
    familiar_score: float = -1.0
    edge: bool = False  # whether a search further along the graph finds better ones
    reaches: list[int] = field(default_factory=list)
    unlike: list[bool] = field(default_factory=list)
    further: list[int] = field(default_factory=list)

    def plan(self, allowed: Any, vector: Any, count_wanted: int, *, ef_factor: float, unlike: bool) -> Plan:
        self.unlike.append(unlike)
        return Plan(ScanStrategy.SKETCHES_FILTERED if unlike else self.path, CANDIDATES)

    def run(self, way: Plan, asked: Query, count_wanted: int) -> tuple[np.ndarray, np.ndarray, ScanStrategy]:
        found = np.array([s for s in range(len(self.scores)) if count_wanted >= self.deep or s not in self.missed])
        scores = self.scores[found]
        if way.candidates != CANDIDATES:
            self.further.append(way.candidates)
            scores = scores + 0.01 * self.edge
        else:
            self.reaches.append(count_wanted)
        best = np.argsort(-scores, kind="stable")[:count_wanted]
        return found[best], scores[best].astype(np.float32), way.path

    def asked(self, *, everything: bool = True, allowed: int = -1, **more: Any) -> Query:
        count = len(self.scores) if allowed < 0 else allowed
        view = SimpleNamespace(ann_index=self, transform=None, records=len(self.scores))
        rows: Any = SimpleNamespace(view=view, count=count, everything=everything)
        return Query(np.zeros(2, np.float32), np.zeros(2, np.float32), rows, **more)


def searched(monkeypatch: pytest.MonkeyPatch, ann_index: Base) -> Base:
    monkeypatch.setattr(searching, "plan", ann_index.plan)
    monkeypatch.setattr(searching, "run", ann_index.run)
    return ann_index


def falling(count: int) -> np.ndarray:
    """Different scores, best first."""
    return np.linspace(0.9, -0.9, count)


@pytest.mark.parametrize(
    ("k", "dropped", "step"),
    [
        (1, 0, 28), (16, 0, 28), (17, 0, 48), (36, 0, 48), (37, 0, 128), (116, 0, 128), (117, 0, 512), (500, 0, 512),
        (501, 0, 2048), (2036, 0, 2048), (2037, 0, 2049), (3000, 0, 3012), (15, 1, 28), (16, 1, 48),
    ],
)  # fmt: skip
def test_as_many_are_looked_for_as_pages_of_one_query_have_in_common(
    monkeypatch: pytest.MonkeyPatch, k: int, dropped: int, step: int
) -> None:
    ann_index = searched(monkeypatch, Base(falling(4000)))
    ordered(ann_index.asked(dropped=tuple(range(dropped))), k)
    assert ann_index.reaches[0] == step
    assert (FREE_RESULTS, MAX_ANN_RESULTS) == (28, 2048)


def test_what_only_a_deeper_look_finds_comes_after_what_a_shallower_one_had_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann_index = searched(monkeypatch, Base(falling(900), frozenset({3, 7, 25}), deep=128))
    asked = ann_index.asked()
    whole = ordered(asked, 600).slots.tolist()
    assert sorted(whole) == list(range(600))
    assert whole[:36] == [s for s in range(39) if s not in ann_index.missed]
    assert whole[36:39] == [3, 7, 25]
    for k in (1, 10, 16, 17, 30, 36, 37, 38, 50, 116, 117, 300, 500, 501):
        assert ordered(asked, k).slots.tolist() == whole[:k]


def test_pages_have_each_hit_once_in_the_order_of_their_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    ann_index = searched(monkeypatch, Base(falling(900), frozenset({3, 7}), deep=128))
    asked, seen = ann_index.asked(), []
    for offset in range(0, 200, 20):
        page = nearest(asked._replace(k=20, offset=offset))
        assert page.distances.tolist() == sorted(page.distances.tolist())
        assert page.distances.tolist() == pytest.approx((1 - ann_index.scores[page.slots]).tolist(), abs=1e-6)
        seen += page.slots.tolist()
    assert sorted(seen) == list(range(200))


def test_hits_that_are_left_out_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ann_index = searched(monkeypatch, Base(falling(100)))
    assert ordered(ann_index.asked(dropped=(0, 2, 50)), 4).slots.tolist() == [1, 3, 4, 5]
    few = searched(monkeypatch, Base(falling(5)))
    assert ordered(few.asked(dropped=(1, 4)), 5).slots.tolist() == [0, 2, 3]


def test_equal_ones_are_in_the_order_of_writing_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shuffled(Base):
        def run(self, way: Plan, asked: Query, count_wanted: int) -> tuple[np.ndarray, np.ndarray, ScanStrategy]:
            mixed = np.random.default_rng(count_wanted).permutation(len(self.scores))
            best = mixed[np.argsort(-self.scores[mixed], kind="stable")][:count_wanted]
            self.reaches.append(count_wanted)
            return best, self.scores[best].astype(np.float32), way.path

    scores = np.concatenate([np.full(90, 0.5), np.full(300, 0.25)])
    ann_index = searched(monkeypatch, Shuffled(scores))
    assert ordered(ann_index.asked(), 5).slots.tolist() == [0, 1, 2, 3, 4]
    assert ann_index.reaches == [28, 56, 112]
    assert ordered(ann_index.asked(), 100).slots.tolist() == list(range(100))


def test_within_a_distance_are_all_up_to_it_and_no_more_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ann_index = searched(monkeypatch, Base(falling(4000)))
    limit = float(np.float32(1) - np.float32(ann_index.scores[30]))
    found = within(ann_index.asked(max_distance=limit), 100)
    distances = found.distances
    assert found.slots.tolist() == list(range(31))
    assert float(distances[-1]) == limit
    assert max(ann_index.reaches) == 128
    assert within(ann_index.asked(max_distance=limit), 5).slots.tolist() == list(range(5))
    assert within(ann_index.asked(max_distance=-1.0), 5).slots.tolist() == []
    assert within(ann_index.asked(max_distance=None), 5000).slots.tolist() == list(range(4000))


@pytest.mark.parametrize(
    ("tenth", "familiar", "allowed", "unlike"),
    [
        (0.5, 0.4, 100, False), (0.5, 0.5, 100, False), (0.5, 0.6, 100, True), (0.5, 0.6, 9, False),
    ],
)  # fmt: skip
def test_a_query_is_unlike_the_rows_where_its_tenth_nearest_is_farther_than_theirs(
    monkeypatch: pytest.MonkeyPatch, tenth: float, familiar: float, allowed: int, unlike: bool
) -> None:
    scores = np.concatenate([np.full(9, 0.9), [tenth], np.full(90, 0.1)])[:allowed]
    ann_index = searched(monkeypatch, Base(scores, familiar_score=familiar, edge=True))
    found = ordered(ann_index.asked(), 3)
    assert ann_index.unlike[-1] is unlike
    assert found.path is (ScanStrategy.SKETCHES_FILTERED if unlike else ScanStrategy.GRAPH)


@pytest.mark.parametrize(("allowed", "rank"), [(100, 10), (50, 5), (30, 3), (4, 1), (1, 1)])
def test_under_a_filter_one_of_the_first_allowed_stands_for_the_tenth_of_all(
    monkeypatch: pytest.MonkeyPatch, allowed: int, rank: int
) -> None:
    for better in (rank - 1, rank):  # how many are nearer than what is usual among the rows
        scores = np.concatenate([np.full(better, 0.9), np.full(100 - better, 0.1)])
        ann_index = searched(monkeypatch, Base(scores, familiar_score=0.5, path=ScanStrategy.GRAPH_FILTERED))
        ordered(ann_index.asked(everything=False, allowed=allowed), 1)
        assert ann_index.unlike[-1] is (better < rank)


def test_the_graph_is_relied_on_where_searching_it_much_further_finds_nothing_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for edge in (False, True):
        ann_index = searched(monkeypatch, Base(falling(500), familiar_score=0.95, edge=edge))
        found = ordered(ann_index.asked(), 5)
        assert ann_index.further == [8 * CANDIDATES]
        assert found.path is (ScanStrategy.SKETCHES_FILTERED if edge else ScanStrategy.GRAPH)
    filtered = searched(monkeypatch, Base(falling(500), familiar_score=0.95, path=ScanStrategy.GRAPH_FILTERED))
    assert ordered(filtered.asked(), 5).path is ScanStrategy.SKETCHES_FILTERED
    assert filtered.further == []
    exact = searched(monkeypatch, Base(falling(500), familiar_score=0.95, path=ScanStrategy.EXACT))
    assert ordered(exact.asked(), 5).path is ScanStrategy.EXACT
    assert exact.unlike == [False]
    unlike = searched(monkeypatch, Base(falling(500), familiar_score=0.95))
    ordered(unlike.asked(unlike=True), 5)
    assert unlike.unlike == [True]
