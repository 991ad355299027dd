"""Small detectors for tests: graphs with the outputs of families of models, and one that finds bright things."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64  # of the input of all of them
_THRESHOLD = 100.0
Array = NDArray[Any]


def write_detector(folder: Path, detector_id: str, model: bytes, **fields: Any) -> Path:
    """Writes a detector into a folder of its own below `folder`. `fields`: of the manifest; returns the folder."""
    target = folder / detector_id
    target.mkdir(parents=True, exist_ok=True)
    (target / "model.onnx").write_bytes(model)
    manifest = {
        "id": detector_id, "version": "1", "license": "Apache-2.0", "model": "model.onnx",
        "sha256": hashlib.sha256(model).hexdigest(), "labels": ["object"], **fields,
    }  # fmt: skip
    (target / "detector.json").write_text(json.dumps(manifest))
    return target


def write_bright(folder: Path, detector_id: str = "bright", **fields: Any) -> Path:
    """Writes the detector of `bright_halves`."""
    stated = {
        "input": {"name": "pictures", "size": [SIDE, SIDE], "layout": "NHWC", "dtype": "uint8"},
        "output": {"shape": "ssd", "boxes": "boxes", "scores": "scores", "box_unit": "fraction"},
        "min_score": 0.5,
    }  # fmt: skip
    return write_detector(folder, detector_id, bright_halves(), **(stated | fields))


def bright_halves() -> bytes:
    """In each half of the picture, left and right, the box of all pixels brighter than 100 in a channel; its score is
    that of the brightest. uint8 (1, SIDE, SIDE, 3) to boxes (2, 4) in shares and scores (2,)."""
    nodes = [
        _node("Cast", ["pictures"], "values", to=TensorProto.FLOAT),
        _node("ReduceMax", ["values", "axis3"], "grey", keepdims=0),
        _node("Greater", ["grey", "threshold"], "over"),
        _node("Cast", ["over"], "mask", to=TensorProto.FLOAT),
    ]
    half = SIDE // 2
    constants: dict[str, Array] = {
        "axis3": np.array([3]), "threshold": np.array(_THRESHOLD, np.float32),
        "axis1": np.array([1]), "axis2": np.array([2]),
        "axis12": np.array([1, 2]), "white": np.array(255, np.float32), "side": np.array(SIDE, np.float32),
        "one": np.array([1]),
        "line": np.array([-1]), "start left": np.array([0]), "end left": np.array([half]), "shift left": np.array([0]),
        "start right": np.array([half]), "end right": np.array([SIDE]), "shift right": np.array([half]),
    }  # fmt: skip
    for name in ("left", "right"):
        cut = [f"start {name}", f"end {name}", "axis2"]
        nodes += [
            _node("Slice", ["mask", *cut], f"mask {name}"),
            _node("Slice", ["grey", *cut], f"grey {name}"),
            _node("ReduceMax", [f"mask {name}", "axis1"], f"columns {name}", keepdims=0),
            _node("ReduceMax", [f"mask {name}", "axis2"], f"rows {name}", keepdims=0),
        ]
        for line, shift in (("columns", [f"shift {name}"]), ("rows", [])):
            for end, last in (("first", 0), ("last", 1)):
                found = f"{end} {line} {name}"
                nodes.append(
                    _node("ArgMax", [f"{line} {name}"], found + " at", axis=1, keepdims=0, select_last_index=last)
                )
                added = [found + " at", *shift, *(["one"] if last else [])]
                for number, other in enumerate(added[1:]):
                    nodes.append(_node("Add", [added[0], other], f"{found} {number}"))
                    added[0] = f"{found} {number}"
                nodes.append(_node("Reshape", [added[0], "one"], found))
        corners = [f"{end} {line} {name}" for end in ("first", "last") for line in ("columns", "rows")]
        nodes += [
            _node("Concat", corners, f"box {name}", axis=0),
            _node("ReduceMax", [f"grey {name}", "axis12"], f"best {name}", keepdims=0),
        ]
    nodes += [
        _node("Concat", ["box left", "box right"], "all boxes", axis=0),
        _node("Cast", ["all boxes"], "in pixels", to=TensorProto.FLOAT),
        _node("Div", ["in pixels", "side"], "in shares"),
        _node("Reshape", ["in shares", "as boxes"], "boxes"),
        _node("Concat", ["best left", "best right"], "all best", axis=0),
        _node("Div", ["all best", "white"], "scores"),
    ]
    constants["as boxes"] = np.array([2, 4])
    return _model(nodes, constants, TensorProto.UINT8, [1, SIDE, SIDE, 3], ["boxes", "scores"])


def yolov8(boxes: Array, logits: Array) -> bytes:
    """boxes: (N, 4), logits: (N, C). Output "output0", (1, 4 + C, N), as heads of YOLOv8 end."""
    constants = {"raw": boxes.T[None].astype(np.float32), "logits": logits.T[None].astype(np.float32)}
    nodes = [
        *_of_picture("raw", "boxes"), _node("Sigmoid", ["logits"], "scores"),
        _node("Concat", ["boxes", "scores"], "output0", axis=1),
    ]  # fmt: skip
    return _model(nodes, constants, TensorProto.FLOAT, [1, 3, SIDE, SIDE], ["output0"])


def yolov5(boxes: Array, objectness: Array, logits: Array) -> bytes:
    """boxes: (N, 4), objectness: (N,), logits: (N, C). Output "output", (1, N, 5 + C)."""
    rest = np.concatenate([objectness[:, None], logits], axis=1)
    constants = {"raw": boxes[None].astype(np.float32), "logits": rest[None].astype(np.float32)}
    nodes = [
        *_of_picture("raw", "boxes"), _node("Sigmoid", ["logits"], "scores"),
        _node("Concat", ["boxes", "scores"], "output", axis=2),
    ]  # fmt: skip
    return _model(nodes, constants, TensorProto.FLOAT, [1, 3, SIDE, SIDE], ["output"])


def detr(boxes: Array, logits: Array) -> bytes:
    """boxes: (Q, 4) of centres and sides, in shares above 0 and below 1; logits: (Q, C + 1). Outputs "pred_boxes" and
    "logits"."""
    constants = {"raw": np.log(boxes / (1 - boxes))[None].astype(np.float32), "given": logits[None].astype(np.float32)}
    nodes = [_node("Sigmoid", ["raw"], "pred_boxes"), *_of_picture("given", "logits")]
    return _model(nodes, constants, TensorProto.FLOAT, ["n", 3, SIDE, SIDE], ["logits", "pred_boxes"])


def torchvision_ssd(boxes: Array, scores: Array, labels: Array) -> bytes:
    """boxes: (N, 4) of corners in pixels. Outputs "boxes", "scores" and "labels" (int64), of what an operator for
    suppression leaves of a score above 0.05; input without an axis of the batch."""
    constants: dict[str, Array] = {
        "all boxes": boxes[None].astype(np.float32), "given": scores[None, None].astype(np.float32),
        "most": np.array([200]), "overlap": np.array([0.9], np.float32), "least": np.array([0.05], np.float32),
        "chosen rows": boxes.astype(np.float32), "row labels": labels.astype(np.int64),
        "row scores": scores.astype(np.float32), "third": np.array([2]), "flat": np.array([-1]),
    }  # fmt: skip
    nodes = [
        *_of_picture("given", "all scores"),
        _node("NonMaxSuppression", ["all boxes", "all scores", "most", "overlap", "least"], "selected"),
        _node("Gather", ["selected", "third"], "column", axis=1), _node("Reshape", ["column", "flat"], "rows"),
        _node("Gather", ["chosen rows", "rows"], "boxes"), _node("Gather", ["row scores", "rows"], "scores"),
        _node("Gather", ["row labels", "rows"], "labels"),
    ]  # fmt: skip
    types = {"labels": TensorProto.INT64}
    return _model(nodes, constants, TensorProto.FLOAT, [3, SIDE, SIDE], ["boxes", "labels", "scores"], types)


def tensorflow_ssd(boxes: Array, scores: Array, classes: Array) -> bytes:
    """boxes: (N, 4) of top, left, bottom, right in shares. Outputs have the names of TensorFlow's object detection API,
    and classes are float32."""
    constants = {
        "b": boxes[None].astype(np.float32), "s": scores[None].astype(np.float32), "c": classes[None].astype(np.float32)
    }  # fmt: skip
    names = {"b": "detection_boxes", "s": "detection_scores", "c": "detection_classes"}
    cast = _node("Cast", ["pictures"], "values", to=TensorProto.FLOAT)
    nodes = [cast, *(n for raw, name in names.items() for n in _of_picture(raw, name, "values"))]
    return _model(nodes, constants, TensorProto.UINT8, [1, SIDE, SIDE, 3], list(names.values()))


def _of_picture(constant: str, name: str, picture: str = "pictures") -> list[onnx.NodeProto]:
    """A constant that the graph cannot fold, since something of the picture is added that is 0."""
    return [
        _node("ReduceMax", [picture], f"most for {name}", keepdims=0),
        _node("Sub", [f"most for {name}", f"most for {name}"], f"nothing for {name}"),
        _node("Add", [constant, f"nothing for {name}"], name),
    ]


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), [output], **attributes)


def _model(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Array], dtype: int, shape: Sequence[int | str],
    outputs: Sequence[str], types: Mapping[str, int] | None = None,
) -> bytes:  # fmt: skip
    graph = helper.make_graph(
        list(nodes), "detector", [helper.make_tensor_value_info("pictures", dtype, list(shape))],
        [helper.make_tensor_value_info(o, (types or {}).get(o, TensorProto.FLOAT), None) for o in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())
