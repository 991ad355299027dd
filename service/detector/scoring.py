"""Average precision and recall of boxes.

Boxes are arrays of (n, 4), left, top, right and bottom. Found boxes are matched as for COCO: the best score first, each
to the box of the truth that it overlaps most among those that nothing better has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


class Found(NamedTuple):
    """The boxes of a picture, (n, 4), and their scores, (n,)."""

    boxes: Array
    scores: Array


def average_precision(found: Sequence[Found], truth: Sequence[Array], overlap: float) -> float:
    """The area below the curve of precision by recall, 0 to 1, where a box is right at this intersection over union."""
    scores, right = [], []
    for one, wanted in zip(found, truth, strict=True):
        matched = matches(one, wanted, overlap)
        scores.append(one.scores)
        right.append(np.isin(np.arange(len(one.scores)), matched[matched >= 0]))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hits = np.concatenate(right)[order].astype(np.float64)
    count = sum(len(wanted) for wanted in truth)
    if not count or not len(hits):
        return 0.0
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best_from_here * hits).sum() / count)


def mean_average_precision(found: Sequence[Found], truth: Sequence[Array]) -> float:
    """The mean over intersections over union of .5 to .95."""
    return float(np.mean([average_precision(found, truth, overlap) for overlap in OVERLAPS]))


def recall(
    found: Sequence[Found], truth: Sequence[Array], counts: Callable[[Array], NDArray[np.bool_]], overlap: float = 0.5
) -> float | None:
    """The share of the boxes of the truth that are found, or None where there is none.

    counts: from the boxes of a picture, (n, 4), to which of them count, (n,).
    """
    hit, all_of_them = 0, 0
    for one, wanted in zip(found, truth, strict=True):
        chosen = counts(wanted)
        hit += int((matches(one, wanted, overlap) >= 0)[chosen].sum())
        all_of_them += int(chosen.sum())
    return hit / all_of_them if all_of_them else None


def matches(found: Found, wanted: Array, overlap: float) -> NDArray[np.int64]:
    """For each box of the truth, the position of the found box that it goes with, or -1."""
    matched = np.full(len(wanted), -1, np.int64)
    if not len(wanted) or not len(found.boxes):
        return matched
    shared = overlaps(found.boxes, wanted)
    for position in np.argsort(-found.scores, kind="stable"):
        free = np.where(matched < 0, shared[position], -1)
        best = int(free.argmax())
        if free[best] >= overlap:
            matched[best] = position
    return matched


def overlaps(boxes: Array, others: Array) -> Array:
    """Intersection over union, (n, m)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(-1)[:, None] + (others[:, 2:] - others[:, :2]).prod(-1)[None] - shared
    found: Array = shared / np.maximum(union, 1e-12)
    return found
