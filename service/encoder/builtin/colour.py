"""Colour and gradient features: CIE Lab, soft colour histograms and a pyramid of oriented gradients.

Histograms are joint and soft: each pixel is shared between neighbouring bins. Bins are finer near grey. Histograms are
taken over the whole picture, weighted towards its centre, and on 3 x 3 cells. Gradients are binned by orientation
(Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005) on five grids. Every block is
square-rooted (the Hellinger kernel: Arandjelovic and Zisserman, CVPR 2012).
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from service.encoder.builtin.graph import Graph
from service.encoder.builtin.symmetry import ORIENTATIONS, mirrored_orientations

SIDE = 96
_RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], np.float32
) / np.array([[0.950456], [1.0], [1.088754]], np.float32)
_BINS, _CELL_BINS = (5, 8, 8), (4, 5, 5)
_GRADIENT_GRIDS = ((96, (8, 4)), (48, (4,)), (24, (3, 1)))  # pixels of a side, cells of a side


def lab(graph: Graph, pixels: str) -> str:
    """Converts uint8 RGB [n, 96, 96, 3] to CIE Lab (D65), float32 [n, 3, 96, 96]; L in 0..100."""
    c = graph.scalar
    srgb = graph.op("Mul", [graph.op("Cast", [pixels], to=onnx.TensorProto.FLOAT), c(1 / 255)])
    gamma = graph.op("Pow", [graph.op("Mul", [graph.op("Add", [srgb, c(0.055)]), c(1 / 1.055)]), c(2.4)])
    toe = graph.op("Mul", [srgb, c(1 / 12.92)])
    linear = graph.op("Where", [graph.op("Greater", [srgb, c(0.04045)]), gamma, toe])
    xyz = graph.op("MatMul", [linear, graph.constant(_RGB_TO_XYZ.T.copy())])
    root = graph.op("Pow", [graph.op("Max", [xyz, c(1e-9)]), c(1 / 3)])
    line = graph.op("Add", [graph.op("Mul", [xyz, c(7.787)]), c(16 / 116)])
    f = graph.op("Where", [graph.op("Greater", [xyz, c(0.008856)]), root, line])
    to_lab = np.array([[0, 500, 0], [116, -500, 200], [0, 0, -200]], np.float32)
    offset = graph.constant(np.array([-16, 0, 0], np.float32))
    return graph.op(
        "Transpose", [graph.op("Add", [graph.op("MatMul", [f, graph.constant(to_lab)]), offset])], perm=[0, 3, 1, 2]
    )


def colour_features(graph: Graph, lab_planes: str) -> str:
    """All blocks concatenated, [n, 2496]."""
    half = graph.average_pool(lab_planes, 2)
    luminance = graph.slice(lab_planes, axis=1, start=0, end=1)
    even = np.ones(48 * 48, np.float32)
    blocks = [
        _histograms(graph, graph.reshape(half, [-1, 3, 48 * 48]), _BINS, {1.0: _centre_weights(), 0.5: even}),
        graph.reshape(_histograms(graph, _cells(graph, half), _CELL_BINS, {0.35: even[: 16 * 16]}), [-1, 900]),
        graph.scaled(graph.unit(graph.flat(graph.average_pool(lab_planes, 16))), 0.5),
        *(block for side, grids in _GRADIENT_GRIDS for block in _gradients(graph, luminance, side, grids)),
    ]
    return graph.op("Concat", blocks, axis=1)


def colour_mirror() -> NDArray[np.int64]:
    """The index of each feature in the mirror image."""
    bins, cell_bins = int(np.prod(_BINS)), int(np.prod(_CELL_BINS))
    places = [np.arange(bins), np.arange(bins), np.arange(9 * cell_bins).reshape(3, 3, -1)[:, ::-1]]
    places.append(np.arange(108).reshape(3, 6, 6)[..., ::-1])
    for cells in (cells for _, grids in _GRADIENT_GRIDS for cells in grids):
        grid = np.arange(ORIENTATIONS * cells * cells).reshape(ORIENTATIONS, cells, cells)
        places.append(grid[mirrored_orientations()][..., ::-1])
    starts = np.cumsum([0] + [p.size for p in places])
    return np.concatenate([p.ravel() + start for p, start in zip(places, starts, strict=False)])


def _histograms(
    graph: Graph, pixels: str, bins: tuple[int, int, int], weightings: dict[float, NDArray[np.float32]]
) -> str:
    """Soft joint histograms of Lab pixels [n, 3, p], square-rooted: [n, weightings * product of bins].

    There is one per weighting, scaled to the length of the weighting.
    """
    planes = [graph.column(graph.slice(pixels, axis=1, start=c, end=c + 1)) for c in range(3)]
    luminance = graph.soft_bins(planes[0], 0.0, 100.0, bins[0])
    a, b = (graph.soft_bins(graph.signed_root(p), -9.0, 9.0, n) for p, n in zip(planes[1:], bins[1:], strict=True))
    pairs = graph.op("Mul", [graph.reshape(a, [0, -1, bins[1], 1]), graph.reshape(b, [0, -1, 1, bins[2]])])
    shares = [graph.op("Mul", [luminance, graph.constant(w[None, :, None])]) for w in weightings.values()]
    weighted = graph.op("Transpose", [graph.op("Concat", shares, axis=2)], perm=[0, 2, 1])
    joint = graph.op("MatMul", [weighted, graph.reshape(pairs, [0, 0, -1])])
    size = int(np.prod(bins))
    alone = graph.unit(graph.op("Sqrt", [graph.reshape(joint, [-1, size])]))
    lengths = np.repeat(np.array(list(weightings), np.float32), size)
    return graph.op("Mul", [graph.reshape(alone, [-1, len(lengths)]), graph.constant(lengths)])


def _cells(graph: Graph, half: str) -> str:
    """Splits [n, 3, 48, 48] into nine separate pictures, [n * 9, 3, 256], row by row."""
    split = graph.reshape(half, [-1, 3, 3, 16, 3, 16])
    return graph.reshape(graph.op("Transpose", [split], perm=[0, 2, 4, 1, 3, 5]), [-1, 3, 256])


def _gradients(graph: Graph, luminance: str, side: int, grids: tuple[int, ...]) -> list[str]:
    """Gradient energy by orientation (0..pi, soft) and cell, square-rooted and normalised, on each of the grids."""
    c = graph.scalar
    plane = luminance if side == SIDE else graph.average_pool(luminance, SIDE // side)
    padded = graph.op("Pad", [plane, graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))], mode="reflect")
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    dx, dy = (graph.op("Conv", [padded, graph.constant(k[None, None])]) for k in (sobel, sobel.T.copy()))
    energy = graph.op("Add", [graph.op("Mul", [dx, dx]), graph.op("Mul", [dy, dy])])
    magnitude = graph.op("Sqrt", [energy])
    flat_x = graph.op("Less", [graph.op("Abs", [dx]), c(1e-6)])
    angle = graph.op("Atan", [graph.op("Div", [dy, graph.op("Where", [flat_x, c(1e-6), dx])])])
    turns = graph.op("Mul", [graph.op("Add", [angle, c(np.pi)]), c(ORIENTATIONS / np.pi)])  # 4..12 for 8 bins
    bins = graph.constant((np.arange(ORIENTATIONS, dtype=np.float32) + ORIENTATIONS)[None, :, None, None])
    apart = graph.op("Abs", [graph.op("Sub", [turns, bins])])
    around = graph.op("Min", [apart, graph.op("Abs", [graph.op("Sub", [apart, c(ORIENTATIONS)])])])
    share = graph.op("Relu", [graph.op("Sub", [c(1.0), around])])
    oriented = graph.op("Mul", [share, magnitude])
    return [graph.scaled(_relative(graph, graph.average_pool(oriented, side // cells)), 0.6) for cells in grids]


def _relative(graph: Graph, pooled: str) -> str:
    norms = graph.op("ReduceL2", [pooled, graph.constant(np.array([1], np.int64))], keepdims=1)
    mean = graph.op("ReduceMean", [norms, graph.constant(np.array([2, 3], np.int64))], keepdims=1)
    relative = graph.op("Div", [pooled, graph.op("Add", [mean, graph.scalar(1e-6)])])
    return graph.unit(graph.op("Sqrt", [graph.flat(relative)]))


def _centre_weights() -> NDArray[np.float32]:
    """A Gaussian over 48 x 48, with a standard deviation of 0.3 of a side."""
    offset = (np.arange(48) - 23.5) / (0.3 * 48)
    bell = np.exp(-(offset**2) / 2)
    return np.outer(bell, bell).reshape(-1).astype(np.float32)
