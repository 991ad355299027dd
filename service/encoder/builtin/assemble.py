"""Assembles the built-in encoder: pixels -> colour block and shape block -> one vector."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from service.encoder.builtin.colour import lab
from service.encoder.builtin.formula import INPUT, feature_blocks, pixel_input
from service.encoder.builtin.graph import Graph, Precision
from service.encoder.builtin.head import head
from service.encoder.builtin.scattering import coarse_maps, fine_maps, scattering
from service.encoder.builtin.weights import Weights
from service.encoder.builtin.whitening import Projection

OUTPUT = "embedding"


@dataclass(frozen=True)
class Shares:
    """Squared lengths of the three parts of a vector. Their sum is 1."""

    colour: float
    shape: float
    head: float


def encoder_model(weights: Weights, shares: Shares, precision: Precision) -> onnx.ModelProto:
    """The whole encoder as one graph: uint8 [n, 96, 96, 3] to float32 [n, dimension] of length 1."""
    graph = Graph(precision)
    planes = lab(graph, INPUT.name)
    transform = scattering(graph, planes)
    colour, shape = feature_blocks(graph, planes, transform)
    blocks = [
        (_projected(graph, "colour", colour, weights.colour), shares.colour),
        (_projected(graph, "shape", shape, weights.shape), shares.shape),
        (head(graph, fine_maps(graph, transform), coarse_maps(graph, transform), weights.head), shares.head),
    ]
    scaled = [graph.scaled(graph.unit(block), share**0.5) for block, share in blocks]
    embedding = graph.op("Concat", scaled, axis=1)
    return graph.model("afterimage builtin", pixel_input(), {OUTPUT: (embedding, [sum(weights.block_sizes)])})


def _projected(graph: Graph, name: str, features: str, projection: Projection) -> str:
    centred = graph.op("Sub", [features, graph.constant(projection.mean, f"{name}_mean")])
    return graph.op("MatMul", [centred, graph.weights(projection.matrix, f"{name}_matrix")])
