"""What families of detectors give, as candidates: boxes of one format in one unit, each with a class and a score.

N: candidates of the model. C: classes. Outputs may have a leading axis for the one picture of the batch, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.detector.manifest import DetectorManifest, OutputsSpec

Floats = NDArray[np.float64]
Array = NDArray[np.generic]


class Candidates(NamedTuple):
    """boxes: shape (n, 4), left, top, right, bottom in shares of the model's input; they may reach beyond it, or be
    empty. scores: shape (n,), 0 to 1. classes: shape (n,), places in the manifest's `labels`. All are finite."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]


def candidates_of(outputs: Sequence[Array], manifest: DetectorManifest) -> Candidates:
    """The candidates in the outputs of one picture, in the order of `OutputsSpec.names`.

    Raises ValueError where an output does not have the shape that the manifest states. Candidates with numbers that are
    not finite, of background, or of classes without a label are left out.
    """
    spec = manifest.output
    with np.errstate(all="ignore"):  # what is not finite is left out
        raw, scores, classes = _SHAPES[spec.shape](outputs, spec, len(manifest.labels))
        boxes = _in_shares(raw, spec, manifest.input.size)
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (classes >= 0) & (classes < len(manifest.labels))
    return Candidates(boxes[good], scores[good].clip(0, 1), classes[good])


_Raw = tuple[Floats, Floats, NDArray[np.int64]]


def _yolov8(outputs: Sequence[Array], spec: OutputsSpec, labels: int) -> _Raw:
    """One output, (4 + C, N): boxes, and a score for each class."""
    table = _squeezed(outputs[0], 2, spec.boxes)
    _check(len(table) == 4 + labels, spec.boxes, f"(1, 4 + {labels} classes, n)", outputs[0])
    return _best_class(table[:4].T, table[4:].T)


def _yolov5(outputs: Sequence[Array], spec: OutputsSpec, labels: int) -> _Raw:
    """One output, (N, 5 + C): boxes, the score of there being an object, and a score for each class."""
    table = _squeezed(outputs[0], 2, spec.boxes)
    _check(table.shape[1] == 5 + labels, spec.boxes, f"(1, n, 5 + {labels} classes)", outputs[0])
    return _best_class(table[:, :4], table[:, 5:] * table[:, 4:5])


def _detr(outputs: Sequence[Array], spec: OutputsSpec, labels: int) -> _Raw:
    """Boxes (N, 4) and logits: under softmax (N, C + 1), of which the last is "no object"; under sigmoid (N, C)."""
    boxes, logits = _squeezed(outputs[0], 2, spec.boxes), _squeezed(outputs[1], 2, spec.scores)
    softmax = spec.score_function == "softmax"
    wanted = labels + 1 if softmax else labels
    _check(boxes.shape[1] == 4, spec.boxes, "(1, n, 4)", outputs[0])
    _check(logits.shape == (len(boxes), wanted), spec.scores, f"(1, {len(boxes)}, {wanted})", outputs[1])
    if not softmax:
        return _best_class(boxes, 1 / (1 + np.exp(-logits)))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return _best_class(boxes, powers[:, :-1] / powers.sum(axis=1, keepdims=True))


def _ssd(outputs: Sequence[Array], spec: OutputsSpec, labels: int) -> _Raw:
    """Boxes (N, 4), scores (N) and classes (N), decoded in the graph. Without classes, all are of the first."""
    boxes, scores = _squeezed(outputs[0], 2, spec.boxes), _squeezed(outputs[1], 1, spec.scores)
    _check(boxes.shape[1] == 4, spec.boxes, "(n, 4)", outputs[0])
    _check(len(scores) == len(boxes), spec.scores, f"({len(boxes)},)", outputs[1])
    if not spec.classes:
        return boxes, scores, np.zeros(len(boxes), np.int64)
    numbers = _squeezed(outputs[2], 1, spec.classes)
    _check(len(numbers) == len(boxes), spec.classes, f"({len(boxes)},)", outputs[2])
    return boxes, scores, np.where(abs(numbers) < 1e6, numbers, -1).astype(np.int64) - spec.first_class


_SHAPES: Mapping[str, Callable[[Sequence[Array], OutputsSpec, int], _Raw]] = {
    "yolov8": _yolov8, "yolov5": _yolov5, "detr": _detr, "ssd": _ssd,
}  # fmt: skip


def _best_class(boxes: Floats, scores: Floats) -> _Raw:
    """Each box with its best class; a score that is not a number makes the whole box bad."""
    best = scores.argmax(axis=1) if len(scores) else np.zeros(0, np.int64)
    return boxes, scores[np.arange(len(scores)), best], best.astype(np.int64)


def _in_shares(boxes: Floats, spec: OutputsSpec, size: tuple[int, int]) -> Floats:
    """Boxes as left, top, right, bottom in shares of the input."""
    if spec.format == "yxyx":
        corners = boxes[:, [1, 0, 3, 2]]
    elif spec.format == "cxcywh":
        half = boxes[:, 2:] / 2
        corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    else:
        corners = boxes
    height, width = size
    return corners / ([width, height] * 2) if spec.unit == "pixel" else corners


def _squeezed(output: Array, axes: int, name: str) -> Floats:
    """The output of one picture, without the axis of the batch."""
    array = np.asarray(output, np.float64)
    if array.ndim == axes + 1 and len(array) == 1:
        array = array[0]
    _check(array.ndim == axes, name, f"of {axes} axes, or of {axes + 1} with a batch of 1", output)
    return array


def _check(fits: bool, name: str, wanted: str, output: Array) -> None:
    if not fits:
        raise ValueError(f"output {name!r} has the shape {np.shape(output)}, not {wanted}")
