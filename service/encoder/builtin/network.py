"""The trained network: plain 3 x 3 convolutions with shortcuts, on pictures of 112 pixels.

Its weights are learned from drawn pictures (service/encoder/builtin/train). This module holds them and adds the network
to the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.graph import Graph

Array = NDArray[np.float32]
SIDE = 112
STAGES = (1, 2, 2)  # shortcuts after each halving but the first
_CONVOLUTIONS = (
    "stem",
    *(
        name
        for stage, count in enumerate(STAGES, 1)
        for name in (f"down{stage}", *(f"stage{stage}_{n}{part}" for n in range(count) for part in "ab"))
    ),
    "neck",
)


@dataclass(frozen=True)
class Convolution:
    """A convolution with its normalisation folded in. kernel: [out, in, h, w]; bias: [out]."""

    kernel: Array
    bias: Array


@dataclass(frozen=True)
class NetworkWeights:
    """All convolutions by name, and the linear layer that maps pooled maps to the family vector.

    family: [pooled, d]; family_bias: [d].
    """

    convolutions: dict[str, Convolution]
    family: Array
    family_bias: Array

    def save(self, path: Path) -> None:
        """Writes half-precision numbers, compressed."""
        arrays = {"family": self.family, "family_bias": self.family_bias}
        for name, layer in self.convolutions.items():
            arrays |= {f"{name}.kernel": layer.kernel, f"{name}.bias": layer.bias}
        np.savez_compressed(path, **{n: a.astype(np.float16) for n, a in arrays.items()})  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> NetworkWeights:
        """Reads a file of `save`. Raises OSError or KeyError."""
        with np.load(path, allow_pickle=False) as file:
            layers = {
                name: Convolution(*(file[f"{name}.{part}"].astype(np.float32) for part in ("kernel", "bias")))
                for name in _CONVOLUTIONS
            }
            return cls(layers, *(file[name].astype(np.float32) for name in ("family", "family_bias")))


@dataclass(frozen=True)
class Maps:
    """Names of values in the graph.

    - `middle`: [n, 128, 14, 14].
    - `last`: [n, 256, 7, 7].
    - `neck`: [n, 160, 7, 7].
    """

    middle: str
    last: str
    neck: str


def network(graph: Graph, pixels: str, weights: NetworkWeights) -> Maps:
    """The maps of pictures, float32 RGB of 0 to 1, [n, 3, SIDE, SIDE]."""
    layers = weights.convolutions
    centred = graph.op("Mul", [graph.op("Sub", [pixels, graph.scalar(0.5)]), graph.scalar(4.0)])
    value = graph.op("Relu", [add_convolution(graph, centred, "stem", layers["stem"], stride=2)])
    stages = []
    for stage, count in enumerate(STAGES, 1):
        value = graph.op("Relu", [add_convolution(graph, value, f"down{stage}", layers[f"down{stage}"], stride=2)])
        for number in range(count):
            name = f"stage{stage}_{number}"
            inner = graph.op("Relu", [add_convolution(graph, value, f"{name}a", layers[f"{name}a"])])
            outer = add_convolution(graph, inner, f"{name}b", layers[f"{name}b"])
            value = graph.op("Relu", [graph.op("Add", [value, outer])])
        stages.append(value)
    neck = graph.op("Relu", [add_convolution(graph, value, "neck", layers["neck"])])
    return Maps(stages[-2], stages[-1], neck)


def family(graph: Graph, maps: Maps, weights: NetworkWeights) -> str:
    """The family vector, [n, d], not of length 1 yet."""
    pooled = [
        graph.mean(maps.neck),
        graph.flat(graph.windows(maps.neck, 4, 3)),
        graph.flat(graph.windows(maps.neck, 3, 2)),
        graph.mean(maps.last),
        graph.flat(graph.windows(maps.middle, 8, 6)),
        graph.mean(maps.middle),
    ]
    joined = graph.op("Concat", pooled, axis=1)
    product = graph.op("MatMul", [joined, graph.weights(weights.family, "family_matrix")])
    return graph.op("Add", [product, graph.constant(weights.family_bias, "family_bias")])


def add_convolution(graph: Graph, value: str, name: str, layer: Convolution, stride: int = 1) -> str:
    """Adds a convolution that keeps the size of the map, or divides it by `stride`."""
    inputs = [value, graph.weights(layer.kernel, f"{name}_kernel"), graph.constant(layer.bias, f"{name}_bias")]
    around = layer.kernel.shape[-1] // 2
    return graph.op("Conv", inputs, strides=[stride] * 2, pads=[around] * 4)
