"""Non-maximum suppression against plain Python, and boxes against rectangles drawn into pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.detector.manifest import DetectorManifest
from service.detector.outputs import Candidates
from service.detector.suppression import ObjectLimits, objects_of, suppressed
from service.encoder.preprocess import to_tensor

Box = tuple[float, float, float, float]


def overlap(one: Box, other: Box) -> float:
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    shared = width * height
    both = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared
    return shared / both if both > 0 else 0.0


def plainly_suppressed(boxes: Sequence[Box], scores: Sequence[float], most_overlap: float, most: int) -> list[int]:
    """The oracle: each box in order of its score, unless a kept one overlaps it too much."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if len(kept) < most and all(overlap(boxes[k], boxes[i]) <= most_overlap for k in kept):
            kept.append(i)
    return kept


def manifest(size: tuple[int, int], resize: str = "stretch", **fields: object) -> DetectorManifest:
    return DetectorManifest.model_validate({
        "id": "d", "version": "1", "license": "none", "model": "m.onnx", "sha256": "0" * 64,
        "input": {"name": "x", "size": size, "resize": resize, "layout": "NHWC", "dtype": "uint8", "pad_value": 0},
        "output": {"shape": "ssd", "boxes": "b", "scores": "s"}, "labels": ["thing"], "min_score": 0.5, **fields,
    })  # fmt: skip


GRID = st.integers(0, 8).map(lambda n: n / 8)  # so that boxes are equal, touch and contain each other often
BOXES = st.tuples(GRID, GRID, GRID, GRID).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(BOXES, st.integers(0, 5).map(lambda n: n / 5)), max_size=20),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(1, 12),
)  # fmt: skip
def test_suppression_keeps_what_plain_python_keeps(
    given: list[tuple[Box, float]], most_overlap: float, most: int
) -> None:
    boxes, scores = [b for b, _ in given], [s for _, s in given]
    found = suppressed(np.array(boxes).reshape(-1, 4), np.array(scores), most_overlap, most)
    assert found == plainly_suppressed(boxes, scores, most_overlap, most)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["stretch", "pad", "crop"]), st.integers(100, 300), st.integers(100, 300))
def test_boxes_lie_where_the_picture_has_the_thing(data: st.DataObject, resize: str, rows: int, columns: int) -> None:
    """A white rectangle is drawn, and found in the tensor; its box must come back."""
    stated = manifest((96, 64), resize)
    low, high = (0.25, 0.75) if resize == "crop" else (0.0, 1.0)  # of a crop, what is outside cannot be found
    top, bottom = sorted((data.draw(st.floats(low, high - 0.3)), data.draw(st.floats(low + 0.3, high))))
    left, right = sorted((data.draw(st.floats(low, high - 0.3)), data.draw(st.floats(low + 0.3, high))))
    if resize == "crop":  # the middle of the longer side is seen
        scale = max(96 / rows, 64 / columns) / 0.875
        seen = min(1.0, 96 / (rows * scale)), min(1.0, 64 / (columns * scale))
        top, bottom = (0.5 + (v - 0.5) * seen[0] * 1.8 for v in (top, bottom))
        left, right = (0.5 + (v - 0.5) * seen[1] * 1.8 for v in (left, right))
    pixels = np.zeros((rows, columns, 3), np.uint8)
    area = round(top * rows), round(bottom * rows), round(left * columns), round(right * columns)
    if area[1] - area[0] < 12 or area[3] - area[2] < 12:
        return
    pixels[area[0] : area[1], area[2] : area[3]] = 255
    grey = np.asarray(to_tensor(pixels, stated.input)[..., 0], np.float32) > 127
    seen_rows, seen_columns = np.flatnonzero(grey.any(1)), np.flatnonzero(grey.any(0))
    box = [seen_columns[0] / 64, seen_rows[0] / 96, (seen_columns[-1] + 1) / 64, (seen_rows[-1] + 1) / 96]
    found = Candidates(np.array([box]), np.array([0.9]), np.array([0]))
    (one,) = objects_of(found, (rows, columns), stated, ObjectLimits(5))
    pixel = max(rows / 64, columns / 64) * (1.2 if resize == "crop" else 1.0)  # of the input, in those of the picture
    assert one.region.left * columns == pytest.approx(area[2], abs=pixel)
    assert one.region.right * columns == pytest.approx(area[3], abs=pixel)
    assert one.region.top * rows == pytest.approx(area[0], abs=pixel)
    assert one.region.bottom * rows == pytest.approx(area[1], abs=pixel)
    assert (one.label, one.score) == ("thing", 0.9)


def test_boxes_are_cut_at_the_edges_and_the_empty_ones_left_out() -> None:
    boxes = np.array([[-1, -1, 0.5, 0.5], [0.6, 0.6, 3, 3], [1.2, 0, 1.5, 1], [0.5, 0.5, 0.4, 0.9], [0, 0.9, 0.001, 1]])
    found = objects_of(
        Candidates(boxes, np.full(5, 0.9), np.zeros(5, np.int64)), (50, 50), manifest((64, 64)), ObjectLimits(9)
    )
    regions = [(r.left, r.top, r.right, r.bottom) for r in (o.region for o in found)]
    assert regions == [(0, 0, 0.5, 0.5), (np.float32(0.6), np.float32(0.6), 1, 1)]


def test_the_least_score_is_that_of_the_call_or_else_of_the_detector() -> None:
    boxes = np.array([[0, 0, 0.2, 1], [0.3, 0, 0.5, 1], [0.6, 0, 0.8, 1]])
    found = Candidates(boxes, np.array([0.5, 0.4, 0.9]), np.zeros(3, np.int64))

    def scores(limits: ObjectLimits) -> list[float]:
        return [o.score for o in objects_of(found, (50, 50), manifest((64, 64)), limits)]

    assert scores(ObjectLimits(9)) == [0.9, 0.5]
    assert scores(ObjectLimits(9, 0.0)) == [0.9, 0.5, 0.4]
    assert scores(ObjectLimits(9, 0.6)) == [0.9]
    assert scores(ObjectLimits(1)) == [0.9]


def test_regions_are_as_a_message_holds_them() -> None:
    found = Candidates(np.array([[0.1, 0.2, 0.7, 0.9]]), np.array([0.9]), np.array([0]))
    (one,) = objects_of(found, (50, 70), manifest((64, 64)), ObjectLimits(1))
    sides = (one.region.left, one.region.top, one.region.right, one.region.bottom)
    assert sides == tuple(float(np.float32(side)) for side in sides)
