"""What searching by the boxes of a photograph adds to searching by the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.encoders.packs import Encode, Pack
from service.detector.scoring import Found
from service.encoder.alterations import Picture
from service.encoder.retrieval import Vectors, likeness_scores

MOST_BOXES = 5
Detect = Callable[[Picture], Found]


def gains(pack: Pack, encode: Encode, boxes: Sequence[Found]) -> dict[str, dict[str, float]]:
    """R@1, R@10 and mAP@10 of the photographs of a pack against its catalogue.

    - `whole`: the photograph alone. `best box`: its box of the best score, or itself where there is none.
    - `boxes`: a product is as near as it is to the nearest box. `whole and boxes`: or to the photograph.

    boxes: of each photograph, the best first.
    """
    catalogue = encode(pack.pictures[: pack.catalogue])
    photographs = pack.pictures[pack.catalogue :]
    whole = encode(photographs) @ catalogue.T
    of_boxes = [_likeness(encode, one, found, catalogue) for one, found in zip(photographs, boxes, strict=True)]
    rows = list(zip(whole, of_boxes, strict=True))
    ways = {
        "whole": whole,
        "best box": np.stack([part[0] if len(part) else own for own, part in rows]),
        "boxes": np.stack([part.max(0) if len(part) else own for own, part in rows]),
        "whole and boxes": np.stack([np.vstack([own[None], part]).max(0) for own, part in rows]),
    }
    wanted, labels = pack.labels[pack.catalogue :], pack.labels[: pack.catalogue]
    return {way: likeness_scores(likeness, wanted, labels) for way, likeness in ways.items()}


def cropped(picture: Picture, box: Sequence[float]) -> Picture:
    """What is within a box of fractions, at least a pixel."""
    rows, columns = picture.shape[:2]
    left, right = int(box[0] * columns), max(int(np.ceil(box[2] * columns)), int(box[0] * columns) + 1)
    top, bottom = int(box[1] * rows), max(int(np.ceil(box[3] * rows)), int(box[1] * rows) + 1)
    return picture[top:bottom, left:right]


def _likeness(encode: Encode, picture: Picture, found: Found, catalogue: Vectors) -> Vectors:
    """How alike each box and each picture of the catalogue are, (boxes, catalogue)."""
    parts = [np.ascontiguousarray(cropped(picture, box.tolist())) for box in found.boxes[:MOST_BOXES]]
    return encode(parts) @ catalogue.T if parts else np.empty((0, len(catalogue)), np.float32)
