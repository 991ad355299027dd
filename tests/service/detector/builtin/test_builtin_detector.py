"""The committed detector: that it is what the code makes of the weights, and what it finds in drawn scenes."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.detector.builtin import build
from service.detector.builtin.network import NAMES, POINTS, SIDE, WEIGHTS, DetectorWeights, detector_model, points
from service.detector.manifest import MANIFEST_NAME, read_detector
from service.detector.registry import DetectorRegistry
from service.detector.scoring import Found, recall
from service.detector.suppression import ObjectLimits, objects_of
from service.encoder.builtin.generator.scenes import Scene, draw_scene
from service.encoder.execution import Hardware
from service.encoder.preprocess import to_tensor
from service.encoder.session import load_model

SCENES, FIRST = 24, 60_000


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(FIRST + number, SIDE) for number in range(SCENES)]


def every_box(boxes: np.ndarray) -> np.ndarray:
    return np.full(len(boxes), True)


def test_the_committed_detector_is_what_the_code_makes_of_the_committed_weights(tmp_path: Path) -> None:
    assert build.stale_files() == []
    for name in (build.MODEL_NAME, MANIFEST_NAME):
        shutil.copy(build.FOLDER / name, tmp_path)
    content = bytearray((tmp_path / build.MODEL_NAME).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / build.MODEL_NAME).write_bytes(content)
    assert build.stale_files(tmp_path) == [build.MODEL_NAME]


def test_saved_weights_are_read_again(tmp_path: Path) -> None:
    weights = DetectorWeights.load(WEIGHTS)
    assert tuple(weights.convolutions) == NAMES
    weights.save(tmp_path / "again.npz")
    for name, layer in DetectorWeights.load(tmp_path / "again.npz").convolutions.items():
        assert np.abs(layer.kernel - weights.convolutions[name].kernel).max() < 1e-5
        assert np.array_equal(layer.bias, weights.convolutions[name].bias)


def test_points_are_the_middles_of_the_cells_of_the_grid() -> None:
    side = round(POINTS**0.5)
    by_hand = [[(column + 0.5) / side, (row + 0.5) / side] for row in range(side) for column in range(side)]
    assert np.abs(points() - np.array(by_hand)).max() < 1e-6


def test_weights_in_eight_bits_give_nearly_the_boxes_of_the_unrounded_graph(scenes: list[Scene]) -> None:
    pixels = np.stack([scene.pixels for scene in scenes[:4]])
    whole, rounded = (
        load_model(detector_model(DetectorWeights.load(WEIGHTS), precision).SerializeToString(), threads=1).run(
            ["boxes", "scores"], {"pixels": pixels}
        )
        for precision in ("float32", "int8")
    )
    for one, other in zip(whole, rounded, strict=True):
        assert np.abs(one - other).max() < 1e-3


def test_the_detector_of_a_server_finds_most_goods_of_scenes_that_no_training_saw(scenes: list[Scene]) -> None:
    registry = DetectorRegistry(None, "builtin", Hardware(1, threads=1))
    session, manifest = registry.load(), read_detector(build.FOLDER)
    assert registry.used == manifest
    found, truth = [], [scene.boxes.astype(np.float64) for scene in scenes]
    for scene in scenes:
        objects = objects_of(
            session.detect(to_tensor(scene.pixels, manifest.input)), (SIDE, SIDE), manifest, ObjectLimits(32)
        )
        regions = [(o.region.left, o.region.top, o.region.right, o.region.bottom) for o in objects]
        found.append(Found(np.array(regions, np.float64).reshape(-1, 4), np.array([o.score for o in objects])))
    goods, share = sum(map(len, truth)), recall(found, truth, every_box)
    assert goods > 60
    assert share is not None
    assert share > 0.8
    assert share * goods / sum(len(f.boxes) for f in found) > 0.85
    assert (recall(found, truth, every_box, 0.75) or 0) > 0.65


def test_a_box_follows_a_thing_and_the_shape_of_the_picture() -> None:
    """A disc on plain paper, in pictures of three shapes."""
    manifest = read_detector(build.FOLDER)
    session = DetectorRegistry(None, "builtin", Hardware(1, threads=1)).load()
    for rows, columns, x, y in ((200, 300, 80, 110), (300, 200, 120, 220), (240, 240, 150, 90)):
        picture = np.full((rows, columns, 3), 235, np.uint8)
        cv2.circle(picture, (x, y), 50, (40, 70, 160), -1)
        (one,) = objects_of(
            session.detect(to_tensor(picture, manifest.input)), (rows, columns), manifest, ObjectLimits(5)
        )
        region = np.array([one.region.left, one.region.top, one.region.right, one.region.bottom])
        assert np.abs(region * [columns, rows, columns, rows] - [x - 50, y - 50, x + 51, y + 51]).max() < 12
