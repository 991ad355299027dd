"""What a detector must be better than: plain rules without anything learned."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from service.detector.scoring import Found

_LEAST_AREA = 0.003  # of a picture
Pixels = NDArray[np.uint8]


def whole_picture(pixels: Pixels) -> Found:
    """One box: the picture."""
    return Found(np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([1.0]))


def differs_from_border(pixels: Pixels) -> Found:
    """Boxes of the connected parts whose colour differs from the median of the border (Otsu's threshold in CIE Lab).

    The score of a part is its mean difference times the root of its area.
    """
    small = cv2.GaussianBlur(cv2.resize(pixels, (192, 192), interpolation=cv2.INTER_AREA), (0, 0), 1.5)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    border = np.concatenate([lab[:4].reshape(-1, 3), lab[-4:].reshape(-1, 3), lab[:, :4].reshape(-1, 3),
                             lab[:, -4:].reshape(-1, 3)])  # fmt: skip
    apart = np.linalg.norm(lab - np.median(border, axis=0), axis=2).clip(0, 127)
    _, mask = cv2.threshold((apart * 2).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    boxes, scores = [], []
    for number in range(1, count):
        left, top, wide, high, area = (int(v) for v in stats[number])
        if area >= _LEAST_AREA * mask.size:
            boxes.append([left / 192, top / 192, (left + wide) / 192, (top + high) / 192])
            scores.append(float(apart[labels == number].mean()) * area**0.5)
    return Found(np.array(boxes, np.float64).reshape(-1, 4), np.array(scores, np.float64))
