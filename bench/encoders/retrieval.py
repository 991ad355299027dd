"""Metrics of encoders: class retrieval, and retrieval of edited copies. docs/encoder.md describes the protocol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.encoder.alterations import ALTERATIONS, Picture

Vectors = NDArray[np.float32]
EDITED_PICTURES, _SEED = 250, 7


def class_scores(vectors: Vectors, labels: NDArray[np.str_], k: int = 10) -> dict[str, float]:
    """Leave-one-out R@1, R@k and mAP@k, in per cent. `vectors`: (n, d) of length 1.

    R@k is the share of queries with the right class among the first k. mAP@k is the mean over queries of sum of P(i)
    rel(i) / min(k, relevant).
    """
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -9)
    return _scores(likeness, labels, labels, np.array([(labels == label).sum() - 1 for label in labels]), k)


def shop_scores(
    queries: Vectors, catalogue: Vectors, wanted: NDArray[np.str_], labels: NDArray[np.str_], k: int = 10
) -> dict[str, float]:
    """As `class_scores`, of photographs against the pictures of a catalogue."""
    relevant = np.array([(labels == label).sum() for label in wanted])
    return _scores(queries @ catalogue.T, wanted, labels, relevant, k)


def _scores(
    likeness: Vectors, wanted: NDArray[np.str_], labels: NDArray[np.str_], relevant: NDArray[np.int64], k: int
) -> dict[str, float]:
    nearest = np.argsort(-likeness, axis=1)[:, :k]
    right = (labels[nearest] == wanted[:, None]).astype(float)
    asked = relevant > 0
    precision = right.cumsum(1) / np.arange(1, k + 1)
    average = (precision * right).sum(1) / np.minimum(np.maximum(relevant, 1), k)
    return {
        "R@1": 100 * float(right[asked, 0].mean()),
        f"R@{k}": 100 * float((right[asked].max(1) > 0).mean()),
        f"mAP@{k}": 100 * float(average[asked].mean()),
    }


def edited_pictures(
    pictures: list[Picture], count: int = EDITED_PICTURES
) -> tuple[NDArray[np.int64], dict[str, list[Picture]]]:
    """So many pictures, drawn once, and their copies by edit."""
    rng = np.random.default_rng(_SEED)
    chosen = rng.permutation(len(pictures))[:count]
    return chosen, {name: [edit(pictures[i], rng) for i in chosen] for name, edit in ALTERATIONS.items()}


def found_again(copies: Vectors, originals: Vectors, chosen: NDArray[np.int64]) -> float:
    """Share of the copies whose nearest picture is their original, in per cent."""
    return 100 * float(((copies @ originals.T).argmax(1) == chosen).mean())
