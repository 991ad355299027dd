"""The parts of the encoder without learned weights, as separate models. Learning starts from their output."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from service.encoder.builtin.colour import SIDE, colour_features, colour_mirror, lab
from service.encoder.builtin.graph import Graph
from service.encoder.builtin.scattering import (
    COARSE_CHANNELS,
    FINE_CHANNELS,
    Scattering,
    coarse_maps,
    fine_maps,
    scattering,
    shape_features,
    shape_mirror,
)
from service.encoder.builtin.symmetry import even_part, even_places
from service.encoder.manifest import InputSpec
from service.encoder.preprocess import to_tensor

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


def prepared(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Prepares a picture of any size for the encoder: uint8 (SIDE, SIDE, 3), without its frame."""
    tensor: NDArray[np.uint8] = to_tensor(pixels, INPUT).astype(np.uint8, copy=False)
    return tensor


def pixel_input() -> onnx.ValueInfoProto:
    """The input of every model of the built-in encoder."""
    return helper.make_tensor_value_info(INPUT.name, onnx.TensorProto.UINT8, ["n", SIDE, SIDE, 3])


def feature_blocks(graph: Graph, planes: str, transform: Scattering) -> tuple[str, str]:
    """The colour features, [n, 1722], and the shape features, [n, 3544], of Lab `planes`.

    Each has length 1, and is equal for the mirror image.
    """
    colour = graph.unit(even_part(graph, colour_features(graph, planes), colour_mirror()))
    shape = graph.unit(even_part(graph, shape_features(graph, transform), shape_mirror()))
    return colour, shape


def feature_model() -> onnx.ModelProto:
    """pixels -> `colour` [n, 1722], `shape` [n, 3544]."""
    graph = Graph()
    planes = lab(graph, INPUT.name)
    colour, shape = feature_blocks(graph, planes, scattering(graph, planes))
    outputs = {
        "colour": (colour, [len(even_places(colour_mirror()))]),
        "shape": (shape, [len(even_places(shape_mirror()))]),
    }
    return graph.model("features", pixel_input(), outputs)


def map_model() -> onnx.ModelProto:
    """pixels -> `fine` [n, 123, 12, 12], `coarse` [n, 1280, 6, 6], float32."""
    graph = Graph()
    transform = scattering(graph, lab(graph, INPUT.name))
    outputs = {
        "fine": (fine_maps(graph, transform), [FINE_CHANNELS, 12, 12]),
        "coarse": (coarse_maps(graph, transform), [COARSE_CHANNELS, 6, 6]),
    }
    return graph.model("maps", pixel_input(), outputs)
