"""Average precision and recall of boxes beside plain loops, and the rules that detectors are compared with."""

from __future__ import annotations

import numpy as np
import pytest

from bench.detector.oracles import differs_from_border, whole_picture
from service.detector.scoring import Array, Found, average_precision, mean_average_precision, overlaps, recall

Box = list[float]


def random_pictures(seed: int, count: int = 12) -> tuple[list[Found], list[Array]]:
    """Boxes, moved copies of most of them, and wrong ones, with scores that all differ."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(count):
        low = rng.uniform(0, 0.6, (int(rng.integers(0, 5)), 2))
        wanted = np.concatenate([low, low + rng.uniform(0.1, 0.4, low.shape)], axis=1)
        moved = (wanted + rng.normal(0, 0.03, wanted.shape))[rng.random(len(wanted)) < 0.8]
        other = rng.uniform(0, 0.5, (int(rng.integers(0, 3)), 2))
        boxes = np.concatenate([moved, moved + 0.02, np.concatenate([other, other + 0.3], axis=1)])
        found.append(Found(boxes, rng.random(len(boxes))))
        truth.append(wanted)
    return found, truth


def shared_area(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    inner = wide * high if wide > 0 and high > 0 else 0.0
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return inner / (sum(areas) - inner)


def pairs_by_hand(one: Found, wanted: Array, overlap: float) -> dict[int, int]:
    """Places of the found boxes that are right, with the box of the truth that each has."""
    taken: dict[int, int] = {}
    for place in sorted(range(len(one.scores)), key=lambda n: -one.scores[n]):
        free = [n for n in range(len(wanted)) if n not in taken.values()]
        alike = {n: shared_area(one.boxes[place].tolist(), wanted[n].tolist()) for n in free}
        if alike and max(alike.values()) >= overlap:
            taken[place] = max(alike, key=lambda n: alike[n])
    return taken


def precision_by_hand(found: list[Found], truth: list[Array], overlap: float) -> float:
    """For each box of the truth that is found: the best precision at this score or below."""
    judged = []
    for one, wanted in zip(found, truth, strict=True):
        right = pairs_by_hand(one, wanted, overlap)
        judged += [(float(score), place in right) for place, score in enumerate(one.scores)]
    judged.sort(reverse=True)
    precisions = [sum(right for _, right in judged[: n + 1]) / (n + 1) for n in range(len(judged))]
    area = sum(max(precisions[n:]) for n, (_, right) in enumerate(judged) if right)
    return area / sum(map(len, truth))


@pytest.mark.parametrize("seed", range(4))
def test_precision_and_recall_are_those_of_plain_loops(seed: int) -> None:
    found, truth = random_pictures(seed)
    for overlap in (0.5, 0.75):
        assert average_precision(found, truth, overlap) == pytest.approx(precision_by_hand(found, truth, overlap))
    expected = np.mean([precision_by_hand(found, truth, 0.5 + n * 0.05) for n in range(10)])
    assert mean_average_precision(found, truth) == pytest.approx(expected)
    hits = [set(pairs_by_hand(one, wanted, 0.5).values()) for one, wanted in zip(found, truth, strict=True)]
    wide = [{n for n, b in enumerate(wanted) if b[2] - b[0] > 0.2} for wanted in truth]
    share = sum(len(h & w) for h, w in zip(hits, wide, strict=True)) / sum(map(len, wide))
    assert recall(found, truth, lambda b: b[:, 2] - b[:, 0] > 0.2) == pytest.approx(share)
    for one, wanted in zip(found, truth, strict=True):
        by_hand = [[shared_area(a, b) for b in wanted.tolist()] for a in one.boxes.tolist()]
        assert overlaps(one.boxes, wanted) == pytest.approx(np.array(by_hand).reshape(len(one.boxes), len(wanted)))


def test_nothing_found_is_no_precision_and_nothing_to_find_no_recall() -> None:
    none, one = np.empty((0, 4)), np.array([[0.1, 0.1, 0.4, 0.4]])
    empty = Found(none, np.empty(0))
    assert average_precision([empty], [one], 0.5) == 0
    assert average_precision([Found(one, np.ones(1))], [none], 0.5) == 0
    assert recall([empty], [none], lambda b: np.full(len(b), True)) is None
    assert recall([empty], [one], lambda b: np.full(len(b), True)) == 0


def test_plain_rules_find_two_squares_on_paper() -> None:
    paper = np.full((100, 200, 3), 250, np.uint8)
    paper[20:60, 20:60] = (200, 30, 30)
    paper[50:90, 120:180] = (30, 30, 120)
    found = differs_from_border(paper)
    wanted = np.array([[0.1, 0.2, 0.3, 0.6], [0.6, 0.5, 0.9, 0.9]])
    assert len(found.boxes) == 2
    assert overlaps(found.boxes, wanted).max(0).min() > 0.85
    assert whole_picture(paper).boxes.tolist() == [[0, 0, 1, 1]]
    assert len(differs_from_border(np.full((60, 60, 3), 90, np.uint8)).boxes) == 0
