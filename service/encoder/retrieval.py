"""Metrics of retrieval, for any vectors of length 1. docs/encoder.md describes the protocol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Labels = NDArray[np.str_]


def class_scores(vectors: Vectors, labels: Labels, k: int = 10) -> dict[str, float]:
    """Leave-one-out R@1, R@k and mAP@k, in per cent. `vectors`: (n, d) of length 1; n is at least 2, and a label occurs
    twice at least.

    R@k is the share of queries with the right class among the first k. mAP@k is the mean over queries of sum of P(i)
    rel(i) / min(k, relevant). Pictures whose label occurs once are no queries.
    """
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -9)
    relevant = np.array([(labels == label).sum() - 1 for label in labels])
    return _scores(likeness, labels, labels, relevant, k, len(vectors) - 1)


def shop_scores(queries: Vectors, catalogue: Vectors, wanted: Labels, labels: Labels, k: int = 10) -> dict[str, float]:
    """As `class_scores`, of photographs against the pictures of a catalogue."""
    return likeness_scores(queries @ catalogue.T, wanted, labels, k)


def likeness_scores(likeness: Vectors, wanted: Labels, labels: Labels, k: int = 10) -> dict[str, float]:
    """As `shop_scores`, of how alike each query (row) and each picture of a catalogue (column) are."""
    relevant = np.array([(labels == label).sum() for label in wanted])
    return _scores(likeness, wanted, labels, relevant, k, likeness.shape[1])


def found_again(copies: Vectors, originals: Vectors, chosen: NDArray[np.int64]) -> float:
    """Share of the copies whose nearest picture is their original, in per cent."""
    return 100 * float(((copies @ originals.T).argmax(1) == chosen).mean())


def _scores(
    likeness: Vectors, wanted: Labels, labels: Labels, relevant: NDArray[np.int64], k: int, others: int
) -> dict[str, float]:
    """`others`: how many pictures a query is compared with, without itself."""
    nearest = np.argsort(-likeness, axis=1)[:, : min(k, others)]
    right = (labels[nearest] == wanted[:, None]).astype(float)
    asked = relevant > 0
    precision = right.cumsum(1) / np.arange(1, right.shape[1] + 1)
    average = (precision * right).sum(1) / np.minimum(np.maximum(relevant, 1), k)
    return {
        "R@1": 100 * float(right[asked, 0].mean()),
        f"R@{k}": 100 * float((right[asked].max(1) > 0).mean()),
        f"mAP@{k}": 100 * float(average[asked].mean()),
    }
