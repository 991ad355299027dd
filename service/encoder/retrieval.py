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
    likeness, relevant = vectors @ vectors.T, labels[:, None] == labels
    np.fill_diagonal(likeness, -9)
    np.fill_diagonal(relevant, False)
    return relevance_scores(likeness, relevant, min(k, len(vectors) - 1), f"{k}")


def shop_scores(queries: Vectors, catalogue: Vectors, wanted: Labels, labels: Labels, k: int = 10) -> dict[str, float]:
    """As `class_scores`, of photographs against the pictures of a catalogue."""
    return likeness_scores(queries @ catalogue.T, wanted, labels, k)


def likeness_scores(likeness: Vectors, wanted: Labels, labels: Labels, k: int = 10) -> dict[str, float]:
    """As `shop_scores`, of how alike each query (row) and each picture of a catalogue (column) are."""
    return relevance_scores(likeness, wanted[:, None] == labels, k)


def found_again(copies: Vectors, originals: Vectors, chosen: NDArray[np.int64]) -> float:
    """Share of the copies whose nearest picture is their original, in per cent."""
    return 100 * float(((copies @ originals.T).argmax(1) == chosen).mean())


def relevance_scores(likeness: Vectors, relevant: NDArray[np.bool_], k: int = 10, name: str = "") -> dict[str, float]:
    """As `likeness_scores`, where a query may be about several pictures: `relevant` says which, (queries, catalogue).

    `name`: of k in the result. Queries without a relevant picture do not count.
    """
    nearest = np.argsort(-likeness, axis=1)[:, :k]
    right, count = np.take_along_axis(relevant, nearest, axis=1).astype(float), relevant.sum(1)
    asked = count > 0
    precision = right.cumsum(1) / np.arange(1, right.shape[1] + 1)
    average = (precision * right).sum(1) / np.minimum(np.maximum(count, 1), k)
    return {
        "R@1": 100 * float(right[asked, 0].mean()),
        f"R@{name or k}": 100 * float((right[asked].max(1) > 0).mean()),
        f"mAP@{name or k}": 100 * float(average[asked].mean()),
    }
