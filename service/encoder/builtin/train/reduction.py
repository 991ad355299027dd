"""Reduces the channels of a scattering map linearly.

It uses principal components that are even or odd under mirroring. The mirror image of a reduced map is therefore a
change of signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.encoder.builtin.scattering import coarse_mirror, fine_mirror

Floats = NDArray[np.float32]
FINE, COARSE = 64, 256
_SAMPLES = 120_000


@dataclass(frozen=True)
class Components:
    """Principal components. They are not whitened, because directions of small variance are mostly noise.

    - `mean`: (channels,).
    - `basis`: (channels, reduced), scaled so that the components have variance 1 on average.
    - `parity`: (reduced,), +1 for even and -1 for odd components.
    """

    mean: Floats
    basis: Floats
    parity: Floats

    def apply(self, maps: Floats) -> Floats:
        """(n, channels, h, w) as (n, reduced, h, w)."""
        rows, channels, height, width = maps.shape
        pixels = maps.transpose(0, 2, 3, 1).reshape(-1, channels) - self.mean
        reduced: Floats = (pixels @ self.basis).reshape(rows, height, width, -1).transpose(0, 3, 1, 2)
        return reduced


@dataclass(frozen=True)
class Reduction:
    """The components of the fine and the coarse maps."""

    fine: Components
    coarse: Components

    def save(self, path: Path) -> None:
        """Writes the numbers unchanged."""
        named = {
            f"{k}_{n}": getattr(getattr(self, k), n) for k in ("fine", "coarse") for n in ("mean", "basis", "parity")
        }
        np.savez(path, **named)

    @classmethod
    def load(cls, path: Path) -> Reduction:
        """Reads a file of `save`. Raises OSError."""
        with np.load(path) as file:
            return cls(
                *(Components(*(file[f"{k}_{n}"] for n in ("mean", "basis", "parity"))) for k in ("fine", "coarse"))
            )


def fit(fine: Floats, coarse: Floats) -> Reduction:
    """Fits the reduction to sampled maps, (n, channels, h, w)."""
    return Reduction(_components(fine, fine_mirror(), FINE), _components(coarse, coarse_mirror(), COARSE))


def _components(maps: Floats, mirror: NDArray[np.int64], count: int) -> Components:
    channels = maps.shape[1]
    pixels = maps.transpose(0, 2, 3, 1).reshape(-1, channels)
    pixels = pixels[:: max(1, len(pixels) // _SAMPLES)].astype(np.float64)
    mean = (pixels.mean(0) + pixels.mean(0)[mirror]) / 2
    covariance = np.cov((pixels - mean).T)
    covariance = (covariance + covariance[mirror][:, mirror]) / 2
    found = [_principal(covariance, basis, sign) for basis, sign in zip(_halves(mirror), (1.0, -1.0), strict=True)]
    values, vectors, parity = (np.concatenate([f[i] for f in found], axis=-1) for i in range(3))
    best = np.argsort(-values)[:count]
    scale = np.sqrt(values[best].mean())
    return Components(*(a.astype(np.float32) for a in (mean, vectors[:, best] / scale, parity[best])))


def _principal(
    covariance: NDArray[np.float64], basis: NDArray[np.float64], sign: float
) -> tuple[NDArray[np.float64], ...]:
    values, vectors = np.linalg.eigh(basis @ covariance @ basis.T)
    return values, basis.T @ vectors, np.full(len(values), sign)


def _halves(mirror: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal rows that span the even and the odd subspace."""
    own, unit = np.arange(len(mirror)), np.eye(len(mirror))
    first = own[own < mirror]
    even = np.concatenate([unit[own[own == mirror]], (unit[first] + unit[mirror[first]]) / np.sqrt(2)])
    return even, (unit[first] - unit[mirror[first]]) / np.sqrt(2)
