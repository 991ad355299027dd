"""Searches with several goods in a picture, where the answers can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.detector.shop import Shop, drawn_shop, measured
from service.detector.scoring import Found
from service.encoder.alterations import Picture
from service.encoder.retrieval import Vectors, relevance_scores

COLORS = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (240, 240, 10), (10, 240, 240)]


def mean_colors(pictures: list[Picture]) -> Vectors:
    means = np.stack([p.reshape(-1, 3).mean(0) for p in pictures]) - 100
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def plain(color: tuple[int, int, int]) -> Picture:
    return np.full((20, 20, 3), color, np.uint8)


def side_by_side(*colors: int) -> Picture:
    return np.concatenate([plain(COLORS[c]) for c in colors], axis=1)


def test_boxes_find_each_good_where_the_whole_is_a_mixture() -> None:
    singles = [plain(c) for c in COLORS]
    pairs = [(0, 1), (1, 2)]  # together yellow, and cyan
    shop = Shop(singles, singles, {2: [side_by_side(*p) for p in pairs]}, {2: [np.array(p) for p in pairs]})
    halves = Found(np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1]]), np.array([0.9, 0.8]))
    found = measured(shop, mean_colors, {2: [halves, halves]})
    searching, stored = found["searching"]["2"], found["stored"]["2"]
    assert searching["boxes"] == 2
    assert searching["each"] == {"R@1": 100, "R@10": 100, "mAP@10": 100, "goods": 100}
    assert searching["whole"]["goods"] < 100
    assert stored["split"]["R@1"] == 100
    without = measured(shop, mean_colors, {2: [Found(np.empty((0, 4)), np.empty(0))] * 2})["searching"]["2"]
    assert without["each"]["mAP@10"] == without["whole"]["mAP@10"]


def test_figures_of_several_right_answers_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(2)
    likeness, relevant = rng.random((20, 30)).astype(np.float32), rng.random((20, 30)) < 0.1
    averages, firsts = [], []
    for row, right in zip(likeness.tolist(), relevant.tolist(), strict=True):
        order = sorted(range(30), key=lambda n: -row[n])[:10]
        hits = [right[n] for n in order]
        if any(right):
            precisions = [sum(hits[: n + 1]) / (n + 1) for n in range(10) if hits[n]]
            averages.append(sum(precisions) / min(10, sum(right)))
            firsts.append(hits[0])
    found = relevance_scores(likeness, relevant)
    assert found["mAP@10"] == pytest.approx(100 * np.mean(averages))
    assert found["R@1"] == pytest.approx(100 * np.mean(firsts))


def test_a_drawn_scene_shows_the_goods_that_it_is_said_to() -> None:
    shop = drawn_shop(stock=6, scenes=1, numbers=(1, 3))
    again = drawn_shop(stock=6, scenes=1, numbers=(3,))
    assert [len(g) for n in (1, 3) for g in shop.goods[n]] == [1, 3]
    assert len(set(shop.goods[3][0].tolist())) == 3
    assert np.array_equal(shop.scenes[3][0], again.scenes[3][0])
    assert len(shop.catalogue) == len(shop.photographs) == 6
