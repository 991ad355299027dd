"""Assembles the built-in encoder: pixels -> colour block and shape block -> one vector."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from service.encoder.builtin.features import INPUT, features, pixel_input
from service.encoder.builtin.graph import Graph, Precision
from service.encoder.builtin.instance import standardised
from service.encoder.builtin.weights import Weights
from service.encoder.builtin.whitening import Projection

OUTPUT = "embedding"


@dataclass(frozen=True)
class Shares:
    """Squared lengths of the three parts of a vector. Their sum is 1."""

    colour: float
    instance: float
    family: float


def encoder_model(weights: Weights, shares: Shares, precision: Precision) -> onnx.ModelProto:
    """The whole encoder as one graph: uint8 [n, 96, 96, 3] to float32 [n, dimension] of length 1."""
    graph = Graph(precision)
    fitted = weights.projections
    found = features(graph, INPUT.name, weights.network, fitted.codebook)
    instance = standardised(graph, found.instance, fitted.standard)
    parts = [
        (_projected(graph, "colour", found.colour, fitted.colour), shares.colour),
        (_projected(graph, "instance", instance, fitted.instance), shares.instance),
        (found.family, shares.family),
    ]
    scaled = [graph.scaled(graph.unit(part), share**0.5) for part, share in parts]
    embedding = graph.op("Concat", scaled, axis=1)
    return graph.model("afterimage builtin", pixel_input(), {OUTPUT: (embedding, [sum(weights.part_sizes)])})


def _projected(graph: Graph, name: str, features: str, projection: Projection) -> str:
    centred = graph.op("Sub", [features, graph.constant(projection.mean, f"{name}_mean")])
    return graph.op("MatMul", [centred, graph.weights(projection.matrix, f"{name}_matrix")])
