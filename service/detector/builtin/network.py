"""The network: a small pyramid of convolutions that gives a box and a score for each point of a grid.

It follows FCOS, without classes and on one level of the pyramid (Tian et al., "FCOS: Fully Convolutional One-Stage
Object Detection", ICCV 2019). A score is the expected overlap of its box (Li et al., "Generalized Focal Loss",
NeurIPS 2020).
Weights are learned from drawn scenes (service/detector/builtin/train). This module holds them and makes the graph.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from service.encoder.builtin.graph import Graph, Precision
from service.encoder.builtin.network import Convolution, add_convolution

SIDE: Final = 192
STRIDE: Final = 8
GRID: Final = SIDE // STRIDE
POINTS: Final = GRID**2
WIDTHS: Final = (20, 40, 80, 128, 160)
INNER: Final = (24, 48, 72, 96)
STAGES: Final = (1, 2, 2, 1)  # shortcuts after each halving but the first
TOP: Final = 80  # channels of the pyramid
REACH: Final = 0.1  # of the picture: the distance from a point to an edge where the network gives 0
LARGEST_LOG: Final = 3.0  # of a distance, in natural logarithms above and below REACH
INPUT, BOXES, SCORES = "pixels", "boxes", "scores"
_LATERALS: Final = (1, 2, 3)
NAMES: Final = (
    "stem",
    *(
        name
        for stage, count in enumerate(STAGES)
        for name in (f"down{stage}", *(f"stage{stage}_{n}{part}" for n in range(count) for part in "ab"))
    ),
    *(f"lateral{stage}" for stage in _LATERALS), "smooth", "heada", "headb", "out",
)  # fmt: skip
WEIGHTS: Final = Path(__file__).parent / "weights.npz"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class DetectorWeights:
    """All convolutions by name, normalisations folded in."""

    convolutions: dict[str, Convolution]

    def save(self, path: Path) -> None:
        """Writes kernels as whole numbers of 8 bits with a scale for each output, and biases as float32."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for name, layer in self.convolutions.items():
            most = np.abs(layer.kernel).max(axis=(1, 2, 3), keepdims=True)
            scale = np.maximum(most, 1e-12).astype(np.float32) / np.float32(127)
            arrays[f"{name}.kernel"] = np.rint(layer.kernel / scale).astype(np.int8)
            arrays |= {f"{name}.scale": scale, f"{name}.bias": layer.bias.astype(np.float32)}
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> DetectorWeights:
        """Reads a file of `save`. Raises OSError or KeyError."""
        with np.load(path, allow_pickle=False) as file:
            return cls({
                name: Convolution(file[f"{name}.kernel"] * file[f"{name}.scale"], file[f"{name}.bias"])
                for name in NAMES
            })  # fmt: skip


def detector_model(weights: DetectorWeights, precision: Precision = "int8") -> onnx.ModelProto:
    """The graph: uint8 [n, SIDE, SIDE, 3] RGB to `boxes` float32 [n, POINTS, 4] and `scores` float32 [n, POINTS].

    Boxes are left, top, right and bottom as fractions of the picture. They are neither sorted nor suppressed.
    """
    graph = Graph(precision)
    planes = graph.op("Transpose", [graph.op("Cast", [INPUT], to=onnx.TensorProto.FLOAT)], perm=[0, 3, 1, 2])
    found = _network(graph, graph.scaled(planes, 1 / 255), weights.convolutions)
    rows = graph.reshape(graph.op("Transpose", [found], perm=[0, 2, 3, 1]), [0, POINTS, 5])
    distances = graph.slice(rows, axis=2, start=1, end=5)
    limits = [graph.scalar(-LARGEST_LOG), graph.scalar(LARGEST_LOG)]
    reach = graph.scaled(graph.op("Exp", [graph.op("Clip", [distances, *limits])]), REACH)
    signs = graph.constant(np.array([-1, -1, 1, 1], np.float32))
    corners = graph.op("Add", [graph.op("Mul", [reach, signs]), graph.constant(np.tile(points(), 2), "points")])
    boxes = graph.op("Clip", [corners, graph.scalar(0.0), graph.scalar(1.0)])
    scores = graph.reshape(graph.op("Sigmoid", [graph.slice(rows, axis=2, start=0, end=1)]), [0, POINTS])
    source = helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    return graph.model("afterimage detector", source, {BOXES: (boxes, [POINTS, 4]), SCORES: (scores, [POINTS])})


def points() -> Array:
    """The points of the grid, row by row: (POINTS, 2), x and y as fractions of the picture."""
    places = (np.arange(GRID, dtype=np.float32) + np.float32(0.5)) / GRID
    return np.array([(x, y) for y, x in itertools.product(places, places)], np.float32)


def _network(graph: Graph, pixels: str, layers: dict[str, Convolution]) -> str:
    """float32 [n, 3, SIDE, SIDE] of 0..1 to [n, 5, GRID, GRID]."""

    def conv(value: str, name: str, stride: int = 1) -> str:
        return add_convolution(graph, value, name, layers[name], stride)

    def shortcut(value: str, name: str) -> str:
        inner = graph.op("Relu", [conv(value, f"{name}a")])
        return graph.op("Relu", [graph.op("Add", [value, conv(inner, f"{name}b")])])

    centred = graph.scaled(graph.op("Sub", [pixels, graph.scalar(0.5)]), 4.0)
    value = graph.op("Relu", [conv(centred, "stem", 2)])
    stages = []
    for stage, count in enumerate(STAGES):
        value = graph.op("Relu", [conv(value, f"down{stage}", 2)])
        for number in range(count):
            value = shortcut(value, f"stage{stage}_{number}")
        stages.append(value)
    joined = conv(stages[3], "lateral3")
    doubled = graph.constant(np.array([1, 1, 2, 2], np.float32))
    for stage in (2, 1):
        larger = graph.op("Resize", [joined, "", doubled], mode="nearest")
        joined = graph.op("Add", [larger, conv(stages[stage], f"lateral{stage}")])
    smooth = graph.op("Relu", [conv(joined, "smooth")])
    return conv(shortcut(smooth, "head"), "out")
