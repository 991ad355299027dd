"""Attribute inference: what a probe that was fitted to other pictures tells of a picture from its vector."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.inversion.representations import Floats

_RIDGE, _NEIGHBOURS = 0.02, 10
Labels = NDArray[np.int64]


def linear_probe(known: Floats, labels: Labels, asked: Floats) -> Labels:
    """Labels by ridge regression to one-hot labels, for features of shape (m, d)."""
    mean = known.mean(axis=0, dtype=np.float64)
    names, places = np.unique(labels, return_inverse=True)
    wanted = np.eye(len(names))[places]
    centred = known - mean
    square = centred.T @ centred
    square[np.diag_indices_from(square)] += _RIDGE * np.trace(square) / len(square) + 1e-9
    weights = np.linalg.solve(square, centred.T @ (wanted - wanted.mean(axis=0)))
    return np.asarray(names[((asked - mean) @ weights + wanted.mean(axis=0)).argmax(axis=1)], np.int64)


def nearest_probe(known: Floats, labels: Labels, asked: Floats) -> Labels:
    """Labels by the votes of the nearest by Euclidean distance; the lowest label where votes tie."""
    votes = np.eye(int(labels.max()) + 1)[labels[neighbours(known, asked, _NEIGHBOURS)]].sum(axis=1)
    return np.asarray(votes.argmax(axis=1), np.int64)


def neighbours(known: Floats, asked: Floats, count: int) -> NDArray[np.int64]:
    """Rows of `known` that are nearest to each of `asked`, shape (m, count), in no order."""
    far = (known**2).sum(axis=1)[None] - 2 * (asked @ known.T)
    return np.argpartition(far, min(count, len(known) - 1), axis=1)[:, :count]


def inferred(
    known: Floats, known_labels: Mapping[str, Labels], asked: Floats, labels: Mapping[str, Labels]
) -> dict[str, dict[str, float]]:
    """The share of pictures whose attribute each probe tells, by attribute and probe, in per cent."""
    return {
        name: {
            "linear": _right(linear_probe(known, values, asked), labels[name]),
            "nearest": _right(nearest_probe(known, values, asked), labels[name]),
        }
        for name, values in known_labels.items()
    }


def guessed(known: Mapping[str, Labels], labels: Mapping[str, Labels]) -> dict[str, float]:
    """The share that is right for who always says the most frequent label, in per cent."""
    return {
        name: _right(np.full(len(labels[name]), np.bincount(v).argmax()), labels[name]) for name, v in known.items()
    }


def _right(told: Labels, labels: Labels) -> float:
    return round(100 * float((told == labels).mean()), 1)
