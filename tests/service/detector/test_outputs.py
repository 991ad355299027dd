"""Outputs of families of detectors against plain Python, number by number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.detector.manifest import DetectorManifest
from service.detector.outputs import Candidates, candidates_of

HEIGHT, WIDTH = 40, 80
Box = tuple[float, float, float, float]
Found = list[tuple[Box, float, int]]
NUMBERS = st.floats(-200, 300, width=32)
LOGITS = st.floats(-30, 30, width=32) | st.sampled_from([math.nan, math.inf, -math.inf])
SHARES = st.floats(0, 1, width=32) | st.sampled_from([math.nan, math.inf, -1.0, 2.0])


def manifest(labels: int, **output: Any) -> DetectorManifest:
    return DetectorManifest.model_validate({
        "id": "d", "version": "1", "license": "none", "model": "m.onnx", "sha256": "0" * 64,
        "input": {"name": "x", "size": [HEIGHT, WIDTH]}, "output": output, "labels": [f"l{n}" for n in range(labels)],
    })  # fmt: skip


def corners(raw: Sequence[float], form: str, unit: str) -> Box:
    """The oracle of boxes."""
    a, b, c, d = (float(x) for x in raw)
    if form == "yxyx":
        a, b, c, d = b, a, d, c
    if form == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return (a / WIDTH, b / HEIGHT, c / WIDTH, d / HEIGHT) if unit == "pixel" else (a, b, c, d)


def best(scores: Sequence[float]) -> tuple[float, int]:
    """The oracle of classes: the first of the best; not a number if any is not."""
    if any(math.isnan(s) for s in scores):
        return math.nan, 0
    return max(scores), scores.index(max(scores))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def finite(found: Found, labels: int) -> Found:
    return [
        (box, min(1.0, max(0.0, score)), number)
        for box, score, number in found
        if all(map(math.isfinite, (*box, score))) and 0 <= number < labels
    ]


def same(found: Candidates, expected: Found) -> None:
    assert len(found.boxes) == len(found.scores) == len(found.classes) == len(expected)
    for box, score, number, wanted in zip(found.boxes, found.scores, found.classes, expected, strict=True):
        assert tuple(box) == pytest.approx(wanted[0], rel=1e-6, abs=1e-6)
        assert float(score) == pytest.approx(wanted[1], abs=1e-6)
        assert int(number) == wanted[2]


def table(rows: int, columns: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    cells = st.lists(values, min_size=rows * columns, max_size=rows * columns)
    return cells.map(lambda c: np.array(c, np.float32).reshape(rows, columns))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 6), st.integers(1, 4), st.booleans(), st.booleans())
def test_yolo_outputs_are_read_as_plain_python_reads_them(
    data: st.DataObject, count: int, labels: int, with_objectness: bool, batched: bool
) -> None:
    boxes, scores = data.draw(table(count, 4, NUMBERS)), data.draw(table(count, labels, SHARES))
    objectness = data.draw(table(count, 1, SHARES))
    if with_objectness:
        output, shape = np.concatenate([boxes, objectness, scores], axis=1), "yolov5"
    else:
        output, shape = np.concatenate([boxes, scores], axis=1).T, "yolov8"
    expected: Found = []
    for row in range(count):
        factor = np.float64(objectness[row, 0]) if with_objectness else np.float64(1)
        with np.errstate(invalid="ignore"):
            values = [float(np.float64(s) * factor) for s in scores[row]]
        expected.append((corners(boxes[row], "cxcywh", "pixel"), *best(values)))
    found = candidates_of([output[None] if batched else output], manifest(labels, shape=shape, boxes="o"))
    same(found, finite(expected, labels))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 6), st.integers(1, 4), st.sampled_from(["softmax", "sigmoid"]))
def test_detr_outputs_are_read_as_plain_python_reads_them(
    data: st.DataObject, count: int, labels: int, function: str
) -> None:
    columns = labels + (function == "softmax")
    boxes, logits = data.draw(table(count, 4, NUMBERS)), data.draw(table(count, columns, LOGITS))
    expected: Found = []
    for row in range(count):
        values = [float(x) for x in logits[row]]
        if function == "sigmoid":
            scores = [sigmoid(x) if not math.isnan(x) else x for x in values]
        elif not all(map(math.isfinite, values)):
            if any(math.isnan(x) or x == math.inf for x in values) or max(values) == -math.inf:
                scores = [math.nan]
            else:
                scores = [math.exp(x) / sum(map(math.exp, values)) for x in values[:-1]]
        else:
            scores = [math.exp(x) / sum(map(math.exp, values)) for x in values[:-1]]
        expected.append((corners(boxes[row], "cxcywh", "fraction"), *best(scores)))
    stated = manifest(labels, shape="detr", boxes="b", scores="s", score_function=function)
    same(candidates_of([boxes[None], logits[None]], stated), finite(expected, labels))


@settings(max_examples=60, deadline=None)
@given(
    st.data(), st.integers(0, 6), st.integers(1, 4), st.sampled_from(["xyxy", "yxyx", "cxcywh"]),
    st.sampled_from(["pixel", "fraction"]), st.integers(0, 2), st.sampled_from([np.int64, np.float32]),
)  # fmt: skip
def test_ssd_outputs_are_read_in_every_order_and_unit(
    data: st.DataObject, count: int, labels: int, form: str, unit: str, first: int, dtype: type
) -> None:
    boxes, scores = data.draw(table(count, 4, NUMBERS)), data.draw(table(count, 1, SHARES))[:, 0]
    numbers: NDArray[Any] = data.draw(table(count, 1, st.integers(-1, 6).map(float)))[:, 0].astype(dtype)
    stated = manifest(
        labels, shape="ssd", boxes="b", scores="s", classes="c", box_format=form, box_unit=unit, first_class=first
    )
    expected: Found = [
        (corners(boxes[row], form, unit), float(scores[row]), int(numbers[row]) - first) for row in range(count)
    ]
    same(candidates_of([boxes, scores, numbers], stated), finite(expected, labels))
    same(candidates_of([boxes[None], scores[None], numbers[None]], stated), finite(expected, labels))


def test_without_classes_everything_is_of_the_first() -> None:
    stated = manifest(1, shape="ssd", boxes="b", scores="s", box_unit="fraction")
    found = candidates_of([np.array([[0, 0, 1, 1]], np.float32), np.array([0.5], np.float32)], stated)
    same(found, [((0.0, 0.0, 1.0, 1.0), 0.5, 0)])


@pytest.mark.parametrize(
    ("output", "arrays", "name"),
    [
        ({"shape": "yolov8", "boxes": "o"}, [np.zeros((1, 7, 9))], "'o'"),
        ({"shape": "yolov8", "boxes": "o"}, [np.zeros((2, 6, 9))], "'o'"),
        ({"shape": "yolov5", "boxes": "o"}, [np.zeros((1, 9, 6))], "'o'"),
        ({"shape": "detr", "boxes": "b", "scores": "s"}, [np.zeros((1, 9, 4)), np.zeros((1, 9, 2))], "'s'"),
        ({"shape": "ssd", "boxes": "b", "scores": "s"}, [np.zeros((9, 5)), np.zeros(9)], "'b'"),
        ({"shape": "ssd", "boxes": "b", "scores": "s"}, [np.zeros((9, 4)), np.zeros(8)], "'s'"),
    ],
    ids=str,
)
def test_an_output_of_another_shape_is_named(output: dict[str, str], arrays: list[np.ndarray], name: str) -> None:
    stated = manifest(2 if output["shape"] != "ssd" else 1, **output)
    with pytest.raises(ValueError, match=f"output {name} has the shape"):
        candidates_of(arrays, stated)
