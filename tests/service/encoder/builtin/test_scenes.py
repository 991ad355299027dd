"""Drawn scenes of several goods: what is in them, and that boxes are those of what is visible."""

import numpy as np
import pytest

from service.encoder.builtin.generator.layouts import MOST_CARDS, MOST_GOODS, Good, Layout, any_layout, placed
from service.encoder.builtin.generator.scenes import LEAST_SIDE, Scene, compose_scene, draw_scene

SIDE = 128


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(number, SIDE) for number in range(40)]


def box_by_hand(mask: np.ndarray) -> list[float]:
    seen = [(x, y) for y, row in enumerate(mask.tolist()) for x, there in enumerate(row) if there]
    columns, rows = zip(*seen, strict=True)
    return [min(columns) / SIDE, min(rows) / SIDE, (max(columns) + 1) / SIDE, (max(rows) + 1) / SIDE]


def test_a_scene_depends_on_its_number_alone(scenes: list[Scene]) -> None:
    again = draw_scene(3, SIDE)
    assert np.array_equal(again.pixels, scenes[3].pixels)
    assert np.array_equal(again.boxes, scenes[3].boxes)
    assert not np.array_equal(again.pixels, scenes[4].pixels)


def test_boxes_enclose_exactly_what_is_visible(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.pixels.shape == (SIDE, SIDE, 3)
        assert len(scene.boxes) == len(scene.visible)
        for box, mask in zip(scene.boxes, scene.visible, strict=True):
            assert box.tolist() == pytest.approx(box_by_hand(mask), abs=1e-6)
            assert max(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE


def test_no_pixel_belongs_to_two_goods(scenes: list[Scene]) -> None:
    assert max(scene.visible.sum(0).max() for scene in scenes if len(scene.boxes)) == 1


def test_scenes_have_no_good_one_and_many(scenes: list[Scene]) -> None:
    counts = [len(scene.boxes) for scene in scenes]
    assert min(counts) == 0
    assert counts.count(1) >= 5
    assert sum(count >= 5 for count in counts) >= 5


def test_layouts_vary_within_their_bounds() -> None:
    rng = np.random.default_rng(1)
    layouts = [any_layout(rng) for _ in range(300)]
    sizes = [layout.goods[:, 2] for layout in layouts]
    assert {(layout.goods.shape, layout.cards.shape) for layout in layouts} == {((MOST_GOODS, 10), (MOST_CARDS, 7))}
    counts = {int((size > 0).sum()) for size in sizes}
    assert set(range(9)) <= counts
    assert any((layout.goods[:, 7] == 1).any() for layout in layouts)
    assert 0.1 < np.mean([layout.white for layout in layouts]) < 0.5
    alone = [float(size.max()) for size in sizes if (size > 0).sum() == 1]
    assert max(alone) > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_a_good_gets_its_place_and_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, size = (float(v) for v in rng.uniform(0.3, 0.7, 3))
    bounds = np.array([*rng.uniform(-0.2, 0.2, 2), *rng.uniform(0.2, 0.8, 2)], np.float32)
    centre, half = bounds[:2], bounds[2:]
    for standing in (0.0, 1.0):
        good = np.array(Good(x, y, size, 1, 0, 0, 1, standing, 0, 0), np.float32)
        a, b, c, d, dx, dy = placed(good, bounds)
        low, high = (np.array([[a, b], [c, d]]) @ (centre + side * half) + (dx, dy) for side in (-1, 1))
        assert max(high - low) == pytest.approx(size, abs=1e-5)
        assert (low[0] + high[0]) / 2 == pytest.approx(x, abs=1e-5)
        assert (high[1] if standing else (low[1] + high[1]) / 2) == pytest.approx(y, abs=1e-5)


def test_a_good_that_is_hidden_or_outside_does_not_count() -> None:
    goods = np.zeros((MOST_GOODS, 10), np.float32)
    goods[0] = Good(0.5, 0.5, 0.3, 1, 0, 0, 1, 0, 0, 0)
    goods[1] = goods[0]  # exactly before it
    goods[2] = goods[0]
    goods[2, 0] = 1.14  # the left edge alone is inside
    rng = np.random.default_rng(2)
    scene = compose_scene(
        rng, Layout(goods, np.zeros((MOST_CARDS, 7), np.float32), True), np.ones((SIDE, SIDE, 3), np.float32)
    )
    assert len(scene.boxes) == 1
    assert (scene.boxes[0, 0] + scene.boxes[0, 2]) / 2 == pytest.approx(0.5, abs=0.02)
