"""What searching by boxes adds, where it can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.detector.splitting import cropped, gains
from bench.encoders.packs import Pack
from service.detector.scoring import Found
from service.encoder.alterations import Picture
from service.encoder.retrieval import Vectors


def mean_colors(pictures: list[Picture]) -> Vectors:
    means = np.stack([p.reshape(-1, 3).mean(0) for p in pictures])
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def plain(*color: int) -> Picture:
    return np.full((20, 20, 3), color, np.uint8)


def test_a_box_finds_what_the_whole_photograph_hides() -> None:
    red, blue, brown = plain(250, 10, 10), plain(10, 10, 250), plain(140, 120, 90)
    hidden = brown.copy()
    hidden[5:10, 10:15] = (10, 10, 250)
    pack = Pack("t", [red, blue, brown, hidden, red], np.array(["red", "blue", "brown", "blue", "red"]), 3)
    small = Found(np.array([[0.0, 0.0, 0.2, 0.2], [0.5, 0.25, 0.75, 0.5]]), np.array([0.9, 0.8]))
    none = Found(np.empty((0, 4)), np.empty(0))
    ways = {way: scores["R@1"] for way, scores in gains(pack, mean_colors, [small, none]).items()}
    # The first box shows brown, which is as near to the catalogue's brown as blue is to blue.
    assert ways["whole"] == ways["best box"] == 50
    exact = Found(small.boxes[1:], small.scores[1:])
    assert gains(pack, mean_colors, [exact, none])["boxes"]["R@1"] == 100
    assert gains(pack, mean_colors, [exact, none])["whole and boxes"]["R@1"] == 100


@pytest.mark.parametrize("box", [(0.5, 0.25, 0.75, 0.5), (0.999, 0.999, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0)])
def test_a_crop_is_what_is_within_the_box(box: tuple[float, float, float, float]) -> None:
    picture = np.arange(20 * 40 * 3, dtype=np.uint16).reshape(20, 40, 3).astype(np.uint8)
    part = cropped(picture, box)
    left, top = int(box[0] * 40), int(box[1] * 20)
    assert part.shape == (round(max((box[3] - box[1]) * 20, 1)), round(max((box[2] - box[0]) * 40, 1)), 3)
    assert np.array_equal(part[0, 0], picture[top, left])
