"""The contact sheet of reconstructions: an original in each row, what was made of it in the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]  # (n, height, width, 3) RGB
TILE, GAP, HEAD = 88, 6, 40
_INK = (40, 40, 40)


def sheet_of(columns: Mapping[str, Pictures]) -> NDArray[np.uint8]:
    """One column of pictures for each title, the same count in each: uint8 (height, width, 3) RGB. A title has at most
    two lines."""
    count = len(next(iter(columns.values())))
    canvas = np.full((HEAD + count * (TILE + GAP), len(columns) * (TILE + GAP) + GAP, 3), 255, np.uint8)
    for number, (title, pictures) in enumerate(columns.items()):
        left = GAP + number * (TILE + GAP)
        _write(canvas, title.split("\n"), left)
        for row, picture in enumerate(pictures):
            top = HEAD + row * (TILE + GAP)
            method = cv2.INTER_AREA if len(picture) > TILE else cv2.INTER_CUBIC
            canvas[top : top + TILE, left : left + TILE] = cv2.resize(picture, (TILE, TILE), interpolation=method)
    return canvas


def _write(canvas: NDArray[np.uint8], lines: Sequence[str], left: int) -> None:
    for number, line in enumerate(lines):
        place = (left, 16 + 15 * number)
        cv2.putText(canvas, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, _INK, 1, cv2.LINE_AA)
