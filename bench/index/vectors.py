"""Vectors for benchmarks of the index: real embeddings, and synthetic ones with the same structure.

The source is the photographs of ../shared/data through the encoder of ../shared/models, reduced by PCA to 384
dimensions or the requested number. A synthetic vector is a random point between a real vector and a random one of its
NEIGHBOURS nearest, plus noise. The noise follows the directions in which near neighbours differ: their covariance, with
eigenvalues raised to CONCENTRATION and rescaled to the same sum, times NOISE squared. Classes, their sizes and the
directions are therefore real.

The two constants are chosen so that a draw of the size of the real set has its local intrinsic dimension and its
distance to the nearest neighbour, and that larger draws keep that dimension. Plain noise (CONCENTRATION 1) would make a
million rows harder than any catalogue, and rows close to the real ones easier. `make bench-index` reports the
dimensions with its figures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.encoders.builtin import mobilenet_folder, photographs
from service.encoder.contract import picture_vectors
from service.encoder.manifest import read_manifest
from service.encoder.preprocess import to_tensor
from service.encoder.session import EncoderSession

Vectors = NDArray[np.float32]
DIMENSION, NEIGHBOURS, NOISE, CONCENTRATION = 384, 20, 1.0, 2.0
_AT_ONCE = 20_000


def real_vectors(dimension: int = DIMENSION) -> Vectors:
    """The real embeddings, shape (photographs, dimension), of length 1."""
    cv2.setNumThreads(1)
    pictures, _ = photographs(0)
    with tempfile.TemporaryDirectory() as folder:
        source = mobilenet_folder(Path(folder))
        manifest = read_manifest(source)
        session = EncoderSession(source, manifest, 2)
        starts = range(0, len(pictures), 16)
        made = [picture_vectors(session, [to_tensor(p, manifest.input) for p in pictures[i : i + 16]]) for i in starts]
    return reduced(np.concatenate(made), dimension)


def reduced(vectors: Vectors, dimension: int) -> Vectors:
    """The first principal components of vectors around their mean, with the mean as one direction; length 1."""
    _, _, directions = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    return unit(vectors @ directions[:dimension].T)


class Generator:
    """Draws vectors. The same seed gives the same vectors."""

    def __init__(self, real: Vectors) -> None:
        likeness = real @ real.T
        np.fill_diagonal(likeness, -9)
        self._real = real
        self._near = np.argsort(-likeness, axis=1)[:, :NEIGHBOURS]
        differences = real[self._near[:, : NEIGHBOURS // 2]] - real[:, None, :]
        flat = differences.reshape(-1, real.shape[1])
        values, directions = np.linalg.eigh(flat.T @ flat / len(flat) / 2)
        spread = np.maximum(values, 0) ** CONCENTRATION
        spread *= values.sum() / spread.sum()
        self._colouring = (directions * np.sqrt(spread)).T.astype(np.float32)

    def draw(self, count: int, seed: int, noise: float = NOISE) -> Vectors:
        """`count` vectors of length 1."""
        return np.concatenate(list(self.stream(count, seed, noise)))

    def stream(self, count: int, seed: int, noise: float = NOISE) -> Iterator[Vectors]:
        """The same, block by block."""
        rng = np.random.default_rng(seed)
        for start in range(0, count, _AT_ONCE):
            rows = min(_AT_ONCE, count - start)
            first = rng.integers(len(self._real), size=rows)
            second = self._near[first, rng.integers(NEIGHBOURS, size=rows)]
            share = rng.random((rows, 1), np.float32)
            between = self._real[first] * (1 - share) + self._real[second] * share
            yield unit(between + noise * rng.standard_normal((rows, between.shape[1]), np.float32) @ self._colouring)


def local_intrinsic_dimension(vectors: Vectors, queries: Vectors, k: int = 20) -> float:
    """The median of the maximum-likelihood estimates from the k nearest of each query (Amsaleg et al., KDD 2015).

    A query that is a row is not its own neighbour.
    """
    estimates = []
    for query in queries:
        squared = np.partition(2 - 2 * (vectors @ query), k + 1)[: k + 2]
        distances = np.sqrt(np.sort(squared[squared > 1e-6])[:k])
        estimates.append(-1 / np.mean(np.log(distances[:-1] / distances[-1])))
    return float(np.median(estimates))


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """The rows normalised to length 1, float32."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
