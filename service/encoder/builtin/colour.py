"""Colour features: CIE Lab, a soft codebook of colours over the whole and its parts, and a thumbnail.

Each pixel is shared between the nearest colours of the codebook. The shares are summed over the whole picture, weighted
towards its centre, and over nine overlapping cells, and square-rooted (the Hellinger kernel: Arandjelovic and
Zisserman, CVPR 2012). All of it is equal for the mirror image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.graph import Graph

SIDE = 24  # pixels of a side on which colours are counted
CODES = 192
Array = NDArray[np.float32]
_RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], np.float32
) / np.array([[0.950456], [1.0], [1.088754]], np.float32)
_SHARPNESS = 0.5  # of the codebook: how soon a pixel belongs to its nearest colour alone
_WHOLE, _CENTRE, _CELL = 0.5, 1.0, 0.35  # lengths of the parts of the feature vector
_THUMBNAIL_SIDE, _THUMBNAIL = 6, 0.5
FEATURES = 11 * CODES + 3 * _THUMBNAIL_SIDE**2


def lab(graph: Graph, pixels: str, side: int = SIDE) -> str:
    """RGB of 0 to 1, [n, 3, 96, 96], as curved CIE Lab (D65) of side x side means: [n, side * side, 3].

    L is divided by 16. Of a and b the signed root is taken, which makes differences near grey count more.
    """
    c = graph.scalar
    small = graph.average_pool(pixels, 96 // side) if side < 96 else pixels
    bright = graph.op("Pow", [graph.op("Div", [graph.op("Add", [small, c(0.055)]), c(1.055)]), c(2.4)])
    dark = graph.op("Div", [small, c(12.92)])
    linear = graph.op("Where", [graph.op("Greater", [small, c(0.04045)]), bright, dark])
    rows = graph.op("Transpose", [graph.reshape(linear, [0, 3, -1])], perm=[0, 2, 1])
    xyz = graph.op("MatMul", [rows, graph.constant(_RGB_TO_XYZ.T.copy())])
    root = graph.op("Pow", [graph.op("Max", [xyz, c(1e-6)]), c(1 / 3)])
    line = graph.op("Add", [graph.op("Mul", [xyz, c(7.787)]), c(16 / 116)])
    f = graph.op("Where", [graph.op("Greater", [xyz, c(0.008856)]), root, line])
    differences = np.array([[0, 500, 0], [116 / 16, -500, 200], [0, 0, -200]], np.float32)
    straight = graph.op("Add", [graph.op("MatMul", [f, graph.constant(differences)]),
                                graph.constant(np.array([-1, 0, 0], np.float32))])  # fmt: skip
    luminance, chroma = (graph.slice(straight, axis=2, start=s, end=e) for s, e in ((0, 1), (1, 3)))
    return graph.op("Concat", [luminance, graph.signed_root(chroma)], axis=2)


def colour_features(graph: Graph, curved: str, codebook: Array) -> str:
    """[n, FEATURES] of length 1, from curved Lab [n, SIDE * SIDE, 3] and a codebook [CODES, 3] in the same space."""
    towards = graph.op("MatMul", [curved, graph.constant((2 * _SHARPNESS * codebook.T).copy(), "codebook")])
    lengths = graph.constant((-_SHARPNESS * (codebook**2).sum(1)).astype(np.float32))
    shares = graph.op("Softmax", [graph.op("Add", [towards, lengths])], axis=-1)
    sums = graph.op("MatMul", [graph.constant(regions()), shares])
    roots = graph.op("Sqrt", [graph.op("Max", [sums, graph.scalar(1e-12)])])
    weighted = graph.op("Mul", [roots, graph.constant(_lengths()[:, None])])
    counted = graph.unit(graph.flat(weighted))
    thumbnail = graph.scaled(graph.unit(graph.flat(_thumbnail(graph, curved))), _THUMBNAIL)
    return graph.unit(graph.op("Concat", [counted, thumbnail], axis=1))


def regions() -> Array:
    """The weight of each pixel in the whole, the centre and nine cells, row by row: [11, SIDE * SIDE]; rows sum to 1.

    Cells overlap, and those on the left and on the right are the same: their mean.
    """
    places = np.arange(SIDE)
    middle, deviation = (SIDE - 1) / 2, 0.3 * SIDE
    bell = np.exp(-(((places - middle) / deviation) ** 2) / 2)
    cell = SIDE / 3
    bands = [np.clip(1.5 - np.abs(places + 0.5 - cell * (n + 0.5)) / (cell * 0.67), 0, 1) for n in range(3)]
    cells = [np.outer(row, (column + column[::-1]) / 2) for row in bands for column in bands]
    weights = np.stack([np.ones((SIDE, SIDE)), np.outer(bell, bell), *cells]).reshape(11, -1)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _lengths() -> Array:
    return np.array([_WHOLE, _CENTRE, *[_CELL] * 9], np.float32)


def _thumbnail(graph: Graph, curved: str) -> str:
    """[n, 3, 6, 6], the mean of the picture and its mirror image."""
    planes = graph.reshape(graph.op("Transpose", [curved], perm=[0, 2, 1]), [0, 3, SIDE, SIDE])
    small = graph.average_pool(planes, SIDE // _THUMBNAIL_SIDE)
    reverse = graph.constant(np.arange(_THUMBNAIL_SIDE - 1, -1, -1, dtype=np.int64))
    both = graph.op("Add", [small, graph.op("Gather", [small, reverse], axis=3)])
    return graph.op("Mul", [both, graph.scalar(0.5)])
