"""Non-maximum suppression, and from candidates to the objects of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import Region
from service.detector.manifest import DetectorManifest
from service.detector.outputs import Candidates, Floats
from service.encoder.preprocess import placement

_MOST_CANDIDATES = 2000  # the best ones; each object compares its box with all that are left
_LEAST_SIDE = 1 / 256  # of an object, as a share of the picture: less is nothing that could be searched for


@dataclass(frozen=True)
class DetectedObject:
    """An object in a picture. region: in shares of the sides of the upright picture, each rounded to float32 as in a
    message. label: of the manifest. score: 0 to 1."""

    region: Region
    label: str
    score: float


@dataclass(frozen=True)
class ObjectLimits:
    """most: the number of objects of a picture, those with the best scores. min_score: None: that of the detector."""

    most: int
    min_score: float | None = None


def objects_of(
    found: Candidates, size: tuple[int, int], manifest: DetectorManifest, limits: ObjectLimits
) -> tuple[DetectedObject, ...]:
    """The objects among the candidates of a picture of so many rows and columns, the best score first.

    Of boxes that overlap by more than `max_overlap`, the best is kept, whatever their classes: one thing is one object.
    """
    least = manifest.min_score if limits.min_score is None else limits.min_score
    boxes = _in_picture(found.boxes, size, manifest)
    sides = boxes[:, 2:] - boxes[:, :2]
    good = (found.scores >= least) & (sides >= _LEAST_SIDE).all(axis=1)
    boxes, scores, classes = boxes[good], found.scores[good], found.classes[good]
    kept = suppressed(boxes, scores, manifest.max_overlap, limits.most)
    return tuple(
        DetectedObject(Region(*boxes[i].tolist()), manifest.labels[classes[i]], float(scores[i])) for i in kept
    )


def suppressed(boxes: Floats, scores: Floats, max_overlap: float, most: int) -> list[int]:
    """Positions of the boxes that are left, the best score first; of equal scores the one that comes first.

    boxes: shape (n, 4), left, top, right, bottom. A box is dropped if its intersection with a better one that is left,
    divided by their union, is above `max_overlap`.
    """
    order = np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES]
    kept: list[int] = []
    while len(order) and len(kept) < most:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[_overlaps(boxes[best], boxes[order]) <= max_overlap]
    return kept


def _overlaps(box: Floats, others: Floats) -> NDArray[np.float64]:
    """Intersection over union of a box and others; 0 where both are empty."""
    inner = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = inner.clip(0).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    overlaps = np.zeros(len(others))
    np.divide(shared, union, out=overlaps, where=union > 0)
    return overlaps


def _in_picture(boxes: Floats, size: tuple[int, int], manifest: DetectorManifest) -> Floats:
    """Boxes in shares of the input as shares of the picture, cut off at its edges, as float32 holds them."""
    height, width = manifest.input.size
    placed = placement(*size, manifest.input)
    origin = np.array([placed.left, placed.top] * 2, np.float64)
    shares = (boxes * ([width, height] * 2) - origin) / ([placed.width, placed.height] * 2)
    return shares.clip(0, 1).astype(np.float32).astype(np.float64)
