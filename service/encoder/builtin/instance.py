"""Instance features: what the middle maps of the network show, and where. They tell things of one family apart.

Means over nine windows of the whole maps and over nine windows of their inner part, a closer view at no cost; and means
and deviations over all of the maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.graph import Graph
from service.encoder.builtin.network import Maps

Array = NDArray[np.float32]
_INNER = (2, 12)  # of 14 pixels
_POWER = 0.7


@dataclass(frozen=True)
class Standard:
    """What brings features to one scale: (f - mean) / deviation, then sign(x) |x| ** 0.7. Both: (features,)."""

    mean: Array
    deviation: Array

    def apply(self, features: Array) -> Array:
        """Features (n, features) on one scale, rows of length 1."""
        scaled = (features - self.mean) / self.deviation
        curved = np.sign(scaled) * np.abs(scaled) ** _POWER
        unit: Array = curved / np.maximum(np.linalg.norm(curved, axis=1, keepdims=True), 1e-9)
        return unit


def standard_of(features: Array) -> Standard:
    """Means and deviations of features (n, features)."""
    deviation = features.std(0)
    return Standard(features.mean(0), deviation + 1e-3 * deviation.mean() + 1e-6)


def instance_features(graph: Graph, maps: Maps) -> str:
    """[n, 2816]."""
    rows = graph.slice(maps.middle, axis=2, start=_INNER[0], end=_INNER[1])
    inner = graph.slice(rows, axis=3, start=_INNER[0], end=_INNER[1])
    mean = graph.op("GlobalAveragePool", [maps.middle])
    apart = graph.op("Sub", [maps.middle, mean])
    variance = graph.mean(graph.op("Mul", [apart, apart]))
    deviation = graph.op("Sqrt", [graph.op("Add", [variance, graph.scalar(1e-6)])])
    parts = [
        graph.flat(graph.windows(maps.middle, 6, 4)), graph.flat(mean), deviation, graph.mean(maps.last),
        graph.flat(graph.windows(inner, 4, 3)),
    ]  # fmt: skip
    return graph.op("Concat", parts, axis=1)


def standardised(graph: Graph, features: str, standard: Standard) -> str:
    """`Standard.apply` in the graph."""
    centred = graph.op("Sub", [features, graph.constant(standard.mean, "instance_centre")])
    scaled = graph.op("Mul", [centred, graph.constant(1 / standard.deviation, "instance_gain")])
    size = graph.op("Pow", [graph.op("Max", [graph.op("Abs", [scaled]), graph.scalar(1e-9)]), graph.scalar(_POWER)])
    return graph.unit(graph.op("Mul", [graph.op("Sign", [scaled]), size]))
