"""The built-in detector as other families of detectors are exported: the same boxes, given in another form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.detector.builtin.build import FOLDER, MODEL_NAME
from service.detector.builtin.network import SIDE

_CENTRES = np.array([[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]])  # of xyxy: cxcywh
_TURNED = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])  # of xyxy: yxyx
_IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))
NAMES = "{0: 'good', 1: 'nothing'}"  # as Ultralytics writes labels


class _Graph:
    """The graph of the built-in detector, to which nodes are added."""

    def __init__(self) -> None:
        self.model = onnx.load(FOLDER / MODEL_NAME)
        self.graph = self.model.graph
        del self.graph.output[:]

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        name = f"constant {len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"value {len(self.graph.node)}"
        self.graph.node.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def boxes(self, matrix: np.ndarray, scale: float, output: str = "") -> str:
        return self.add("MatMul", "boxes", self.constant(matrix * scale), output=output)

    def score(self, low: float = 0.0) -> str:
        """Shape (n, points, 1), at least `low` and at most 1 - `low`."""
        column = self.add("Unsqueeze", "scores", self.constant([2], np.int64))
        return self.add("Clip", column, self.constant(low), self.constant(1 - low))

    def of_each(self, value: float) -> str:
        """A column of one number, as long as the scores."""
        nothing = self.add("Mul", self.score(), self.constant(0.0))
        return self.add("Add", nothing, self.constant(value))

    def logit(self) -> str:
        score = self.score(1e-6)
        return self.add("Sub", self.add("Log", score), self.log_of_rest(score))

    def log_of_rest(self, score: str) -> str:
        return self.add("Log", self.add("Sub", self.constant(1.0), score))

    def flat(self, value: str, output: str = "", shape: tuple[int, ...] = (-1,)) -> str:
        return self.add("Reshape", value, self.constant(shape, np.int64), output=output)

    def finished(
        self, outputs: Mapping[str, int], *, planes: bool = True, alone: bool = False, imagenet: bool = False
    ) -> onnx.ModelProto:
        """`planes`: the input is float32, NCHW, of 0 to 1, or with the mean and deviation of `imagenet`. `alone`:
        without an axis for a batch."""
        for name, dtype in outputs.items():
            self.graph.output.append(helper.make_tensor_value_info(name, dtype, None))
        if planes:
            self._take_planes(alone, imagenet)
        return self.model

    def _take_planes(self, alone: bool, imagenet: bool) -> None:
        """What precedes the network: a convolution that scales, so that nobody takes it for the graph's own means."""
        taken, nodes = self.graph.input[0].name, list(self.graph.node)
        del self.graph.node[:]
        picture = self.add("Unsqueeze", "images", self.constant([0], np.int64)) if alone else "images"
        mean, deviation = _IMAGENET if imagenet else (np.zeros(3), np.ones(3))
        weight = 255 * np.diag(deviation)[:, :, None, None]
        scaled = self.add("Conv", picture, self.constant(weight), self.constant(255 * mean))
        rows = self.add("Transpose", self.add("Round", scaled), perm=[0, 2, 3, 1])
        self.add("Cast", rows, output=taken, to=TensorProto.UINT8)
        self.graph.node.extend(nodes)
        shape: list[str | int | None] = [3, SIDE, SIDE] if alone else ["n", 3, SIDE, SIDE]
        self.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, shape))


def yolov8() -> onnx.ModelProto:
    """(1, 4 + 2, n), as Ultralytics exports, with labels."""
    graph = _Graph()
    rows = graph.add("Concat", graph.boxes(_CENTRES, SIDE), graph.score(), graph.of_each(0.0), axis=2)
    graph.add("Transpose", rows, output="output0", perm=[0, 2, 1])
    model = graph.finished({"output0": TensorProto.FLOAT})
    model.metadata_props.append(onnx.StringStringEntryProto(key="names", value=NAMES))
    return model


def yolov5() -> onnx.ModelProto:
    """(1, n, 5 + 2)."""
    graph = _Graph()
    columns = [graph.boxes(_CENTRES, SIDE), graph.of_each(1.0), graph.score(), graph.of_each(0.0)]
    graph.add("Concat", *columns, output="output", axis=2)
    return graph.finished({"output": TensorProto.FLOAT})


def end_to_end() -> onnx.ModelProto:
    """(1, n, 6): rows of a box, a score and a class, as later models of Ultralytics give."""
    graph = _Graph()
    graph.add("Concat", graph.boxes(np.eye(4), SIDE), graph.score(), graph.of_each(0.0), output="output0", axis=2)
    graph.graph.node[-1].name = "/model.23/Concat_6"
    for node in graph.graph.node:  # Ultralytics has no values of these names
        for names in (node.input, node.output):
            names[:] = [{"boxes": "decoded", "scores": "best"}.get(name, name) for name in names]
    model = graph.finished({"output0": TensorProto.FLOAT})
    model.metadata_props.append(onnx.StringStringEntryProto(key="names", value=NAMES))
    return model


def detr() -> onnx.ModelProto:
    """Boxes in shares and logits of one class and of no object."""
    graph = _Graph()
    graph.boxes(_CENTRES, 1, "pred_boxes")
    score = graph.score(1e-6)
    graph.add("Concat", graph.add("Log", score), graph.log_of_rest(score), output="logits", axis=2)
    return graph.finished({"logits": TensorProto.FLOAT, "pred_boxes": TensorProto.FLOAT}, imagenet=True)


def deformable_detr() -> onnx.ModelProto:
    """Boxes in shares and logits of two classes that are judged each by itself."""
    graph = _Graph()
    graph.boxes(_CENTRES, 1, "pred_boxes")
    graph.add("Concat", graph.logit(), graph.of_each(-12.0), output="logits", axis=2)
    return graph.finished({"logits": TensorProto.FLOAT, "pred_boxes": TensorProto.FLOAT}, imagenet=True)


def torchvision() -> onnx.ModelProto:
    """Boxes in pixels, labels and scores of one picture, under the numbers that torch names values by."""
    graph = _Graph()
    graph.flat(graph.boxes(np.eye(4), SIDE), "1533", (-1, 4))
    graph.flat(graph.score(), "1541")
    graph.add("Cast", graph.flat(graph.of_each(1.0)), output="1550", to=TensorProto.INT64)
    outputs = {"1533": TensorProto.FLOAT, "1541": TensorProto.FLOAT, "1550": TensorProto.INT64}
    return graph.finished(outputs, alone=True)


def tensorflow() -> onnx.ModelProto:
    """Top, left, bottom, right in shares; bytes are taken, and classes are float32."""
    graph = _Graph()
    graph.boxes(_TURNED, 1, "detection_boxes")
    graph.add("Identity", "scores", output="detection_scores")
    graph.flat(graph.of_each(1.0), "detection_classes", (1, -1))
    names = ("detection_boxes", "detection_classes", "detection_scores")
    return graph.finished(dict.fromkeys(names, TensorProto.FLOAT), planes=False)
