"""OpenCV's decoders for JPEG, WebP and PNG: the fastest here, and the only one that preserves all 16 bits of a PNG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
REDUCTIONS = tuple(_REDUCED)


def prepare_opencv() -> None:
    """Configures OpenCV. Call it once per process, before the first picture.

    Each call uses one thread, because requests run in parallel. OpenCV writes no messages to stderr.
    """
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode_colour(picture: bytes | memoryview, reduction: int) -> NDArray[np.uint8] | None:
    """Decodes a JPEG to RGB; None if it is damaged.

    `reduction` is 1, 2, 4 or 8: the sides are divided by it and rounded up.
    """
    stored = _decoded(picture, _REDUCED.get(reduction, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if stored is None else np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB))


def decode_as_stored(picture: bytes | memoryview) -> NDArray[Any] | None:
    """Decodes to grey (one channel), RGB or RGBA, uint8 or uint16; None if the picture is damaged."""
    stored = _decoded(picture, cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim == 2:
        return None if stored is None else stored[:, :, None]
    code = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[stored.shape[2]]
    return np.asarray(cv2.cvtColor(stored, code))


def _decoded(picture: bytes | memoryview, flags: int) -> Any:
    try:
        return cv2.imdecode(np.frombuffer(picture, np.uint8), flags)
    except (cv2.error, MemoryError):
        return None
