"""The trained head: two small convolutions over scattering maps, pooled on a grid.

Its weights are learned from procedural pictures (service/encoder/builtin/train). This module adds it to the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.graph import Graph
from service.encoder.builtin.scattering import coarse_mirror, fine_mirror

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class HeadWeights:
    """The weights with all normalisations folded in.

    c: channels; p: pooled cells (13); d: dimension.

    - `fine`: [c, FINE_CHANNELS].
    - `down`: [c, c, 3, 3].
    - `coarse`: [c, COARSE_CHANNELS].
    - `across`: [c, c, 3, 3].
    - `out`: [c * p, d].

    The others are the biases of these layers.
    """

    fine: Weights
    fine_bias: Weights
    down: Weights
    coarse: Weights
    coarse_bias: Weights
    across: Weights
    across_bias: Weights
    out: Weights
    out_bias: Weights

    @property
    def dimension(self) -> int:
        """The dimension of the output."""
        return int(self.out.shape[1])

    def save(self, path: Path) -> None:
        """Writes half-precision numbers, compressed."""
        arrays = {f.name: getattr(self, f.name).astype(np.float16) for f in fields(self)}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> HeadWeights:
        """Reads a file of `save`. Raises OSError or KeyError."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{f.name: file[f.name].astype(np.float32) for f in fields(cls)})


def head(graph: Graph, fine: str, coarse: str, weights: HeadWeights) -> str:
    """[n, dimension], the mean over the picture and its mirror image. `fine`: [n, FINE_CHANNELS, 12, 12]; `coarse`:
    [n, COARSE_CHANNELS, 6, 6]."""
    first = _both_ways(graph, "head_fine", fine, weights.fine, weights.fine_bias, fine_mirror(), 12)
    relu = graph.op("Relu", [first])
    below = graph.op("Conv", [relu, graph.weights(weights.down, "head_down")], strides=[2, 2], pads=[1, 1, 1, 1])
    beside = _both_ways(graph, "head_coarse", coarse, weights.coarse, weights.coarse_bias, coarse_mirror(), 6)
    joined = graph.op("Relu", [graph.op("Add", [below, beside])])
    bias = graph.constant(weights.across_bias)
    across = graph.op("Conv", [joined, graph.weights(weights.across, "head_across"), bias], pads=[1, 1, 1, 1])
    deep = graph.op("Add", [joined, graph.op("Relu", [across])])
    pooled = graph.op("Concat", [graph.flat(graph.average_pool(deep, n)) for n in (2, 3)], axis=1)
    straight, mirrored = graph.split_batch(pooled)
    mean = graph.op("Mul", [graph.op("Add", [straight, mirrored]), graph.scalar(0.5)])
    return graph.op(
        "Add", [graph.op("MatMul", [mean, graph.weights(weights.out, "head_out")]), graph.constant(weights.out_bias)]
    )


def _both_ways(
    graph: Graph, name: str, maps: str, kernel: Weights, bias: Weights, mirror: NDArray[np.int64], side: int
) -> str:
    """A 1 x 1 convolution of the maps and of their mirror image, concatenated on the batch axis."""
    channels = len(bias)
    once = graph.weights(kernel[:, :, None, None], name)
    turned = graph.op("Gather", [once, graph.constant(mirror)], axis=1)
    twice = graph.op("Concat", [once, turned], axis=0)
    both = graph.op("Conv", [maps, twice, graph.constant(np.concatenate([bias, bias]))])
    straight = graph.slice(both, axis=1, start=0, end=channels)
    other = graph.slice(both, axis=1, start=channels, end=2 * channels)
    reverse = graph.constant(np.arange(side - 1, -1, -1, dtype=np.int64))
    return graph.op("Concat", [straight, graph.op("Gather", [other, reverse], axis=3)], axis=0)
