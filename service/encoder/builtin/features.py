"""The features of a picture before the projections. Fitting starts from them.

The network sees the picture and its mirror image, so that both have the same features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from service.encoder.builtin.colour import FEATURES, colour_features, lab
from service.encoder.builtin.graph import Graph
from service.encoder.builtin.instance import instance_features
from service.encoder.builtin.network import SIDE as NETWORK_SIDE
from service.encoder.builtin.network import NetworkWeights, family, network
from service.encoder.manifest import InputSpec
from service.encoder.preprocess import to_tensor

SIDE = 96
INSTANCE_FEATURES = 2816
INPUT = InputSpec(
    name="pixels",
    size=(SIDE, SIDE),
    layout="NHWC",
    color="RGB",
    dtype="uint8",
    decode="scaled",
    trim="frame",
    resize="stretch",
)


@dataclass(frozen=True)
class Features:
    """Names of values in the graph: `colour` [n, 2220] of length 1, `instance` [n, 2816], `family` [n, 128] of length
    1."""

    colour: str
    instance: str
    family: str


def prepared(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Prepares a picture of any size for the encoder: uint8 (SIDE, SIDE, 3), without its frame."""
    tensor: NDArray[np.uint8] = to_tensor(pixels, INPUT).astype(np.uint8, copy=False)
    return tensor


def pixel_input() -> onnx.ValueInfoProto:
    """The input of every model of the built-in encoder."""
    return helper.make_tensor_value_info(INPUT.name, onnx.TensorProto.UINT8, ["n", SIDE, SIDE, 3])


def features(graph: Graph, pixels: str, weights: NetworkWeights, codebook: NDArray[np.float32]) -> Features:
    """The features of pictures, uint8 [n, SIDE, SIDE, 3]."""
    planes = unit_planes(graph, pixels)
    colour = colour_features(graph, lab(graph, planes), codebook)
    sides = graph.constant(np.array([NETWORK_SIDE, NETWORK_SIDE], np.int64))
    larger = graph.op("Resize", [planes, "", "", sides], mode="linear", axes=[2, 3])
    reverse = graph.constant(np.arange(NETWORK_SIDE - 1, -1, -1, dtype=np.int64))
    both = graph.op("Concat", [larger, graph.op("Gather", [larger, reverse], axis=3)], axis=0)
    maps = network(graph, both, weights)
    instance = _mean_of_halves(graph, instance_features(graph, maps))
    kind = graph.unit(_mean_of_halves(graph, graph.unit(family(graph, maps, weights))))
    return Features(colour, instance, kind)


def unit_planes(graph: Graph, pixels: str) -> str:
    """uint8 [n, h, w, 3] as float32 [n, 3, h, w] of 0 to 1."""
    numbers = graph.op("Cast", [pixels], to=onnx.TensorProto.FLOAT)
    return graph.op("Mul", [graph.op("Transpose", [numbers], perm=[0, 3, 1, 2]), graph.scalar(1 / 255)])


def feature_model(weights: NetworkWeights, codebook: NDArray[np.float32]) -> onnx.ModelProto:
    """pixels -> `colour`, `instance`, `family`."""
    graph = Graph()
    found = features(graph, INPUT.name, weights, codebook)
    outputs = {
        "colour": (found.colour, [FEATURES]),
        "instance": (found.instance, [INSTANCE_FEATURES]),
        "family": (found.family, [weights.family.shape[1]]),
    }
    return graph.model("features", pixel_input(), outputs)


def _mean_of_halves(graph: Graph, value: str) -> str:
    """The mean of a picture's row and of its mirror image's: [2 n, d] to [n, d]."""
    straight, mirrored = graph.split_batch(value)
    return graph.op("Mul", [graph.op("Add", [straight, mirrored]), graph.scalar(0.5)])
