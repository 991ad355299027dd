"""OpenCV's decoders of JPEG, WebP and PNG: the fastest, and the only one here that keeps all 16 bits of a PNG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
REDUCTIONS = tuple(_REDUCED)


def prepare_opencv() -> None:
    """Once per process, before the first picture: one thread per call (requests run in parallel, not parts of one)
    and no messages on stderr."""
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode_colour(picture: bytes | memoryview, reduction: int) -> NDArray[np.uint8] | None:
    """A JPEG as RGB, its sides divided by `reduction` (1, 2, 4 or 8) and rounded up; None where it is damaged."""
    stored = _decoded(picture, _REDUCED.get(reduction, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if stored is None else np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB))


def decode_as_stored(picture: bytes | memoryview) -> NDArray[Any] | None:
    """Grey (one channel), RGB or RGBA, uint8 or uint16; None where the picture is damaged."""
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
