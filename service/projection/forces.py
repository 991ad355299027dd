"""The two forces that move the points of a layout: ties pull neighbours together, all points push each other away.

They are those of t-SNE (van der Maaten and Hinton, 2008). The push of all pairs is a convolution: charges are spread to
a grid, and a Fourier transform adds them up (Linderman et al., 2019). So a step takes milliseconds, not a hundred.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.projection.neighbours import Ties

Points = NDArray[np.floating[Any]]
_Waves = NDArray[np.complexfloating[Any, Any]]
_CELL = 0.5  # width of a cell, where the push of a point falls to a half at distance 1
_MOST_CELLS = 120  # on a side
_FEW = 600
_CORNERS = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])


def pull(points: Points, ties: Ties) -> Points:
    """The force of the ties on each point, (n, 2)."""
    apart = points[ties.second] - points[ties.first]
    apart *= (ties.weights / (1 + np.einsum("ij,ij->i", apart, apart)))[:, None]
    return np.stack([_summed(ties.first, apart[:, axis], len(points)) for axis in (0, 1)], axis=1)


class Push:
    """The push of all points. Keeps the transformed kernels of the last grid."""

    def __init__(self, cell: float = _CELL, few: int = _FEW) -> None:
        """cell: width of the cells, as long as they are not too many. few: up to how many points are compared with each
        other instead, which is exact and faster then."""
        self._least, self._few = cell, few
        self._grid: tuple[int, float] = 0, 0.0
        self._near: _Waves = np.zeros((0, 0), np.complex64)
        self._far = self._near
        self._own = np.zeros((4, 4))  # how strongly the corners of a cell feel each other

    def __call__(self, points: Points) -> Points:
        """The force on each point, (n, 2), in the same measure as `pull`."""
        return _push_of_few(points) if len(points) <= self._few else self._by_grid(points)

    def _by_grid(self, points: Points) -> Points:
        low = points.min(axis=0)
        span = float((points.max(axis=0) - low).max())
        cell = max(self._least, span / _MOST_CELLS)
        side = _fast_length(2 * (int(span / cell) + 3))
        if (side, cell) != self._grid:
            self._prepare(side, cell)
        places = (points - low) / cell
        corner = places.astype(np.int64)
        part = places - corner
        index = (corner[:, None, :] + _CORNERS) @ np.array([side, 1])
        share = np.abs(1 - _CORNERS - part[:, None, :]).prod(axis=2, dtype=np.float32)
        charges = [np.ones(len(points), np.float32), points[:, 0], points[:, 1]]
        spread = [
            np.fft.rfft2(_summed(index.ravel(), (share * charge[:, None]).ravel(), side * side).reshape(side, side))
            for charge in charges
        ]

        def felt(transformed: _Waves) -> Points:
            field = np.fft.irfft2(transformed, (side, side)).ravel()
            return np.asarray(np.einsum("ij,ij->i", field[index], share))

        own = np.einsum("ni,ij,nj->", share, self._own, share)  # a point does not push itself
        total = float(felt(spread[0] * self._far).sum(dtype=np.float64)) - float(own)
        here = felt(spread[0] * self._near)
        pushed = np.stack([points[:, i] * here - felt(spread[1 + i] * self._near) for i in (0, 1)], axis=1)
        return np.asarray(pushed / np.float32(max(total, 1e-12)))

    def _prepare(self, side: int, cell: float) -> None:
        steps = np.minimum(np.arange(side), side - np.arange(side)) * cell
        kernel = (1 / (1 + steps[:, None] ** 2 + steps**2)).astype(np.float32)
        self._own = 1 / (1 + (((_CORNERS[:, None] - _CORNERS) * cell) ** 2).sum(axis=2))
        self._grid, self._far, self._near = (side, cell), np.fft.rfft2(kernel), np.fft.rfft2(kernel**2)


def _push_of_few(points: Points) -> Points:
    norms = np.einsum("ij,ij->i", points, points)
    near = 1 / (1 + np.maximum(norms[:, None] + norms - 2 * (points @ points.T), 0))
    np.fill_diagonal(near, 0)
    total = max(float(near.sum(dtype=np.float64)), 1e-12)
    near *= near
    return np.asarray((points * near.sum(axis=1, keepdims=True) - near @ points) / np.float32(total))


def _summed(places: NDArray[np.int64], values: Points, count: int) -> Points:
    return np.bincount(places, values, count).astype(np.float32)


def _fast_length(least: int) -> int:
    """The smallest length from `least` on with no prime factor above 5, whose transform is fast."""
    length = least
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
