"""What the outputs of a detector are, told by their names and by the arrays that one run gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.detector.adding.families import Kind
from service.encoder.adding.picture_input import UnusableGraph

Arrays = Mapping[str, NDArray[np.generic]]
_BOXES = ("detection_boxes", "pred_boxes", "boxes", "bboxes", "dets", "output0")
_SCORES = ("detection_scores", "scores", "logits", "pred_logits", "score", "confidences")
_CLASSES = ("detection_classes", "labels", "classes", "class_ids", "label")
_SEGMENTS = 32  # numbers of a mask in a row of Ultralytics
_IN_SHARES = 1.6  # coordinates of boxes in shares of the picture reach little beyond 1
_NO_OBJECT = 0.6  # the share of queries above which the last class is that of no object


@dataclass(frozen=True)
class OutputsRead:
    """What the outputs are.

    - `kind`, `shape`: of a manifest; `columns`: the rows of the only output have a box, a score and a class each.
    - `boxes`, `scores`, `classes`: names; empty: there is none.
    - `class_count`: how many classes the outputs have, of `detr` with that of no object; 0: they do not say.
    - `unit`: of the boxes by their numbers; empty: there was no box. `background`: of `detr`, whether the last class
      won most of the queries. `least_class`: of `ssd`, the lowest number that was given; None: there was none.
    """

    kind: Kind
    shape: Literal["yolov8", "yolov5", "detr", "ssd"]
    boxes: str
    why: str
    scores: str = ""
    classes: str = ""
    class_count: int = 0
    unit: Literal["", "pixel", "fraction"] = ""
    background: bool = False
    least_class: int | None = None
    columns: bool = False


def read_outputs(results: Arrays, labels: int) -> OutputsRead:
    """What the outputs are. `labels`: how many classes the file or the operator names, 0: unknown.

    Raises UnusableGraph where they are of no shape that the service reads.
    """
    boxes = _first(results, _BOXES, lambda a: a.ndim in (2, 3) and a.shape[-1] == 4 and _floats(a))
    if boxes:
        found = _detr(results, boxes) or _ssd(results, boxes)
        if found is not None:
            return found
    table = _first(results, _BOXES, lambda a: a.ndim == 3 and len(a) == 1 and min(a.shape[1:]) >= 5 and _floats(a))
    if table:
        return _yolo(results[table], table, labels)
    raise UnusableGraph(
        f"the outputs are of no shape that is known here (docs/formats/detector-manifest.md): {shown(results)}"
    )


def shown(results: Arrays) -> str:
    """The names, shapes and types of outputs, for people."""
    return "; ".join(f"{name}: {list(array.shape)} {array.dtype}" for name, array in results.items())


def _detr(results: Arrays, boxes: str) -> OutputsRead | None:
    """Boxes, and logits of each class for each of them."""
    box = results[boxes]
    name = _first(
        {n: a for n, a in results.items() if n != boxes}, _SCORES,
        lambda a: a.ndim == box.ndim and a.shape[:-1] == box.shape[:-1] and a.shape[-1] > 1 and _floats(a),
    )  # fmt: skip
    if not name:
        return None
    logits = np.asarray(results[name], np.float64).reshape(-1, results[name].shape[-1])
    if len(logits) and logits.min() >= 0 and logits.max() <= 1 and np.allclose(logits.sum(1), 1, atol=1e-3):
        raise UnusableGraph(
            f"{name!r} has probabilities of each class; end the graph with the best one of each box and its number"
        )
    won = float((logits.argmax(1) == logits.shape[1] - 1).mean()) if len(logits) else 0.0
    background = won >= _NO_OBJECT
    return OutputsRead(
        "detr", "detr", boxes, f"boxes of {len(logits)} queries, and {logits.shape[1]} numbers for each", name,
        class_count=logits.shape[1], unit=_unit(box), background=background,
    )  # fmt: skip


def _ssd(results: Arrays, boxes: str) -> OutputsRead | None:
    """Boxes that the graph has decoded, with a score and perhaps a class each."""
    count = results[boxes].shape[-2]
    rest = {n: a for n, a in results.items() if n != boxes and a.ndim in (1, 2) and a.shape[-1] == count}
    whole = {n: a for n, a in rest.items() if not _floats(a) or (n in _CLASSES and n not in _SCORES)}
    scores = _first({n: a for n, a in rest.items() if n not in whole}, _SCORES, _floats)
    if not scores:
        return None
    classes = _first(whole, _CLASSES, lambda a: True)
    numbers = results[classes] if classes else np.zeros(0)
    return OutputsRead(
        "ssd", "ssd", boxes, f"{count} boxes with a score{' and a class' if classes else ''} each", scores, classes,
        class_count=0 if classes else 1, unit=_unit(results[boxes]),
        least_class=int(numbers.min()) if numbers.size else None,
    )  # fmt: skip


def _yolo(array: NDArray[np.generic], name: str, labels: int) -> OutputsRead:
    """One table: columns of candidates from YOLOv8 on, rows before it, or rows of what suppression has left."""
    rows, columns = array.shape[1:]
    table = np.asarray(array[0], np.float64)
    if columns == 6 and (labels or rows <= 1000) and _end_to_end(table):
        return OutputsRead(
            "yolo", "ssd", name, f"{rows} rows of a box, a score and a class", unit=_unit(table[:, :4]), columns=True
        )
    eight = rows < columns
    found, numbers = (rows - 4, table[:4].T) if eight else (columns - 5, table[:, :4])
    if labels and found != labels:
        extra = found - labels
        why = ": of masks? Export a detection model" if extra == _SEGMENTS else ""
        raise UnusableGraph(
            f"{name!r} has {found} numbers beside the box of a candidate, and there are {labels} labels{why}"
        )
    if found < 1:
        raise UnusableGraph(f"{name!r} has no scores beside its boxes: {list(array.shape)}")
    shape: Literal["yolov8", "yolov5"] = "yolov8" if eight else "yolov5"
    why = f"{columns if eight else rows} {'columns' if eight else 'rows'} of a box and {found} classes"
    return OutputsRead("yolo", shape, name, why, class_count=found, unit=_unit(numbers))


def _end_to_end(table: NDArray[np.float64]) -> bool:
    """Whether the last column has numbers of classes, and the boxes are corners."""
    classes, boxes = table[:, 5], table[:, :4]
    corners = bool((boxes[:, 2:] >= boxes[:, :2] - 1e-3).all())
    return corners and bool(np.array_equal(classes, classes.round())) and bool((classes >= 0).all())


def _unit(boxes: NDArray[np.generic]) -> Literal["", "pixel", "fraction"]:
    if not boxes.size:
        return ""
    return "fraction" if float(np.abs(np.asarray(boxes, np.float64)).max()) <= _IN_SHARES else "pixel"


def _floats(array: NDArray[np.generic]) -> bool:
    return array.dtype.kind == "f"


def _first(results: Arrays, names: tuple[str, ...], fits: Callable[[NDArray[np.generic]], bool]) -> str:
    """The output that fits, of several the one with the best name; empty: none."""
    usable = [name for name, array in results.items() if fits(array)]
    return min(usable, key=lambda n: names.index(n.lower()) if n.lower() in names else len(names), default="")
