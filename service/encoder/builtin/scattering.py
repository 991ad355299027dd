"""Wavelet scattering of orders 1 and 2 as small convolutions.

It has eight orientations and five octaves, on luminance and both chroma planes (Bruna and Mallat, "Invariant Scattering
Convolution Networks", TPAMI 2013). Order 2 uses luminance and chroma energy. It is divided by the energy of its parent
in the same cell, so that it separates structure from contrast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.colour import SIDE
from service.encoder.builtin.graph import Graph
from service.encoder.builtin.symmetry import ORIENTATIONS, mirrored_orientations

OCTAVES = 5
_FIRST_GAIN, _SECOND_GAIN, _PARENT_FLOOR = 200.0, 20.0, 0.02
_PATHS = tuple((first, second) for second in range(1, OCTAVES) for first in range(second))
FINE_CHANNELS = OCTAVES * 3 * ORIENTATIONS + 3
COARSE_CHANNELS = len(_PATHS) * 2 * ORIENTATIONS**2


@dataclass(frozen=True)
class Scattering:
    """Names of values in the graph.

    - `planes`: [n, 3, 96, 96], scaled Lab.
    - `first`: [n, 5 * 3 * 8, 12, 12], energy by octave, plane and orientation.
    - `second`: one per second octave, [n, paths * 2 * 8, 8, 6, 6], not yet divided by the parent.
    """

    planes: str
    first: str
    second: tuple[str, ...]


def scattering(graph: Graph, lab_planes: str) -> Scattering:
    """Adds the transform of Lab planes [n, 3, 96, 96]."""
    planes = graph.op(
        "Mul", [lab_planes, graph.constant(np.array([1 / 50, 1 / 30, 1 / 30], np.float32)[:, None, None])]
    )
    first, energies, level = [], [], planes
    for octave in range(OCTAVES):
        side = SIDE >> octave
        if octave:
            level = graph.average_pool(level, 2)
        energy = graph.reshape(_modulus(graph, level, side), [-1, 3 * ORIENTATIONS, side, side])
        first.append(_on_grid(graph, energy, side, 12))
        energies.append(_with_chroma_energy(graph, energy))
    second = []
    for octave in range(1, OCTAVES):
        side = SIDE >> octave
        energies = [graph.average_pool(e, 2) if i < octave else e for i, e in enumerate(energies)]
        parents = graph.op("Concat", energies[:octave], axis=1)
        maps = _on_grid(graph, _modulus(graph, parents, side), side, 6)
        second.append(graph.reshape(maps, [-1, octave * 2 * ORIENTATIONS, ORIENTATIONS, 6, 6]))
    return Scattering(planes, graph.op("Concat", first, axis=1), tuple(second))


def shape_features(graph: Graph, s: Scattering) -> str:
    """Order 1 on 4 x 4 windows, order 2 on 2 x 2, a 4 x 4 thumbnail: [n, 7088]."""
    coarse = graph.average_pool(s.first, 2)
    windows = _windows()
    ordered = graph.op(
        "MatMul", [graph.op("MatMul", [graph.constant(windows), coarse]), graph.constant(windows.T.copy())]
    )
    first = _logarithm(graph, graph.flat(ordered), _FIRST_GAIN)
    parents = _parents(graph, graph.average_pool(coarse, 2))
    blocks = []
    for octave, maps in enumerate(s.second, 1):
        pooled = graph.average_pool(graph.reshape(maps, [-1, octave * 2 * ORIENTATIONS**2, 6, 6]), 2)
        ratio = _over_parents(graph, pooled, parents, octave, 3)
        overlapping = graph.op("AveragePool", [ratio], kernel_shape=[2, 2], strides=[1, 1])
        blocks.append(graph.flat(overlapping))
    second = _logarithm(graph, graph.op("Concat", blocks, axis=1), _SECOND_GAIN)
    thumbnail = graph.flat(graph.average_pool(s.planes, SIDE // 4))
    return graph.op("Concat", [first, second, thumbnail], axis=1)


def shape_mirror() -> NDArray[np.int64]:
    """The index of each shape feature in the mirror image."""
    turned = mirrored_orientations()
    first = np.arange(OCTAVES * 3 * 8 * 16).reshape(OCTAVES, 3, 8, 4, 4)[:, :, turned][..., ::-1].ravel()
    second = (
        np.arange(len(_PATHS) * 2 * 8 * 8 * 4)
        .reshape(-1, 2, 8, 8, 2, 2)[:, :, turned][:, :, :, turned][..., ::-1]
        .ravel()
    )
    thumbnail = np.arange(48).reshape(3, 4, 4)[..., ::-1].ravel()
    return np.concatenate([first, second + first.size, thumbnail + first.size + second.size])


def fine_maps(graph: Graph, s: Scattering) -> str:
    """Order 1 and the mean colour by position: [n, FINE_CHANNELS, 12, 12]."""
    return graph.op(
        "Concat", [_logarithm(graph, s.first, _FIRST_GAIN), graph.average_pool(s.planes, SIDE // 12)], axis=1
    )


def coarse_maps(graph: Graph, s: Scattering) -> str:
    """Order 2 by position: [n, COARSE_CHANNELS, 6, 6]."""
    parents = _parents(graph, graph.average_pool(s.first, 2))
    blocks = [_over_parents(graph, maps, parents, octave, 6) for octave, maps in enumerate(s.second, 1)]
    return _logarithm(graph, graph.op("Concat", blocks, axis=1), _SECOND_GAIN)


def fine_mirror() -> NDArray[np.int64]:
    """The index of each fine channel in the mirror image. The maps themselves are reversed too."""
    energies = np.arange(FINE_CHANNELS - 3).reshape(-1, ORIENTATIONS)[:, mirrored_orientations()].ravel()
    return np.concatenate([energies, np.arange(FINE_CHANNELS - 3, FINE_CHANNELS)])


def coarse_mirror() -> NDArray[np.int64]:
    """The index of each coarse channel in the mirror image."""
    turned = mirrored_orientations()
    return np.arange(COARSE_CHANNELS).reshape(-1, ORIENTATIONS, ORIENTATIONS)[:, turned][:, :, turned].ravel()


def _filters() -> NDArray[np.float32]:
    """Gabor filters with zero mean, [16, 1, 7, 7]: eight real parts, eight imaginary parts."""
    x, y = np.meshgrid(np.arange(-3, 4), np.arange(-3, 4))
    bank = []
    for orientation in range(ORIENTATIONS):
        angle = np.pi * orientation / ORIENTATIONS
        u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
        bell = np.exp(-(u**2 + (0.6 * v) ** 2) / (2 * 0.8**2))
        wave = bell * np.exp(0.75j * np.pi * u)
        wave -= bell * wave.sum() / bell.sum()
        bank.append(wave / np.abs(wave).sum())
    return np.concatenate([np.real(bank), np.imag(bank)]).astype(np.float32)[:, None]


def _modulus(graph: Graph, planes: str, side: int) -> str:
    """Converts [n, c, side, side] to [n * c, 8, side, side]: the strength of each orientation around each pixel."""
    alone = graph.reshape(planes, [-1, 1, side, side])
    padded = graph.op("Pad", [alone, graph.constant(np.array([0, 0, 3, 3, 0, 0, 3, 3], np.int64))], mode="reflect")
    waves = graph.op("Conv", [padded, graph.constant(_filters())])
    squares = graph.op("Mul", [waves, waves])
    energy = graph.op(
        "Add", [graph.slice(squares, axis=1, start=0, end=8), graph.slice(squares, axis=1, start=8, end=16)]
    )
    return graph.op("Sqrt", [graph.op("Add", [energy, graph.scalar(1e-8)])])


def _on_grid(graph: Graph, maps: str, side: int, cells: int) -> str:
    """Means over cells. A map smaller than the grid is repeated."""
    if side >= cells:
        return maps if side == cells else graph.average_pool(maps, side // cells)
    places = graph.constant(np.repeat(np.arange(side), cells // side))
    return graph.op("Gather", [graph.op("Gather", [maps, places], axis=2), places], axis=3)


def _with_chroma_energy(graph: Graph, energy: str) -> str:
    """Converts [n, 3 * 8, h, w] to [n, 2 * 8, h, w]: luminance, and the combined chroma planes."""
    luminance, a, b = (graph.slice(energy, axis=1, start=8 * c, end=8 * c + 8) for c in range(3))
    both = graph.op("Add", [graph.op("Mul", [a, a]), graph.op("Mul", [b, b])])
    return graph.op("Concat", [luminance, graph.op("Sqrt", [graph.op("Add", [both, graph.scalar(1e-12)])])], axis=1)


def _parents(graph: Graph, first: str) -> list[str]:
    """Per octave, energies [n, 2 * 8, cells, cells] of an order-1 grid [n, 5 * 24, cells, cells]."""
    wide = 3 * ORIENTATIONS
    octaves = (graph.slice(first, axis=1, start=o * wide, end=o * wide + wide) for o in range(OCTAVES - 1))
    return [_with_chroma_energy(graph, octave) for octave in octaves]


def _over_parents(graph: Graph, maps: str, parents: list[str], octave: int, cells: int) -> str:
    """Order 2 divided by the energy of its parents: [n, octave * 128, cells, cells]."""
    stacked = graph.op("Concat", parents[:octave], axis=1)
    floor = graph.op("Add", [graph.reshape(stacked, [-1, octave * 16, 1, cells, cells]), graph.scalar(_PARENT_FLOOR)])
    ratio = graph.op("Div", [graph.reshape(maps, [-1, octave * 16, ORIENTATIONS, cells, cells]), floor])
    return graph.reshape(ratio, [-1, octave * 128, cells, cells])


def _windows() -> NDArray[np.float32]:
    """Four overlapping windows over six cells, [4, 6]."""
    places = np.arange(6)
    weights = np.array([np.maximum(0, 1 - np.abs(places - (1.5 * i + 0.25)) / 1.5) for i in range(4)])
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _logarithm(graph: Graph, value: str, gain: float) -> str:
    scaled = graph.op("Mul", [value, graph.scalar(gain)])
    return graph.op("Log", [graph.op("Add", [scaled, graph.scalar(1.0)])])
